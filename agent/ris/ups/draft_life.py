"""Maps the states of a job to the states of a workitem. Pure.

Source: PS3.4 CC.1.1 (states), PS3.3 C.30.1 (input readiness).
"""

from __future__ import annotations

import uuid
from datetime import datetime

from pydicom import Dataset

from agent.database.states import SHADOW, JobState
from agent.database.tables import Job, Study
from agent.ris.ups.terms import Readiness, StepState
from agent.ris.ups.wording import cancellation, progress

STATES = {
    JobState.RECEIVING: StepState.SCHEDULED,
    JobState.QUEUED: StepState.SCHEDULED,
    JobState.GENERATING: StepState.IN_PROGRESS,
    JobState.DRAFTED: StepState.IN_PROGRESS,
    JobState.DELIVERING: StepState.IN_PROGRESS,
    JobState.DELIVERED: StepState.COMPLETED,
    JobState.SKIPPED: StepState.CANCELED,
    JobState.FAILED: StepState.CANCELED,
    JobState.DEAD: StepState.CANCELED,
    JobState.CANCELED: StepState.CANCELED,
}
# The progress in each state (%).
PROGRESS = {
    JobState.GENERATING: (10, "drafting"),
    JobState.DRAFTED: (80, "drafted"),
    JobState.DELIVERING: (90, "being sent to the archive"),
}


def step_of(job: Job) -> StepState:
    """Return the state of a job's workitem; CANCELED for a draft in shadow mode, which nobody gets."""
    if job.state == JobState.DRAFTED.value and job.code == SHADOW:
        return StepState.CANCELED
    return STATES[JobState(job.state)]


def workitem_uid(job: Job, study: Study, generation: int) -> str:
    """Return the UID of a draft's workitem, which depends only on the job and the generation."""
    name = f"workitem|{study.study_instance_uid}|{job.idempotency_key}|{generation}"
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def must_begin_anew(present: StepState, wanted: StepState) -> bool:
    if present.final:
        return not wanted.final
    return present is StepState.IN_PROGRESS and wanted is StepState.SCHEDULED


def steps_between(present: StepState, wanted: StepState) -> list[StepState]:
    """The intermediate states: a final state is reached from SCHEDULED through IN PROGRESS."""
    if present is wanted or present.final:
        return []
    if present is StepState.SCHEDULED and wanted.final:
        return [StepState.IN_PROGRESS, wanted]
    return [wanted]


def readiness_of(job: Job) -> Readiness:
    return Readiness.INCOMPLETE if job.state == JobState.RECEIVING.value else Readiness.READY


def transaction_uid_of(job: Job) -> str:
    """The lease's fencing token as a UID; if the lease has ended, a UID made for the job."""
    token = job.lease_token
    number = uuid.UUID(token) if token else uuid.uuid5(uuid.NAMESPACE_OID, job.idempotency_key)
    return f"2.25.{number.int}"


def progress_of(content: Dataset, job: Job, now: datetime) -> Dataset | None:
    """Return the progress that the job's state implies; None if it is unchanged."""
    state = JobState(job.state)
    if step_of(job) is not StepState.CANCELED and state in PROGRESS:
        return progress(*PROGRESS[state])
    if state is JobState.DELIVERED:
        return progress(100, "delivered")
    if step_of(job) is StepState.CANCELED:
        why = f"{job.state.lower()}: {job.code}" if job.code else job.state.lower()
        return cancellation(content, now, code=job.code, reason=why)
    return None
