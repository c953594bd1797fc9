"""The rows of a study and of its instances, filled from the attributes of the objects that arrive."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.identity.current import current
from agent.database.identity.order import order_of
from agent.database.identity.patient import contradicts, patient_of, patient_of_row
from agent.database.tables import Document, Instance, Job, Study
from agent.objects.header import ROUTINE_PRIORITY, Header
from agent.objects.rejection_note import NOTE_CLASS, is_key_object
from agent.objects.store import StoredFile
from agent.queue.gate import PATIENT_CONFLICT, STUDY_COLUMNS


def begin_anew(study: Study, header: Header, calling_ae_title: str, now: datetime) -> None:
    """Turn a study that was only retrieved into an ordinary one: its sender's attributes now count."""
    study.prior, study.conflict, study.revision, study.patient_content = False, None, 1, None
    study.calling_ae_title, study.first_received_at = calling_ae_title[:16], now
    for column in STUDY_COLUMNS:
        setattr(study, column, getattr(header, column))


def begin_prior(session: Session, study: Study, header: Header) -> None:
    """Let the first retrieved object of a study that only a rejection note has announced say whose it is."""
    images = exists().where(Instance.study_id == study.id, Instance.sop_class_uid != NOTE_CLASS)
    if not is_key_object(header) and not session.scalar(select(images)):
        for column in STUDY_COLUMNS:
            setattr(study, column, getattr(header, column))


def complete(study: Study, header: Header) -> None:
    """Fill columns that the study's earlier images left empty; an object in conflict adds nothing."""
    if study.conflict == PATIENT_CONFLICT or is_key_object(header):
        return
    for column in STUDY_COLUMNS:
        if not getattr(study, column) and getattr(header, column):
            setattr(study, column, getattr(header, column))


def names_another_patient(session: Session, study: Study, header: Header) -> bool:
    """Whether an image's patient cannot be the one in the study's row, given what is known now."""
    known, named = (current(session, one) for one in (patient_of_row(study), patient_of(header)))
    return contradicts(known, named)


def instance_of(
    study: Study, header: Header, file: StoredFile, now: datetime, *, prior: bool = False
) -> Instance:
    """Return the row of a received object, in the study's present revision."""
    return Instance(
        study_id=study.id,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        transfer_syntax_uid=header.transfer_syntax_uid,
        modality=header.modality,
        body_part_examined=header.body_part_examined,
        view_position=header.view_position,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        revision=study.revision,
        prior=prior,
        received_at=now,
    )


def enter(
    session: Session, study: Study, header: Header, file: StoredFile, now: datetime, actor: str, address: str
) -> None:
    """Write the row of an object that a sender has sent, and its audit record."""
    session.add(instance_of(study, header, file, now))
    session.flush()
    details = {"sop_classes": [header.sop_class_uid]}
    event = Event(action=Action.RECEIVED, actor=actor, address=address, study_id=study.id, details=details)
    record(session, event, at=now)


def is_ours(session: Session, header: Header) -> bool:
    """Whether an object is one of our own documents that came back."""
    statement = select(Document.id).where(Document.sop_instance_uid == header.sop_instance_uid)
    return session.execute(statement).first() is not None


def forget(session: Session, header: Header, file: StoredFile) -> None:
    """Remove the row of an earlier content, which is about to be entered again as the newest."""
    session.execute(
        delete(Instance).where(
            Instance.sop_instance_uid == header.sop_instance_uid, Instance.sha256 == file.sha256
        )
    )


def job_of_revision(session: Session, study: Study) -> Job | None:
    """Return the job of a study's revision, locked."""
    return session.scalars(
        select(Job)
        .where(Job.study_id == study.id, Job.revision == study.revision)
        .order_by(Job.id.desc())
        .limit(1)
        .with_for_update()
    ).first()


def ordered_priority(session: Session, study: Study) -> int:
    """Return the priority of a study's order as the RIS reported it; routine without an order."""
    order = order_of(session, study)
    return ROUTINE_PRIORITY if order is None else order.priority
