"""A short run of `benchmarks/hl7_kills.py`: messages survive the death of either side's process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.commands.demo.service import own_environment
from benchmarks.hl7_kills import PLACES
from benchmarks.hl7_kills_account import Account

# Each failpoint of both roles once.
KILLS = 2 * sum(bool(place) for place in PLACES["deliver"])


@pytest.mark.timeout(600)
def test_kill_around_an_acknowledgement_loses_and_doubles_no_message(
    repository: Path, tmp_path: Path
) -> None:
    """Orders are applied once, results arrive in order with their bytes and MSH-10."""
    program = str(repository / "benchmarks" / "hl7_kills.py")
    options = ["--kills", str(KILLS), "--json", "--keep", str(tmp_path / "kills")]
    done = subprocess.run(
        [sys.executable, program, *options],
        env=own_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=560,
    )
    assert done.stdout, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    faults = {name: result[name] for name in Account.__slots__}
    assert faults == dict.fromkeys(faults, 0)
    assert {place for places in PLACES.values() for place in places if place} <= set(result["places"])
