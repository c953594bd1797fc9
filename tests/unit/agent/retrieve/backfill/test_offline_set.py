"""A folder of offline drafts contains each study once, however the process that wrote it ended."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from agent.foundation.backfill_errors import AnotherSet, PackagesMissing
from agent.foundation.errors import UnusableFile
from agent.retrieve.backfill import offline_set
from agent.retrieve.backfill.offline_set import DraftSet, SetDescription
from tests.support.extras import needs_package

DESCRIPTION = SetDescription(created="2026-01-01T00:00:00+00:00", model="echo 1", weights_sha256="a" * 64)


def row(uid: str) -> dict[str, Any]:
    """One study."""
    return {"study_instance_uid": uid, "state": "DRAFTED", "present": ["effusion"], "flags": []}


@pytest.fixture(autouse=True)
def pyarrow() -> None:
    """The Parquet library."""
    needs_package("pyarrow")


def test_set_has_what_was_flushed_and_goes_on_in_a_new_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows in the memory of a killed process are not in the set; its next run adds them."""
    monkeypatch.setattr(offline_set, "PART_ROWS", 2)
    killed = DraftSet(tmp_path / "set")
    for uid in ("1.1", "1.2", "1.3"):
        killed.add(row(uid), {"report": b"x"})
    del killed
    again = DraftSet(tmp_path / "set")
    assert again.done() == {"1.1", "1.2"}
    again.add(row("1.3"), {"report": b"y"})
    again.flush()
    del again
    assert DraftSet(tmp_path / "set").done() == {"1.1", "1.2", "1.3"}
    assert sorted(one.name for one in (tmp_path / "set").glob("*.parquet")) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert (tmp_path / "set" / "sr" / "1.3" / "report.dcm").read_bytes() == b"y"
    assert list((tmp_path / "set").rglob("*.partial")) == []


def test_set_keeps_the_time_of_its_first_run_and_refuses_another_network(tmp_path: Path) -> None:
    """All documents of a set have the same description, and none is from another model."""
    assert DraftSet(tmp_path).agree(DESCRIPTION) == DESCRIPTION
    later = SetDescription(created="2026-02-02T00:00:00+00:00", model="echo 1", weights_sha256="a" * 64)
    assert DraftSet(tmp_path).agree(later) == DESCRIPTION
    other = SetDescription(created=later.created, model="echo 2", weights_sha256="b" * 64)
    with pytest.raises(AnotherSet, match="echo 1"):
        DraftSet(tmp_path).agree(other)


def test_set_without_parquet_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra as the installation expects it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PackagesMissing, match="EXTRAS=ray"):
        DraftSet(tmp_path)


def test_set_has_one_writer(tmp_path: Path) -> None:
    """Two writers would use the same part numbers, and one would lose its rows."""
    first = DraftSet(tmp_path)
    with pytest.raises(UnusableFile, match="another process is writing"):
        DraftSet(tmp_path)
    del first
    DraftSet(tmp_path)


def test_set_says_what_to_do_when_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is one clear error."""

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    drafts = DraftSet(tmp_path)
    monkeypatch.setattr(offline_set, "_write", full)
    with pytest.raises(UnusableFile, match="No space left on device; make room"):
        drafts.add(row("1.1"), {"report": b"x"})
