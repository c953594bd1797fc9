"""The gate: what must hold before a study is queued, drafted or delivered, whoever asks.

`enter` is the only function that lets a job into QUEUED from outside, and `readmit` the only one that lets a
claimed job back; `agent.queue.states.move` refuses every other way. What is judged is always read anew from
the newest content of each image: neither a retry nor an operator's command goes around a check.

A new check is one more function in `CHECKS`. One that needs decoded pixels belongs to drafting, where this
gate is asked again before the pixels are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from agent.database.session import Database
from agent.database.states import JobState
from agent.database.tables import Instance, Job, Study
from agent.films.routing.rules import Router, RoutingDecision, Selection, router_of
from agent.foundation.errors import (
    AgentError,
    DemonstrationModelRefused,
    InstanceMissing,
    InvalidTransition,
    NotAChestStudy,
    PatientConflict,
    StudyChanged,
    UnreadableImage,
    UnreadableInstance,
)
from agent.foundation.failure import Failure
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.tree import Settings
from agent.objects.header import Header
from agent.objects.identity import Patient, contradicts, patient_of, patient_of_row, several_patients
from agent.objects.store import InstanceStore
from agent.queue.contents import Contents, Image, contents_of, images_in
from agent.queue.states import check_job_step, move
from agent.queue.withdrawal import withdraw_others

PATIENT_CONFLICT = PatientConflict.code
INSTANCE_CONFLICT = "instance-conflict"
# The columns of a study that repeat what its images say.
STUDY_COLUMNS = (
    "patient_id",
    "issuer_of_patient_id",
    "patient_name",
    "patient_birth_date",
    "accession_number",
    "study_date",
    "study_time",
    "study_description",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a study may not be drafted, and the state in which its job says so."""

    state: JobState
    error: AgentError
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the checks look at: the images that count, and what the rules say of them."""

    images: tuple[Image, ...]
    selection: Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the gate made of a study at one moment.

    contents: what was looked at; another image since then makes the judgement void.
    images: the images of the study's patient. left_out: how many name another one, by a person's decision.
    values: what the images say for the study's row; empty where they do not agree on one patient.
    decisions: the rules' decision on each image, by its content's digest. reason: the same in words.
    """

    contents: Contents
    images: tuple[Image, ...] = ()
    left_out: int = 0
    values: Mapping[str, str]
    decisions: Mapping[str, RoutingDecision] = field(default_factory=dict)
    refusal: Refusal | None
    reason: str | None = None

    @property
    def accepted(self) -> frozenset[str]:
        """The contents that may be drafted from."""
        return frozenset(sha256 for sha256, one in self.decisions.items() if one.accepted)


def eligible(facts: Facts) -> Refusal | None:
    """An image of the study must be eligible under the rules as they are now."""
    if facts.selection.accepted:
        return None
    return Refusal(
        state=JobState.SKIPPED,
        error=NotAChestStudy("no image of the study is eligible under the rules of `eligibility`"),
        code=facts.selection.skipping_rule,
        reason=facts.selection.reason,
    )


CHECKS: Sequence[Callable[[Facts], Refusal | None]] = (eligible,)


def modality_filter(settings: Settings) -> Callable[[str], bool]:
    """Return a function: whether an image with only a known modality may be eligible under the rules."""
    return router_of(settings).may_accept


def judge(
    database: Database,
    store: InstanceStore,
    settings: Settings,
    study_id: int,
    *,
    up_to_revision: int | None = None,
) -> Judgement:
    """Judge a study by the newest content of its images.

    Raises:
        DatabaseUnavailable, StoreUnavailable: nothing is known; ask again.
    """
    with database.reading() as session:
        contents = contents_of(session, study_id, up_to_revision=up_to_revision)
        decided = session.scalar(select(Study.patient_content).where(Study.id == study_id))
    return judge_contents(contents, decided, router_of(settings), store)


