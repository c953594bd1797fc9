"""Compares files and rows at the start, in both directions.

A file without a row was durable but not acknowledged, or its row was lost with a restored database: it is
ingested again. A row without a file is a loss that only the archive can repair: it raises an alarm, and the
study is marked in every view. A purged row needs no file; one that a purge left behind is removed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import select, update

from agent.database.backfill import lane_of
from agent.database.session import Database
from agent.database.tables import Instance, Study
from agent.database.unneeded_files import erase
from agent.foundation.errors import InstanceMissing, UnreadableInstance
from agent.foundation.log import get_logger, study_ref
from agent.objects.header import is_prior, read_stored
from agent.objects.store import InstanceStore, StoredFile
from agent.receive.intake import Intake

INSTANCE_MISSING = "instance-missing"
# An unfinished file younger than this (s) may belong to another listener on the same folder.
UNFINISHED_AGE_S = 3600.0
_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """Counts: files entered again, put into quarantine, left-overs removed; rows whose file is gone.

    removed: what a crash left unfinished, and files of which every row is purged.
    """

    ingested: int
    quarantined: int
    removed: int
    missing: int


def reconcile(database: Database, store: InstanceStore, intake: Intake) -> Reconciled:
    """Compare the whole store with the whole database; safe beside a running listener.

    Raises:
        DatabaseUnavailable: the comparison is incomplete and must run again.
    """
    removed = store.remove_unfinished(UNFINISHED_AGE_S, time.time())
    ingested = quarantined = 0
    # One listing serves both directions: in a bucket it is the most expensive part.
    present = dict.fromkeys(store.files())
    for batch in _batches(present):
        with database.reading() as session:
            rows = session.execute(
                select(Instance.sha256, Instance.purged_at).where(Instance.sha256.in_(batch))
            ).all()
        removed += erase(database, store.discard, [row.sha256 for row in rows if row.purged_at is not None])
        known = {row.sha256 for row in rows}
        for sha256 in (name for name in batch if name not in known):
            if _ingest(database, store, intake, sha256):
                ingested += 1
            else:
                quarantined += 1
    return Reconciled(
        ingested=ingested,
        quarantined=quarantined,
        removed=removed,
        missing=_mark_missing(database, store, present),
    )


def _ingest(database: Database, store: InstanceStore, intake: Intake, sha256: str) -> bool:
    path = store.open(sha256)
    try:
        file = StoredFile(sha256=sha256, size_bytes=path.stat().st_size, new=False)
        header, prior = read_stored(path), is_prior(path)
    except (FileNotFoundError, InstanceMissing):
        return False  # purged since the listing
    except UnreadableInstance as error:
        store.move_to_quarantine(sha256)
        intake.quarantine(file, error.code, "")
        return False
    # The AE title that it was sent to is lost; an old study that is being retrieved stays one.
    intake.receive(header, file, "", prior=prior, lane=lane_of(database, header.study_instance_uid))
    return True


def _mark_missing(database: Database, store: InstanceStore, present: Collection[str]) -> int:
    log = get_logger("listener")
    missing = 0
    last_id = 0
    losing: set[int] = set()
    while True:
        with database.transaction() as session:
            rows = session.execute(
                select(Instance.id, Instance.sha256, Instance.study_id)
                .where(Instance.id > last_id, Instance.purged_at.is_(None))
                .order_by(Instance.id)
                .limit(_BATCH * 10)
            ).all()
        if not rows:
            _end_marks(database, losing)
            return missing
        last_id = rows[-1].id
        # A file may have arrived after the listing: check the disk before the alarm.
        lost = [row for row in rows if row.sha256 not in present and not store.open(row.sha256).exists()]
        losing |= {row.study_id for row in lost}
        for study_id in {row.study_id for row in lost}:
            log.error(INSTANCE_MISSING, code=INSTANCE_MISSING, study_ref=_mark(database, study_id))
        missing += len(lost)


def _end_marks(database: Database, losing: Collection[int]) -> None:
    """Clear the mark of studies whose files are all present again: restored, or sent again."""
    with database.transaction() as session:
        marked = session.scalars(select(Study).where(Study.conflict == INSTANCE_MISSING)).all()
        for study in marked:
            if study.id not in losing:
                study.conflict = None


def _mark(database: Database, study_id: int) -> str:
    with database.transaction() as session:
        session.execute(
            update(Study)
            .where(Study.id == study_id, Study.conflict.is_(None))
            .values(conflict=INSTANCE_MISSING)
        )
        uid = session.scalars(select(Study.study_instance_uid).where(Study.id == study_id)).one()
    return study_ref(uid)


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(names)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
