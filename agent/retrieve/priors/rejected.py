"""Marks the images of an earlier study that a rejection note has taken back: no draft is compared with them.

A study that was sent to be drafted is judged by the gate instead (`agent.queue.gate`).
"""

from __future__ import annotations

from sqlalchemy import select, update

from agent.database.session import Database
from agent.database.states import REJECTED
from agent.database.tables import Instance, Study
from agent.objects.rejection_note import NOTE_CLASS, rejected_instances
from agent.objects.store import InstanceStore


def mark_rejected(database: Database, store: InstanceStore, study_instance_uid: str) -> None:
    """Mark the images of a study that is here only for comparison.

    Raises:
        DatabaseUnavailable, StoreUnavailable: nothing is known.
        InstanceMissing, UnreadableInstance: a note cannot be read, so the rejected images are unknown.
    """
    notes = (
        select(Instance.study_id, Instance.sha256)
        .join(Study, Study.id == Instance.study_id)
        .where(
            Study.study_instance_uid == study_instance_uid,
            Study.prior,
            Instance.sop_class_uid == NOTE_CLASS,
            Instance.prior.is_(False),
            Instance.purged_at.is_(None),
        )
    )
    with database.reading() as session:
        found = session.execute(notes).all()
    for study_id, sha256 in found:
        named = rejected_instances(store.open(sha256))
        with database.transaction() as session:
            session.execute(
                update(Instance)
                .where(Instance.study_id == study_id, Instance.sop_instance_uid.in_(named))
                .values(skipped_by=REJECTED)
                .execution_options(synchronize_session=False)
            )
