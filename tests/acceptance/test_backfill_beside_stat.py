"""A backfill while STAT studies arrive: the short form of `benchmarks/backfill.py`."""

from __future__ import annotations

import os
import subprocess

import pytest

from agent.foundation.errors import ProgramMissing
from benchmarks.backfill import QUICK, record_of
from benchmarks.backfill_run import run
from tests.support.warm_python import WarmPopen

pytestmark = pytest.mark.acceptance


def test_backfill_retrieves_all_while_stat_studies_are_drafted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every listed study is retrieved, every chest study is drafted once, and no STAT study is lost."""
    monkeypatch.setattr(subprocess, "Popen", WarmPopen)
    try:
        outcome = run(QUICK)
    except ProgramMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    assert (outcome.found, outcome.retrieved, outcome.drafted) == (QUICK.listed, 6, 6)
    assert (outcome.stat_lost, outcome.stat_refused) == (0, 0)
    assert min(outcome.without.studies, outcome.beside.studies) > 0
    assert record_of(QUICK, outcome, "any", (0.0,))["ratio"] == outcome.ratio
