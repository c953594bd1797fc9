"""The gate: the conditions for a study to be queued, drafted or delivered, whoever requests it.

`enter` is the only function that lets a job into QUEUED from outside, and `readmit` the only one that lets a
claimed job back; `agent.queue.states.move` refuses every other way. It always reads the newest content of
each image again, so neither a retry nor an operator's command bypasses a check.

A new check is one more function in `CHECKS`. A check that needs decoded pixels belongs to drafting, which
asks this gate again before it decodes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from agent.database.identity.current import Resolve, as_stated, current, resolver
from agent.database.identity.order import order_of
from agent.database.identity.patient import Patient, contradicts, patient_of, patient_of_row, several_patients
from agent.database.session import Database
from agent.database.states import REJECTED, JobState
from agent.database.tables import Instance, Job, Study
from agent.foundation.errors import (
    AgentError,
    DemonstrationModelRefused,
    InstanceMissing,
    InvalidTransition,
    NotAChestStudy,
    ObjectOverBudget,
    PatientConflict,
    StudyChanged,
    UnreadableImage,
    UnreadableInstance,
)
from agent.foundation.failure import Failure
from agent.foundation.image_errors import ImageOverBudget
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.tree import Settings
from agent.objects.films.routing.rules import Router, RoutingDecision, Selection, router_of
from agent.objects.header import Header
from agent.objects.store import InstanceStore
from agent.queue.contents import Contents, Image, contents_of, standing_in
from agent.queue.states import check_job_step, move
from agent.queue.withdrawal import IMAGES_REJECTED, withdraw_others, withdraw_rejected

PATIENT_CONFLICT = PatientConflict.code
INSTANCE_CONFLICT = "instance-conflict"
ALL_REJECTED = "every image was taken back by a rejection note"
_OF_THE_PATIENT = ("patient_id", "issuer_of_patient_id", "patient_name", "patient_birth_date")
# The columns of a study that repeat attributes of its images.
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
    """Why a study may not be drafted, and the resulting state of its job."""

    state: JobState
    error: AgentError
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The input of the checks: the images that count, and what the rules decide on them, also in words."""

    images: tuple[Image, ...]
    selection: Selection
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The gate's judgement of a study at one moment.

    contents: what was checked; another image since then invalidates the judgement.
    images: the images of the study's patient. rejected: the SOP Instances that a rejection note has taken
    back. left_out: how many name another one, by a person's decision.
    values: the attributes for the study's row; empty if the images do not agree on one patient.
    decisions: the rules' decision on each image, by its content's digest. reason: the same in words.
    """

    contents: Contents
    images: tuple[Image, ...] = ()
    rejected: frozenset[str] = frozenset()
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
        reason=facts.reason,
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
        DatabaseUnavailable, StoreUnavailable: nothing is known; try again.
    """
    with database.reading() as session:
        contents = contents_of(session, study_id, up_to_revision=up_to_revision)
        study = session.get_one(Study, study_id)
        decided, order = study.patient_content, order_of(session, study)
    return judge_contents(
        contents,
        decided,
        router_of(settings),
        store,
        resolver(database),
        procedure="" if order is None else order.procedure,
    )


def judge_contents(
    contents: Contents,
    decided: str | None,
    router: Router,
    store: InstanceStore,
    resolve: Resolve = as_stated,
    *,
    procedure: str = "",
) -> Judgement:
    """Judge the contents of a study.

    decided: the content whose patient a person chose for the study; the decision lapses when that image
    arrives with another content. resolve: who a patient is now; the
    identities of one patient are no conflict. procedure: what the RIS says was ordered; it counts for images
    that state no requested procedure.

    Raises:
        StoreUnavailable: nothing is known; ask again.
    """
    try:
        standing = standing_in(contents, store)
    except (InstanceMissing, UnreadableInstance) as error:
        refusal = Refusal(state=JobState.FAILED, error=error, code=error.code, reason=str(error))
        return Judgement(contents=contents, values={}, refusal=refusal)
    images, rejected = standing.images, standing.rejected
    named = {one.content.sha256: resolve(patient_of(one.header)) for one in images}
    chosen = named.get(decided or "")
    ours = tuple(
        one for one in images if chosen is None or not contradicts(chosen, named[one.content.sha256])
    )
    if several_patients(named[one.content.sha256] for one in ours):
        return Judgement(contents=contents, images=images, rejected=rejected, values={}, refusal=_conflict())
    selection = router.select([_with_procedure(one.header, procedure) for one in ours])
    reason = ALL_REJECTED if rejected and not images else selection.reason
    facts = Facts(images=ours, selection=selection, reason=reason)
    refusals = (found for check in CHECKS if (found := check(facts)) is not None)
    decisions = dict(zip((one.content.sha256 for one in ours), selection.decisions, strict=True))
    return Judgement(
        contents=contents,
        images=ours,
        rejected=rejected,
        left_out=len(images) - len(ours),
        values=_values([one.header for one in ours], [named[one.content.sha256] for one in ours]),
        decisions=decisions,
        refusal=next(refusals, None),
        reason=reason,
    )


def _with_procedure(header: Header, procedure: str) -> Header:
    if header.requested_procedures or not procedure:
        return header
    return replace(header, requested_procedures=(procedure,))


