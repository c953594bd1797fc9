"""A worker as a process of its own: claims, prolongs its leases, finishes. Run as a script by the tests.

    queue_worker.py URL OWNER MODE LEASE_S LIMIT

MODE work: claim and finish until nothing is left. hold: claim once, say how many, wait for a line, then
finish. block: claim once, hold the interpreter until a line comes, then finish. poison: claim once and die
of it. It prints the number of jobs after each claim, and `done`, `lost` for each end.
"""

from __future__ import annotations

import os
import select
import sys
import time
from functools import partial

from agent.database.session import Database, database_now, open_engine
from agent.foundation.errors import DatabaseUnavailable, LeaseLost
from agent.foundation.failure import RetryPolicy
from agent.queue import jobs
from agent.queue.jobs import Claim
from agent.queue.lease_keeper import LeaseKeeper

POLICY = RetryPolicy(maximum_attempts=3, first_s=0.01, longest_s=0.01)


def main(url: str, owner: str, mode: str, lease_s: float, limit: int) -> None:
    """Do what the mode says."""
    database = Database(open_engine(url))
    keeper: LeaseKeeper[Claim] = LeaseKeeper(partial(jobs.heartbeat, database, lease_s=lease_s), lease_s)
    with keeper:
        while claims := jobs.claim(database, owner, lease_s, limit, policy=POLICY):
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
    """Finish, as soon as the database can be reached; say how that ended."""
    while True:
        try:
            with database.transaction() as session:
                jobs.finish(session, claim, now=database_now(session), actor=owner)
        except LeaseLost:
            return "lost"
        except DatabaseUnavailable:
            time.sleep(0.2)
        else:
            return "done"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]))
