"""Presents our drafts as workitems: each follows the state of its job, which is authoritative.

A tick compares changed jobs with their workitems and updates these in one transaction with the events. States
that passed between two ticks do not matter: every intermediate state that the standard requires is reported.
A job that goes on after its workitem has ended (a retry, a lost lease) gets a new workitem, because a final
one never changes; the new one names the one that it replaces.

Source: PS3.4 CC.1.1 (states), PS3.3 C.30.4 (replaced procedure step).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydicom import Dataset
from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.states import ENDED, REJECTED, JobState, Lane
from agent.database.tables import Instance, Job, JobEvent, Study
from agent.database.workitems import Workitem
from agent.objects.rejection_note import NOTE_CLASS
from agent.ris.ups.draft_life import (
    must_begin_anew,
    progress_of,
    readiness_of,
    step_of,
    steps_between,
    transaction_uid_of,
    workitem_uid,
)
from agent.ris.ups.events import EventWriter
from agent.ris.ups.outputs import stored_documents
from agent.ris.ups.records import add, content_of, dicom_time, save
from agent.ris.ups.terms import PUSH, StepState
from agent.ris.ups.wording import (
    Reference,
    Station,
    WorkitemSubject,
    cancellation,
    describe_subject,
    draft_workitem,
    performed,
    priority_name,
)

_BATCH = 200
# Jobs that changed up to this long (s) before the last tick are read again: commits come out of order.
_OVERLAP_S = 60.0
_FIRST_LOOK_H = 24
_NOT_BEGUN = (JobState.RECEIVING.value, JobState.QUEUED.value)


class Projection:
    """Updates workitems from their jobs. Each manager runs one; several do no harm."""

    def __init__(
        self,
        database: Database,
        station: Station,
        reachable: Collection[str] = (),
        ae_titles: Mapping[str, str] | None = None,
        in_shadow: Callable[[str], bool] = lambda calling_ae_title: False,
    ) -> None:
        """ae_titles: the destinations' AE titles by name.

        in_shadow: whether a sender's studies are drafted in shadow mode; like old studies, these get no
        workitem.
        """
        self._database = database
        self._station = station
        self._events = EventWriter(reachable)
        self._ae_titles = ae_titles or {}
        self._in_shadow = in_shadow
        self._since: datetime | None = None
        # What every waiting job's workitem was last made from: thousands may wait, and few change.
        self._waiting: Mapping[int, tuple[object, ...]] = {}

    def tick(self) -> int:
        """Update every workitem from its job; return how many changed.

        Raises:
            DatabaseUnavailable: the rest is done at the next tick.
        """
        with self._database.reading() as session:
            now = database_now(session)
            waiting = {row.id: tuple(row) for row in session.execute(_waiting())}
            other = session.scalars(_changed(self._since, now)).all()
        moved = {one for one, facts in waiting.items() if self._waiting.get(one) != facts}
        job_ids = sorted(moved.union(other))
        changed = 0
        for start in range(0, len(job_ids), _BATCH):
            with self._database.transaction() as session:
                for job_id in job_ids[start : start + _BATCH]:
                    changed += self._follow(session, job_id)
        self._since, self._waiting = now - timedelta(seconds=_OVERLAP_S), waiting
        return changed

    def _follow(self, session: Session, job_id: int) -> bool:
        job = session.scalar(select(Job).where(Job.id == job_id).with_for_update())
        if job is None:
            return False
        now = database_now(session)
        row = session.scalar(
            select(Workitem).where(Workitem.job_id == job_id).order_by(Workitem.generation.desc()).limit(1)
        )
        wanted = step_of(job)
        if row is None or must_begin_anew(StepState(row.state), wanted):
            sender = session.get_one(Study, job.study_id).calling_ae_title
            if job.lane == Lane.BACKFILL or self._in_shadow(sender):
                return False
            row = self._begin(session, job, row, now)
        before = row.state, row.content
        self._describe(session, row, job, wanted, now)
        return (row.state, row.content) != before

    def _begin(self, session: Session, job: Job, old: Workitem | None, now: datetime) -> Workitem:
        """Enter a new workitem; first end a claimed one whose lease was lost."""
        if old is not None and not StepState(old.state).final:
            content = content_of(old)
            content.ProcedureStepProgressInformationSequence = [
                cancellation(content, now, code="lease-expired", reason="the performer was lost")
            ]
            self._events.step(session, old, content, [StepState.CANCELED], now)
        study = session.get_one(Study, job.study_id)
        content = draft_workitem(
            _subject(session, study, job, self._station),
            self._station,
            priority=job.priority,
            starts=job.created_at,
            readiness=readiness_of(job),
        )
        generation = 1 if old is None else old.generation + 1
        if old is not None:
            replaced = Dataset()
            replaced.ReferencedSOPClassUID, replaced.ReferencedSOPInstanceUID = PUSH, old.uid
            content.ReplacedProcedureStepSequence = [replaced]
        uid = workitem_uid(job, study, generation)
        row = add(session, uid, content, now=now, job_id=job.id, generation=generation)
        self._events.state(session, row, now)
        return row

    def _describe(self, session: Session, row: Workitem, job: Job, wanted: StepState, now: datetime) -> None:
        """Update the workitem to the job's state, and report what has changed."""
        content = content_of(row)
        present = StepState(row.state)
        before = content_of(row)
        if present is StepState.SCHEDULED:
            # Until the draft begins, images arrive or are taken back, and the patient may be merged.
            study = session.get_one(Study, job.study_id)
            describe_subject(content, _subject(session, study, job, self._station))
        if present is StepState.SCHEDULED and wanted is StepState.SCHEDULED:
            content.InputReadinessState = readiness_of(job).value
            if priority_name(job.priority) != content.ScheduledProcedureStepPriority:
                content.ScheduledProcedureStepPriority = priority_name(job.priority)
                content.ScheduledProcedureStepModificationDateTime = dicom_time(now)
        if not present.final and (said := progress_of(content, job, now)) is not None:
            content.ProcedureStepProgressInformationSequence = [said]
        if wanted is StepState.COMPLETED and not present.final:
            content.UnifiedProcedureStepPerformedProcedureSequence = [
                performed(
                    content,
                    self._station,
                    began=_began(session, job),
                    ended=job.updated_at,
                    outputs=stored_documents(session, job.id, self._ae_titles),
                )
            ]
        steps = steps_between(present, wanted)
        if StepState.IN_PROGRESS in steps:
            row.transaction_uid = transaction_uid_of(job)
            row.performer = job.lease_owner or self._station.ae_title
        elif wanted is StepState.IN_PROGRESS and job.lease_token is not None:
            row.transaction_uid = transaction_uid_of(job)
        save(session, row, content)
        self._events.step(session, row, content, steps, now)
        self._report(session, row, before, content, bool(steps), now)

    def _report(
        self, session: Session, row: Workitem, before: Dataset, after: Dataset, stepped: bool, now: datetime
    ) -> None:
        if not stepped and before.InputReadinessState != after.InputReadinessState:
            self._events.state(session, row, now)
        was = before.get("ProcedureStepProgressInformationSequence")
        if was != after.get("ProcedureStepProgressInformationSequence") and row.state != StepState.CANCELED:
            self._events.progress(session, row, now)
        if before != after:
            row.touched_at = now


