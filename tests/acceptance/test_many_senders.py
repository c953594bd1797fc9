"""Many senders, a database that restarts, a site cut off: the short form of `benchmarks/hosts.py`."""

from __future__ import annotations

import os

import pytest

from agent.foundation.errors import ProgramMissing
from benchmarks.hosts_account import Account
from benchmarks.hosts_run import Plan, run

pytestmark = pytest.mark.acceptance


def test_many_senders_lose_nothing_while_database_and_a_site_are_away() -> None:
    """Every acknowledged study is drafted exactly once, in the order of its lane and site."""
    plan = Plan(senders=8, sites=4, studies=3, workers=2, draft_s=0.01, outage_s=1, cut_s=3, longest_s=150)
    try:
        outcome = run(plan)
    except ProgramMissing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    assert (outcome.account, outcome.sent) == (Account(drafted=24, lost=0, twice=0, overtaken=0), 24)
