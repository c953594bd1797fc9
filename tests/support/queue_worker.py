"""A worker as a separate process: claims, renews its leases, finishes. Run as a script by the tests.

    queue_worker.py URL OWNER MODE LEASE_S LIMIT RENEW_S

MODE work: claim and finish until nothing is left. hold: claim once, say how many, wait for a line, then
finish. block: claim once, hold the interpreter until a line comes, then finish. poison: claim once and die
of it. It prints the number of jobs after each claim, and `done`, `lost` for each end. RENEW_S: between two
renewals of a lease (s). Like a real worker, it retries when the database is busy.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog

from agent.database.session import Database, database_now, open_engine
from agent.foundation.errors import DatabaseUnavailable, LeaseLost
from agent.foundation.failure import RetryPolicy
from agent.queue import jobs
from agent.queue.jobs import Claim
from agent.queue.lease_keeper import LeaseKeeper

T = TypeVar("T")
POLICY = RetryPolicy(maximum_attempts=3, first_s=0.01, longest_s=0.01)


def main(url: str, owner: str, mode: str, lease_s: float, limit: int, renew_s: float) -> None:
    """Run in this mode."""
    # Standard output is what the tests read; a renewal between the end of a job and its drop warns there.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    database = Database(open_engine(url))
    prolong = partial(jobs.heartbeat, database, lease_s=lease_s)
    keeper: LeaseKeeper[Claim] = LeaseKeeper(prolong, 3 * renew_s)  # it renews every third of a lease
    claim_some = partial(jobs.claim, database, owner, lease_s, limit, policy=POLICY)
    with keeper:
        while claims := as_soon_as_reached(claim_some):
            keeper.keep(claims)
            print(len(claims), flush=True)
            if mode == "poison":
                os._exit(1)
            if mode in ("hold", "block"):
                if mode == "block":
                    block()
                sys.stdin.readline()
            for claim in claims:
                print(finish(database, claim, owner), flush=True)
            keeper.drop(claims)
            if mode != "work":
                return


def block() -> None:
    """Hold the interpreter as a long call of the network does, without a pause, until a line comes."""
    while not select.select([sys.stdin], [], [], 0)[0]:
        sum(range(10_000))


def finish(database: Database, claim: Claim, owner: str) -> str:
    """Finish the claims; print the outcome."""

    def once() -> None:
        with database.transaction() as session:
            jobs.finish(session, claim, now=database_now(session), actor=owner)

    try:
        as_soon_as_reached(once)
    except LeaseLost:
        return "lost"
    return "done"


def as_soon_as_reached(action: Callable[[], T]) -> T:
    """Act; retry while the database cannot be reached or is locked by others."""
    while True:
        try:
            return action()
        except DatabaseUnavailable:
            time.sleep(0.2)


if __name__ == "__main__":
    main(*sys.argv[1:4], lease_s=float(sys.argv[4]), limit=int(sys.argv[5]), renew_s=float(sys.argv[6]))
