"""A short run of `benchmarks/hl7_kills.py`: messages survive the death of the process on either side."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.hl7_kills import PLACES
from benchmarks.hl7_kills_account import Account
from tests.support.kill_runs import result_of

# Each failpoint of both roles once.
KILLS = 2 * sum(bool(place) for place in PLACES["deliver"])


@pytest.mark.timeout(600)
def test_kill_around_an_acknowledgement_loses_and_doubles_no_message(
    repository: Path, tmp_path: Path
) -> None:
    """Orders are applied once; results arrive in order with the same bytes and MSH-10."""
    program = str(repository / "benchmarks" / "hl7_kills.py")
    options = ["--kills", str(KILLS), "--json", "--keep", str(tmp_path / "kills")]
    result = result_of(program, *options)
    faults = {name: result[name] for name in Account.__slots__}
    assert faults == dict.fromkeys(faults, 0)
    assert {place for places in PLACES.values() for place in places if place} <= set(result["places"])
