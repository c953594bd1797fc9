"""A short chaos run: every role killed at failpoints and at random; nothing lost, duplicated or hidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kill_runs import result_of

KILLS = 10


@pytest.mark.timeout(600)
def test_short_chaos_loses_doubles_and_hides_nothing(
    repository: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """What was acknowledged is stored, drafted once and in the PACS, whichever role was killed, and when."""
    assert checkpoint.is_dir()
    program = str(repository / "benchmarks" / "chaos.py")
    options = ["--kills", str(KILLS), "--database", "sqlite", "--json", "--keep", str(tmp_path / "chaos")]
    result = result_of(program, *options)
    faults = {
        name: result[name] for name in ("lost", "duplicates", "invisible", "undelivered", "uncommitted")
    }
    assert faults == dict.fromkeys(faults, 0)
    assert (result["kills"] >= KILLS, result["acknowledged"] > 0) == (True, True)
