"""The account of a load run finds what it must find."""

from __future__ import annotations

from benchmarks.hosts_account import Account, Drafted, settle


def made(study: str, *, queued: float, claimed: float, site: str = "a", lane: str = "routine") -> Drafted:
    """One job."""
    return Drafted(study=study, lane=lane, site=site, queued=queued, claimed=claimed, drafted=claimed + 1)


def test_settle_of_a_run_in_order_is_right() -> None:
    """Each lane and each site has its own order."""
    jobs = [
        made("1", queued=0, claimed=10),
        made("2", queued=5, claimed=12),
        made("3", queued=6, claimed=11, site="b"),
        made("4", queued=9, claimed=9.5, lane="stat"),
    ]
    assert settle(["1", "2", "3", "4"], jobs) == Account(drafted=4, lost=0, twice=0, overtaken=0)


def test_settle_finds_the_lost_the_repeated_and_the_overtaken() -> None:
    """A missing draft, a second draft and a study that waited while a later one was claimed are counted."""
    jobs = [
        made("1", queued=0, claimed=20),
        made("2", queued=5, claimed=12),
        made("2", queued=5, claimed=30),
    ]
    found = settle(["1", "2", "3"], jobs)
    assert (found.lost, found.twice, found.overtaken, found.right) == (1, 1, 1, False)


def test_settle_allows_what_a_claim_could_not_see() -> None:
    """A claim could not yet see a job that was queued at the same moment."""
    jobs = [made("1", queued=10.0, claimed=10.9), made("2", queued=10.2, claimed=10.4)]
    assert settle(["1", "2"], jobs).overtaken == 0