def _waiting() -> Select[int, *tuple[Any, ...]]:
    """Select the drafts' jobs that have not begun, with all that their workitems depend on.

    A changed priority and a merged patient leave `updated_at` as it is; each image that joins changes it.
    """
    return (
        select(
            Job.id, Job.updated_at, Job.state, Job.priority, Job.lane, Study.calling_ae_title,
            Study.patient_id, Study.issuer_of_patient_id, Study.patient_name, Study.patient_birth_date,
            Study.accession_number,
        )
        .join(Study, Study.id == Job.study_id)
        .where(Job.kind == "draft", Job.state.in_(_NOT_BEGUN))
    )  # fmt: skip


def _changed(since: datetime | None, now: datetime) -> Select[int]:
    """Select the drafts' jobs that have begun and may have changed since the last tick.

    In the first tick these are all unfinished ones, and those that ended within the time that final workitems
    are kept.
    """
    query = select(Job.id).where(Job.kind == "draft", Job.state.not_in(_NOT_BEGUN))
    if since is not None:
        return query.where(Job.updated_at >= since)
    recent = Job.updated_at >= now - timedelta(hours=_FIRST_LOOK_H)
    return query.where(or_(Job.state.not_in([one.value for one in ENDED]), recent))


def _began(session: Session, job: Job) -> datetime:
    began = session.scalar(
        select(func.max(JobEvent.at)).where(
            JobEvent.job_id == job.id, JobEvent.to_state == JobState.GENERATING.value
        )
    )
    return began or job.created_at


def _subject(session: Session, study: Study, job: Job, station: Station) -> WorkitemSubject:
    return WorkitemSubject(
        study_instance_uid=study.study_instance_uid,
        patient_name=study.patient_name,
        patient_id=study.patient_id,
        issuer_of_patient_id=study.issuer_of_patient_id,
        patient_birth_date=study.patient_birth_date,
        patient_sex="",
        accession_number=study.accession_number,
        images=_inputs(session, study, job, station),
    )


def _inputs(session: Session, study: Study, job: Job, station: Station) -> list[Reference]:
    """Return the images of a job's revision, without rejection notes and what these have taken back."""
    rows = session.execute(
        select(Instance.sop_instance_uid, Instance.sop_class_uid, Instance.series_instance_uid)
        .where(
            Instance.study_id == study.id,
            Instance.revision <= job.revision,
            Instance.prior.is_(False),
            Instance.sop_class_uid != NOTE_CLASS,
            Instance.skipped_by.is_distinct_from(REJECTED),
        )
        .order_by(Instance.id)
    )
    newest = {row.sop_instance_uid: row for row in rows}
    return [
        Reference(
            sop_class_uid=row.sop_class_uid,
            sop_instance_uid=row.sop_instance_uid,
            series_instance_uid=row.series_instance_uid,
            retrieve_ae_title=study.calling_ae_title or station.ae_title,
        )
        for row in newest.values()
    ]
