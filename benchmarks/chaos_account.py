"""The account of a chaos run: every acknowledged object, draft and study, once all work is done."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from agent.commands.demo.outcome import read_outcomes
from agent.database.session import Database
from agent.database.states import DeliveryState
from agent.database.tables import Delivery, Instance
from agent.objects.store import InstanceStore
from benchmarks.chaos_pacs import Arrival
from benchmarks.chaos_sender import Acknowledged

# Document A and document B of a draft.
DOCUMENTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Counts. The expected value is 0 for all but `acknowledged` and `copies`.

    lost: acknowledged SOP Instances without a row, or without the file with the row's digest.
    duplicates: SOP Instances in the PACS beyond one of each class and study.
    invisible: acknowledged studies without a job, or whose job has not ended.
    undelivered: acknowledged studies of which the PACS does not hold both documents.
    uncommitted: documents that the PACS has not committed to.
    copies: documents that were sent again under the same UID, which is not a duplicate.
    """

    acknowledged: int
    lost: int
    duplicates: int
    invisible: int
    undelivered: int
    uncommitted: int
    copies: int


def delivered(arrivals: Sequence[Arrival]) -> set[str]:
    """Return the studies of which the PACS holds both documents."""
    classes: dict[str, set[str]] = defaultdict(set)
    for one in arrivals:
        classes[one.study].add(one.sop_class)
    return {study for study, found in classes.items() if len(found) >= DOCUMENTS}


def duplicates(arrivals: Sequence[Arrival]) -> int:
    """Return how many SOP Instances there are beyond one of each class and study."""
    instances: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in arrivals:
        instances[one.study, one.sop_class].add(one.sop_instance)
    return sum(len(found) - 1 for found in instances.values())


def unsettled(database: Database, acknowledged: Sequence[Acknowledged]) -> set[str]:
    """Return the acknowledged studies without a job, or whose job has not ended."""
    studies = [one.study for one in acknowledged]
    outcomes = read_outcomes(database, studies)
    return {study for study in studies if study not in outcomes or not outcomes[study].ended}


def uncommitted(database: Database) -> int:
    """Return how many documents the PACS has not committed to, neither by a report nor when queried."""
    with database.reading() as session:
        committed = Delivery.state == DeliveryState.COMMITTED.value
        return session.scalar(select(func.count()).select_from(Delivery).where(~committed)) or 0


def account(
    database: Database,
    store: InstanceStore,
    acknowledged: Sequence[Acknowledged],
    arrivals: Sequence[Arrival],
) -> Account:
    """Compare what was acknowledged with the rows, the files and the PACS."""
    return Account(
        acknowledged=len(acknowledged),
        lost=sum(not _kept(database, store, one) for one in acknowledged),
        duplicates=duplicates(arrivals),
        invisible=len(unsettled(database, acknowledged)),
        undelivered=len({one.study for one in acknowledged} - delivered(arrivals)),
        uncommitted=uncommitted(database),
        copies=len(arrivals) - len({one.sop_instance for one in arrivals}),
    )


def _kept(database: Database, store: InstanceStore, one: Acknowledged) -> bool:
    with database.reading() as session:
        digests = session.scalars(
            select(Instance.sha256).where(Instance.sop_instance_uid == one.sop_instance)
        ).all()
    return bool(digests) and all(_intact(store, digest) for digest in digests)


def _intact(store: InstanceStore, digest: str) -> bool:
    path = store.open(digest)
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