def _conflict() -> Refusal:
    text = str(PatientConflict.__doc__)
    return Refusal(state=JobState.FAILED, error=PatientConflict(text), code=PATIENT_CONFLICT, reason=text)


def _values(headers: Sequence[Header], patients: Sequence[Patient]) -> Mapping[str, str]:
    """The attributes of the images; the last received image takes precedence.

    patients: who the image's patient is now, in the same order.
    """

    def stated(column: str) -> str:
        sources: Sequence[Header | Patient] = patients if column in _OF_THE_PATIENT else headers
        return next((value for one in reversed(sources) if (value := getattr(one, column))), "")

    return {column: stated(column) for column in STUDY_COLUMNS}


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
    """Move a job to QUEUED, or to the state of the refusal; the only way in. Return the new state.

    The caller holds the rows of the study and of the job, in this order. A stopped job that a person wants
    retried cannot move to the state of its refusal: it stays as it is, and the refusal is raised.

    Raises:
        StudyChanged: another image arrived since the study was judged; judge it again.
        InvalidTransition: a newer revision of the study exists, or the job's state does not allow it.
        PatientConflict, NotAChestStudy, InstanceMissing, UnreadableInstance: the study is refused.
    """
    if not still_holds(session, study.id, judgement):
        raise StudyChanged("an image of the study arrived while it was checked; try again")
    if _is_superseded(session, job):
        raise InvalidTransition(
            f"job {job.id} is of revision {job.revision}, and the study has a newer one: only that is drafted"
        )
    settle_identity(session, study, judgement, now=now, actor=actor)
    _keep_decisions(session, study, judgement)
    refusal = judgement.refusal
    if refusal is None:
        check_job_step(job.state, JobState.QUEUED)
        move(session, job, JobState.QUEUED, now=now, code=code, reason=reason, actor=actor, admitted=True)
        return JobState.QUEUED
    if job.state != JobState.RECEIVING.value:
        raise refusal.error
    move(session, job, refusal.state, now=now, code=refusal.code, reason=refusal.reason, actor=actor)
    return refusal.state


def _keep_decisions(session: Session, study: Study, judgement: Judgement) -> None:
    """Store with each image whether it was skipped for the wording of its attributes; `status` counts these
    by sender.
    """
    wanted = select(Instance).where(Instance.sha256.in_(list(judgement.decisions)))
    for row in session.scalars(wanted) if judgement.decisions else ():
        decision = judgement.decisions[row.sha256]
        row.skipped_by = decision.rule if decision.for_words else None
        row.skipped_region = decision.region.name if decision.for_words else ""
        row.skipped_words = decision.words if decision.for_words else ""
    rejected = select(Instance).where(
        Instance.study_id == study.id, Instance.sop_instance_uid.in_(judgement.rejected)
    )
    for row in session.scalars(rejected) if judgement.rejected else ():
        row.skipped_by, row.skipped_region, row.skipped_words = REJECTED, "", ""


def _is_superseded(session: Session, job: Job) -> bool:
    """Whether the study has a later revision of its images; the revision of a verdict does not count."""
    later = exists().where(Job.study_id == job.study_id, Job.kind == job.kind, Job.revision > job.revision)
    return bool(session.scalar(select(later)))


def readmit(
    session: Session, job: Job, *, now: datetime, code: str | None, reason: str | None, actor: str
) -> JobState:
    """Return a job that a worker had claimed to QUEUED; the next worker that claims it judges it again.

    If its study has a patient conflict by now, it is FAILED instead.
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
    """Record the study's patient; drafts that were sent under another patient, or that were made from images
    that were rejected since, are to be withdrawn.
    """
    refusal = judgement.refusal
    withdraw_rejected(session, study, judgement.rejected, now=now, actor=actor)
    if refusal is not None and refusal.code == PATIENT_CONFLICT:
        study.conflict = PATIENT_CONFLICT
        return
    if not judgement.images:
        # Unreadable, purged or all rejected: nothing indicates that the study is another patient's.
        if refusal is not None and refusal.state is JobState.SKIPPED and judgement.contents.here:
            withdraw_others(session, study, None, now=now, actor=actor, why=IMAGES_REJECTED)
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
        if isinstance(judgement.refusal.error, ObjectOverBudget):
            raise ImageOverBudget(judgement.refusal.reason)
        if isinstance(judgement.refusal.error, UnreadableInstance):
            raise UnreadableImage("an image's header cannot be read; resend the study")
        raise judgement.refusal.error
    return judgement


def check_draft(session: Session, study_id: int, patients: Sequence[Patient]) -> None:
    """The last check before a draft is written: the study still belongs to the patient of its images.

    Locks the study's row, so that no correction slips in between.

    Raises:
        PatientConflict: the study was corrected, or got a conflict, while it was drafted.
        StudyChanged: the RIS has merged or renamed the patient meanwhile.
    """
    study = session.get_one(Study, study_id, with_for_update=True, populate_existing=True)
    wanted = patient_of_row(study)
    now = [current(session, one) for one in patients]
    if study.conflict == PATIENT_CONFLICT or any(contradicts(wanted, one) for one in now):
        raise PatientConflict("the patient of the study was corrected while it was drafted")
    written = [(one.patient_id, one.patient_name) for one in patients]
    if written != [(one.patient_id, one.patient_name) for one in now]:
        raise StudyChanged("the patient was merged or renamed while the study was drafted; it is tried again")


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