def judge_contents(
    contents: Contents, decided: str | None, router: Router, store: InstanceStore
) -> Judgement:
    """Judge the contents of a study.

    decided: the content whose patient is the study's by a person's decision; it lapses when that image comes
    again with another content.

    Raises:
        StoreUnavailable: nothing is known; ask again.
    """
    try:
        images = images_in(contents, store)
    except (InstanceMissing, UnreadableInstance) as error:
        refusal = Refusal(state=JobState.FAILED, error=error, code=error.code, reason=str(error))
        return Judgement(contents=contents, values={}, refusal=refusal)
    chosen = next((patient_of(one.header) for one in images if one.content.sha256 == decided), None)
    ours = tuple(one for one in images if chosen is None or not contradicts(chosen, patient_of(one.header)))
    if several_patients(patient_of(one.header) for one in ours):
        return Judgement(contents=contents, images=images, values={}, refusal=_conflict())
    selection = router.select([one.header for one in ours])
    facts = Facts(images=ours, selection=selection)
    refusals = (found for check in CHECKS if (found := check(facts)) is not None)
    decisions = dict(zip((one.content.sha256 for one in ours), selection.decisions, strict=True))
    return Judgement(
        contents=contents,
        images=ours,
        left_out=len(images) - len(ours),
        values=_values([one.header for one in ours]),
        decisions=decisions,
        refusal=next(refusals, None),
        reason=selection.reason,
    )


def _conflict() -> Refusal:
    text = str(PatientConflict.__doc__)
    return Refusal(state=JobState.FAILED, error=PatientConflict(text), code=PATIENT_CONFLICT, reason=text)


def _values(headers: Sequence[Header]) -> Mapping[str, str]:
    """What the images say, the one that came last first: a correction comes after what it corrects."""
    return {
        column: next((value for one in reversed(headers) if (value := getattr(one, column))), "")
        for column in STUDY_COLUMNS
    }


def still_holds(session: Session, study_id: int, judgement: Judgement) -> bool:
    """Whether a study still consists of what was judged."""
    return contents_of(session, study_id).sha256s == judgement.contents.sha256s


def enter(
    session: Session,
    study: Study,
    job: Job,
    judgement: Judgement,
    *,
    now: datetime,
    actor: str,
    code: str | None = None,
    reason: str | None = None,
) -> JobState:
    """Let a job into QUEUED, or to where the judgement sends it; the only way in. Return the new state.

    The caller holds the rows of the study and of the job, in this order. A job that cannot go to the state of
    its refusal, because a person asks for a stopped one, stays where it is, and the refusal is raised.

    Raises:
        StudyChanged: another image came since the study was judged; judge it again.
        InvalidTransition: a newer revision of the study exists, or the job's state leads nowhere near.
        PatientConflict, NotAChestStudy, InstanceMissing, UnreadableInstance: the gate stays shut.
    """
    if not still_holds(session, study.id, judgement):
        raise StudyChanged("an image of the study came while it was judged; try again")
    if _is_superseded(session, job):
        raise InvalidTransition(
            f"job {job.id} is of revision {job.revision}, and the study has a newer one: only that is drafted"
        )
    settle_identity(session, study, judgement, now=now, actor=actor)
    _keep_decisions(session, judgement)
    refusal = judgement.refusal
    if refusal is None:
        check_job_step(job.state, JobState.QUEUED)
        move(session, job, JobState.QUEUED, now=now, code=code, reason=reason, actor=actor, admitted=True)
        return JobState.QUEUED
    if job.state != JobState.RECEIVING.value:
        raise refusal.error
    move(session, job, refusal.state, now=now, code=refusal.code, reason=refusal.reason, actor=actor)
    return refusal.state


def _keep_decisions(session: Session, judgement: Judgement) -> None:
    """Keep with each image whether it was skipped for its words: `status` sums that up by sender."""
    wanted = select(Instance).where(Instance.sha256.in_(list(judgement.decisions)))
    for row in session.scalars(wanted) if judgement.decisions else ():
        decision = judgement.decisions[row.sha256]
        row.skipped_by = decision.rule if decision.for_words else None
        row.skipped_region = decision.region.name if decision.for_words else ""
        row.skipped_words = decision.words if decision.for_words else ""


