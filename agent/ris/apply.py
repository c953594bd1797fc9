"""Applies the contents of a message to the database, in the transaction that stores the message.

A study's row is locked before its job's, as in intake. What a radiologist has verified is never touched.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import singledispatch

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from agent.database.identity.current import current
from agent.database.identity.order import order_of
from agent.database.identity.patient import patient_of_row
from agent.database.orders import Order
from agent.database.signed import SignedReport
from agent.database.signed_text import ADDENDUM_ALONE, WITHDRAWN, storable
from agent.database.states import JobState
from agent.database.tables import Job, Study
from agent.messages.hl7.message import Message
from agent.objects.header import ROUTINE_PRIORITY
from agent.queue.lanes import set_priority
from agent.queue.remake import judge_again, open_draft, remake
from agent.reports.material import digest_of, one_line
from agent.ris.merge import tell_patient
from agent.ris.updates import OrderUpdate, PatientUpdate, ReportUpdate, Update

ACTOR = "ris"
ORDER_CAME = "order-came"
_WAITING = (JobState.RECEIVING.value, JobState.QUEUED.value)


def apply_all(
    session: Session, updates: tuple[Update, ...], message: Message, message_id: int, now: datetime
) -> None:
    """Apply the contents of one message, in order."""
    for number, one in enumerate(updates):
        _apply(one, session, message, message_id, number, now)


@singledispatch
def _apply(
    update: object, session: Session, message: Message, message_id: int, number: int, now: datetime
) -> None:
    raise TypeError(f"{type(update).__name__} is not the content of a message")


@_apply.register
def _order(
    update: OrderUpdate, session: Session, message: Message, message_id: int, number: int, now: datetime
) -> None:
    enter_order(session, update, message_id, now)


def enter_order(session: Session, update: OrderUpdate, message_id: int | None, now: datetime) -> None:
    """Enter a new or changed order, and apply it to the studies that fulfil it.

    message_id: the HL7 message that it came in; None for a modality worklist.
    """
    key = _key(update)
    order = session.scalars(select(Order).where(Order.key == key).with_for_update()).first()
    if order is None:
        order = Order(key=key)
        session.add(order)
    before = order.clinical_question or "", order.procedure or ""
    for name in (
        "placer_number", "filler_number", "accession_number", "study_instance_uid", "procedure_id",
        "procedure", "clinical_question",
    ):  # fmt: skip
        # A later message, such as a change of status, may leave out what an earlier one said.
        setattr(order, name, getattr(update, name) or getattr(order, name) or "")
    if update.priority is not None or order.priority is None:
        order.priority = ROUTINE_PRIORITY if update.priority is None else update.priority
    order.canceled = update.canceled
    order.patient_id = update.patient.patient_id
    order.issuer_of_patient_id = update.patient.issuer_of_patient_id
    order.message_id, order.updated_at = message_id, now
    session.flush()
    question, procedure = before
    _reconsider(
        session,
        order,
        now,
        asks_anew=order.clinical_question != question,
        names_anew=order.procedure != procedure,
    )


def _key(update: OrderUpdate) -> str:
    kind, number = next(
        (kind, number)
        for kind, number in (
            ("placer", update.placer_number),
            ("filler", update.filler_number),
            ("accession", update.accession_number),
        )
        if number
    )
    # An OMI may order several procedures under one placer number, each with an accession number of its own.
    parts = (kind, number, update.accession_number if kind != "accession" else "")
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _reconsider(session: Session, order: Order, now: datetime, *, asks_anew: bool, names_anew: bool) -> None:
    """Apply an order to its stored studies: the priority, the clinical question, the procedure.

    asks_anew: the message has changed the question, and a draft that is being made now was given the old one.
    names_anew: it has changed the procedure, which may make a study eligible.
    """
    wanted = []
    if order.study_instance_uid:
        wanted.append(Study.study_instance_uid == order.study_instance_uid)
    if order.accession_number:
        wanted.append(Study.accession_number == order.accession_number)
    if not wanted:
        return
    studies = select(Study).where(or_(*wanted), Study.prior.is_(False)).order_by(Study.id).with_for_update()
    for study in session.scalars(studies).all():
        found = order_of(session, study)
        if found is None or found.id != order.id:
            continue
        _hurry(session, study, order, now)
        question = one_line(order.clinical_question)
        if question and digest_of(question) != _asked(session, study):
            remake(
                session,
                study,
                now=now,
                code=ORDER_CAME,
                reason="the order, which came after the images, asks another question",
                actor=ACTOR,
                running=asks_anew,
            )
        if names_anew:
            judge_again(
                session,
                study,
                now=now,
                code=ORDER_CAME,
                reason="the order, which came after the images, names the procedure",
                actor=ACTOR,
            )


def _asked(session: Session, study: Study) -> str | None:
    """Return the digest of the question that the study's unreviewed draft was given; None if it has no
    such draft.
    """
    draft = open_draft(session, study)
    return None if draft is None else str(draft.content.get("question_sha256") or "")


def _hurry(session: Session, study: Study, order: Order, now: datetime) -> None:
    jobs = select(Job).where(Job.study_id == study.id, Job.kind == "draft", Job.state.in_(_WAITING))
    for job in session.scalars(jobs.with_for_update()):
        set_priority(job, min(job.priority, order.priority))


@_apply.register
def _patient(
    update: PatientUpdate, session: Session, message: Message, message_id: int, number: int, now: datetime
) -> None:
    tell_patient(session, update, message_id, now, ACTOR)


@_apply.register
def _report(
    update: ReportUpdate, session: Session, message: Message, message_id: int, number: int, now: datetime
) -> None:
    application, facility = message.sender
    key = f"{application}|{facility}|{message.control_id}"
    key = hashlib.sha256(key.encode()).hexdigest() if len(key) > 180 else key
    patient = current(session, update.patient)
    row = SignedReport(
        source="hl7",
        source_key=f"{key}#{number}" if number else key,
        study_instance_uid=update.study_instance_uid,
        accession_number=update.accession_number,
        patient_id=update.patient.patient_id,
        issuer_of_patient_id=update.patient.issuer_of_patient_id,
        status=update.status,
        signed_by=update.signed_by,
        signed_at=update.signed_at or now,
        text=storable(update.text),
        received_at=now,
    )
    if update.study_instance_uid or update.accession_number:
        studies = session.scalars(
            select(Study).where(
                or_(
                    Study.study_instance_uid == update.study_instance_uid,
                    (Study.accession_number == update.accession_number) & (Study.accession_number != ""),
                )
            )
        ).all()
        ours = [
            one for one in studies if current(session, patient_of_row(one)).patient_id == patient.patient_id
        ]
        exact = [one for one in ours if one.study_instance_uid == update.study_instance_uid]
        chosen = exact or ours
        row.study_id = chosen[0].id if len(chosen) == 1 else None
    if update.addendum:
        _complete(session, row)
    session.add(row)
    session.flush()


def _complete(session: Session, addendum: SignedReport) -> None:
    """Put before an addendum the report that it adds to, which it leaves standing."""
    same_order = (
        (SignedReport.study_instance_uid == addendum.study_instance_uid)
        & (SignedReport.accession_number == addendum.accession_number)
        & (SignedReport.patient_id == addendum.patient_id)
    )
    earlier = session.scalars(
        select(SignedReport)
        .where(same_order, SignedReport.source == addendum.source)
        .order_by(SignedReport.signed_at.desc(), SignedReport.id.desc())
    ).first()
    if earlier is None or earlier.status == WITHDRAWN or earlier.code == ADDENDUM_ALONE:
        addendum.code = ADDENDUM_ALONE
    elif addendum.text not in earlier.text:
        addendum.text = f"{earlier.text}\n{addendum.text}"
    else:
        addendum.text = earlier.text
