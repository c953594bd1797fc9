"""How the worker benchmark evaluates its measurements."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.worker import plot, table_of
from benchmarks.worker_run import Stopwatch, row_of


@pytest.fixture
def watch() -> Stopwatch:
    """Ten studies in 10 s, of which the network took 9."""
    found = Stopwatch()
    found.begun = 100.0
    found.settled = [100.0 + number for number in range(1, 11)]
    found.seconds.update(
        {"network": 9.0, "vision": 2.0, "prefill and vision": 3.0, "documents": 1.0, "settle": 1.5}
    )
    return found


def test_row_counts_what_the_networks_thread_does_besides(watch: Stopwatch) -> None:
    """The share outside the model refers to the whole time; the stages of the thread add up to it."""
    row = row_of(watch, studies=10, kind="sqlite", slots=4)
    assert (row.reports_per_second, row.outside_share) == (1.0, 0.1)
    assert row.network_ms == {"vision": 200.0, "prefill": 100.0, "decode": 600.0, "outside": 100.0}
    assert (row.beside_ms["documents"], row.beside_ms["transaction"]) == (100.0, 50.0)


def test_table_and_picture_show_the_row(watch: Stopwatch, tmp_path: Path) -> None:
    """Each stage has a row in the table, and the picture is a PNG."""
    row = row_of(watch, studies=10, kind="sqlite", slots=4)
    assert table_of(row).row_count == len(row.network_ms) + len(row.beside_ms)
    plot(row, tmp_path / "time.png")
    assert (tmp_path / "time.png").read_bytes().startswith(b"\x89PNG")