def _is_superseded(session: Session, job: Job) -> bool:
    """Whether the study has a later revision of its images; a verdict's revision is none of them."""
    later = exists().where(Job.study_id == job.study_id, Job.kind == job.kind, Job.revision > job.revision)
    return bool(session.scalar(select(later)))


def readmit(
    session: Session, job: Job, *, now: datetime, code: str | None, reason: str | None, actor: str
) -> JobState:
    """Let a job that a worker had claimed back into QUEUED; the worker that claims it next judges it anew.

    One whose study has got a patient conflict meanwhile is FAILED instead.
    """
    conflict = session.scalar(select(Study.conflict).where(Study.id == job.study_id))
    if conflict == PATIENT_CONFLICT:
        refusal = _conflict()
        move(session, job, refusal.state, now=now, code=refusal.code, reason=refusal.reason, actor=actor)
        return refusal.state
    move(session, job, JobState.QUEUED, now=now, code=code, reason=reason, actor=actor, admitted=True)
    return JobState.QUEUED


def settle_identity(
    session: Session, study: Study, judgement: Judgement, *, now: datetime, actor: str
) -> None:
    """Write whose study it is; drafts that went out under another patient are to be withdrawn."""
    refusal = judgement.refusal
    if refusal is not None and refusal.code == PATIENT_CONFLICT:
        study.conflict = PATIENT_CONFLICT
        return
    if not judgement.images:
        # Unreadable, purged, or all taken back: nothing says that the study is another patient's.
        if refusal is not None and refusal.state is JobState.SKIPPED and judgement.contents.here:
            withdraw_others(session, study, None, now=now, actor=actor)
        return
    for column, value in judgement.values.items():
        setattr(study, column, value)
    if study.conflict == PATIENT_CONFLICT:
        study.conflict = INSTANCE_CONFLICT if judgement.contents.changed else None
    withdraw_others(session, study, patient_of_row(study), now=now, actor=actor)


def images_to_draft(
    database: Database,
    store: InstanceStore,
    settings: Settings,
    study_id: int,
    revision: int,
) -> Judgement:
    """Judge a claimed job's study again, up to its revision, just before its pixels are decoded.

    Raises:
        PatientConflict, NotAChestStudy, InstanceMissing: the study may not be drafted.
        UnreadableImage: an image's header cannot be read.
    """
    judgement = judge(database, store, settings, study_id, up_to_revision=revision)
    if not judgement.contents.here:
        raise InstanceMissing("the images of the study were purged: resend it, then try again")
    if judgement.refusal is not None:
        if isinstance(judgement.refusal.error, UnreadableInstance):
            raise UnreadableImage("an image's header cannot be read; resend the study")
        raise judgement.refusal.error
    return judgement


def check_draft(session: Session, study_id: int, patients: Sequence[Patient]) -> None:
    """The last look before a draft is written: the study is still its images' patient's.

    Locks the study's row, so that no correction slips in between.

    Raises:
        PatientConflict: the study has been corrected, or has got a conflict, while it was drafted.
    """
    study = session.get_one(Study, study_id, with_for_update=True, populate_existing=True)
    wanted = patient_of_row(study)
    if study.conflict == PATIENT_CONFLICT or any(contradicts(wanted, one) for one in patients):
        raise PatientConflict("the patient of the study was corrected while it was drafted")


def refused_destination(
    *, demonstration: bool, destination: DestinationSettings, settings: Settings
) -> Failure | None:
    """Return why a destination may not have a network's documents, or None when it may."""
    if not demonstration or destination.loopback or settings.model.allow_demonstration:
        return None
    return Failure(
        code=DemonstrationModelRefused.code,
        reason=(
            "drafts of the demonstration model leave this machine only with model.allow_demonstration: true"
        ),
        retryable=False,
    )
