"""A patient's attributes have changed, or two identifiers turned out to belong to one patient.

Studies under the old identifier move to the patient's present one, which documents carry from then on. An
unverified draft is flagged and made again; a verified report stays as it was signed.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from agent.database.audit.record import Action, Event, record
from agent.database.identity.current import current
from agent.database.identity.patient import Patient, contradicts, patient_of_row
from agent.database.orders import KnownPatient
from agent.database.tables import Listing, ListingTag, Study
from agent.foundation.errors import PatientConflict
from agent.queue.remake import judge_conflict_again, open_draft, remake
from agent.reports.flags import PATIENT_MERGED
from agent.reports.worklist_row import keys_of
from agent.ris.updates import PatientUpdate

MERGED = "patient-merged"
_FLAG_TEXT = "The patient was merged with another one after this draft was written; a new draft follows."


def tell_patient(session: Session, told: PatientUpdate, message_id: int, now: datetime, actor: str) -> None:
    """Enter a change or a merge, and move the affected studies."""
    surviving, changed = _enter(session, told.patient, message_id, now)
    if told.merged:
        # An update of a merged identifier does not undo the merge; a merge in which it is the surviving one
        # does.
        surviving.merged_into = None
    for old in told.merged:
        row, _ = _enter(session, old, message_id, now)
        if row.id != surviving.id:
            row.merged_into = surviving.id
    session.flush()
    for old in (told.patient, *told.merged):
        if told.merged or changed:
            _end_conflicts(session, old, now, actor)
        _move_studies(session, old, now, actor, merged=old in told.merged)


def _enter(session: Session, patient: Patient, message_id: int, now: datetime) -> tuple[KnownPatient, bool]:
    """Return the patient's row, and whether the message states something new about the patient."""
    row = session.scalars(
        select(KnownPatient)
        .where(
            KnownPatient.patient_id == patient.patient_id,
            KnownPatient.issuer_of_patient_id == patient.issuer_of_patient_id,
        )
        .with_for_update()
    ).first()
    if row is None:
        row = KnownPatient(
            patient_id=patient.patient_id,
            issuer_of_patient_id=patient.issuer_of_patient_id,
            patient_name="",
            patient_birth_date="",
            patient_sex="",
        )
        session.add(row)
    before = row.patient_name, row.patient_birth_date, row.patient_sex
    row.patient_name = patient.patient_name or row.patient_name
    row.patient_birth_date = patient.patient_birth_date or row.patient_birth_date
    row.patient_sex = patient.patient_sex or row.patient_sex
    row.message_id, row.updated_at = message_id, now
    session.flush()
    return row, before != (row.patient_name, row.patient_birth_date, row.patient_sex)


def _end_conflicts(session: Session, named: Patient, now: datetime, actor: str) -> None:
    """Have the studies judged again whose images named several patients: these may now be one patient."""
    studies = select(Study).where(
        Study.patient_id == named.patient_id, Study.conflict == PatientConflict.code
    )
    for study in session.scalars(studies.order_by(Study.id).with_for_update()).all():
        judge_conflict_again(
            session,
            study,
            now=now,
            code=MERGED,
            reason="the RIS has merged or changed a patient of the study",
            actor=actor,
        )


def _move_studies(session: Session, named: Patient, now: datetime, actor: str, *, merged: bool) -> None:
    bare = Patient(patient_id=named.patient_id, issuer_of_patient_id=named.issuer_of_patient_id)
    studies = select(Study).where(Study.patient_id == named.patient_id).order_by(Study.id).with_for_update()
    for study in session.scalars(studies).all():
        stated = patient_of_row(study)
        identifier = Patient(patient_id=stated.patient_id, issuer_of_patient_id=stated.issuer_of_patient_id)
        if contradicts(bare, identifier):
            continue
        patient = current(session, stated)
        if patient == stated and not merged:
            continue
        study.patient_id, study.issuer_of_patient_id = patient.patient_id, patient.issuer_of_patient_id
        study.patient_name, study.patient_birth_date = patient.patient_name, patient.patient_birth_date
        session.flush()
        _list_anew(session, study)
        event = Event(action=Action.RESOLVED, actor=actor, study_id=study.id, details={"reason": MERGED})
        record(session, event, at=now)
        if merged:
            _make_again(session, study, now, actor)


def _list_anew(session: Session, study: Study) -> None:
    """Make the worklist find the study under its patient's present name and identifier."""
    session.execute(update(Listing).where(Listing.study_id == study.id).values(**keys_of(study)))


def _make_again(session: Session, study: Study, now: datetime, actor: str) -> None:
    draft = open_draft(session, study)
    if draft is not None:
        flags = [one for one in draft.content.get("flags", ()) if one["code"] != PATIENT_MERGED]
        draft.content = {**draft.content, "flags": [*flags, {"code": PATIENT_MERGED, "text": _FLAG_TEXT}]}
        if session.get(Listing, study.id) is not None:
            session.merge(ListingTag(tag=f"flag:{PATIENT_MERGED}", study_id=study.id))
    remake(
        session,
        study,
        now=now,
        code=MERGED,
        reason="the RIS has merged the patient with another one",
        actor=actor,
        running=False,
    )
