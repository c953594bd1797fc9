"""The outcome of the demo's studies: read from the agent's database, written as the demo's JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.commands.demo.ris import DemoOrder, ReceivedResult
from agent.commands.demo.sending import Sent
from agent.database.session import Database
from agent.database.states import ENDED, JobState
from agent.database.tables import Delivery, Draft, Job, JobEvent, Study
from agent.objects.header import STAT_PRIORITY
from agent.operations.status import percentile
from agent.reports.material import digest_of, one_line
from model.findings.types import Finding, Presence

FAILED = frozenset({JobState.FAILED, JobState.DEAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOutcome:
    """One study's newest job; `times` are the seconds from the last image to each state, and to storage
    in the PACS.
    """

    study_instance_uid: str
    state: JobState
    code: str | None
    reason: str | None
    times: Mapping[str, float]
    stored_s: float | None
    text: str
    # The digest of the clinical question given to the network; empty for none.
    question_sha256: str
    priority: int
    findings: Mapping[str, tuple[str, ...]]
    flags: Sequence[str]
    forwards: int | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen without a person."""
        return self.state in ENDED

    @property
    def drafted_s(self) -> float | None:
        """Seconds from the last image to the draft."""
        return self.times.get(JobState.DRAFTED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """A study of the demo: its result, the findings in its phantom, and the place of its files.

    order: the order of the RIS; received: the messages that it was sent about the study, in order.
    """

    outcome: DemoOutcome
    truth: Sequence[Finding] | None
    sr: Sequence[Path]
    order: DemoOrder | None = None
    received: Sequence[ReceivedResult] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """The whole demo."""

    results: Sequence[StudyResult]
    objects: Sequence[Sent]
    model: Mapping[str, Any]
    output: Path

    @property
    def delivered(self) -> int:
        """Studies whose documents the PACS has."""
        return sum(one.outcome.state is JobState.DELIVERED for one in self.results)

    @property
    def failed(self) -> int:
        """Studies that failed, or were not finished when the demo ended."""
        return sum(one.outcome.state in FAILED or not one.outcome.ended for one in self.results)

    @property
    def skipped(self) -> int:
        """Studies that a rule skipped."""
        return sum(one.outcome.state is JobState.SKIPPED for one in self.results)


def read_outcomes(database: Database, study_instance_uids: Sequence[str]) -> dict[str, DemoOutcome]:
    """Return the outcomes of the studies that have arrived."""
    with database.reading() as session:
        rows = session.execute(
            select(Study, Job)
            .join(Job, (Job.study_id == Study.id) & (Job.revision == Study.revision))
            .where(Study.study_instance_uid.in_(study_instance_uids))
        ).all()
        return {study.study_instance_uid: _outcome(session, study, job) for study, job in rows}


def read_model(
    database: Database, identity: Mapping[str, Any], outcomes: Sequence[DemoOutcome]
) -> dict[str, Any]:
    """Return what is known about the model: `identity` is what the worker reports about itself."""
    forwards = [one.forwards for one in outcomes if one.forwards is not None]
    with database.reading() as session:
        draft = session.scalar(select(Draft).where(Draft.outcome == "drafted").limit(1))
        name = draft.model_name if draft is not None else identity.get("model")
        digest = draft.model_digest if draft is not None else identity.get("weights_sha256")
        demonstration = draft.demonstration if draft is not None else identity.get("demonstration")
    return {
        "name": name,
        "revision": digest,
        "demonstration": demonstration,
        "block_size": identity.get("block_size"),
        "forwards_per_report": round(sum(forwards) / len(forwards), 2) if forwards else None,
    }


def as_object(result: DemoResult) -> dict[str, Any]:
    """Return the result as the object that `--json` prints."""
    drafted = [r.outcome.drafted_s for r in result.results if r.outcome.drafted_s is not None]
    stored = [r.outcome.stored_s for r in result.results if r.outcome.stored_s is not None]
    return {
        "studies": len(result.results),
        "delivered": result.delivered,
        "skipped": result.skipped,
        "failed": result.failed,
        "seconds": {
            "last_image_to_drafted_p50": percentile(drafted, 50),
            "last_image_to_drafted_p95": percentile(drafted, 95),
            "last_image_to_stored_p50": percentile(stored, 50),
            "last_image_to_stored_p95": percentile(stored, 95),
        },
        "model": dict(result.model),
        "reports": [_report(one) for one in result.results],
        "objects": {
            "sent": len(result.objects),
            "accepted": sum(one.accepted for one in result.objects),
            "not_accepted": [
                {"object": one.label, "reason": one.reason} for one in result.objects if not one.accepted
            ],
        },
        "output": str(result.output),
    }


def concepts(findings: Sequence[Finding], presence: Presence) -> tuple[str, ...]:
    """Return the concepts with this presence, each once, in order."""
    return tuple(dict.fromkeys(one.concept for one in findings if one.presence is presence))


def _report(result: StudyResult) -> dict[str, Any]:
    outcome, truth = result.outcome, result.truth
    return {
        "study_instance_uid": outcome.study_instance_uid,
        "state": outcome.state.value,
        "code": outcome.code,
        "reason": outcome.reason,
        "text": outcome.text,
        "findings": {name: list(found) for name, found in outcome.findings.items()},
        "flags": list(outcome.flags),
        "truth": None
        if truth is None
        else {
            "present": list(concepts(truth, Presence.PRESENT)),
            "absent": list(concepts(truth, Presence.ABSENT)),
        },
        "seconds": dict(outcome.times),
        "sr": [str(path) for path in result.sr],
        **({} if result.order is None else {"order": _order(result.order, result)}),
    }


def _order(order: DemoOrder, result: StudyResult) -> dict[str, Any]:
    return {
        "accession_number": order.accession_number,
        "placer_number": order.placer_number,
        "question": order.question,
        "priority": order.priority,
        "question_in_draft": result.outcome.question_sha256 == digest_of(one_line(order.question)),
        "stat": result.outcome.priority == STAT_PRIORITY,
        "results": [asdict(one) for one in result.received],
    }


def _outcome(session: Session, study: Study, job: Job) -> DemoOutcome:
    draft = session.scalar(
        select(Draft)
        .where(Draft.job_id == job.id, Draft.outcome == "drafted")
        .order_by(Draft.id.desc())
        .limit(1)
    )
    content: dict[str, Any] = {} if draft is None else draft.content
    stored_at = session.execute(
        select(func.max(Delivery.stored_at)).where(Delivery.job_id == job.id)
    ).scalar()
    return DemoOutcome(
        study_instance_uid=study.study_instance_uid,
        state=JobState(job.state),
        code=job.code,
        reason=job.reason,
        times=_times(session, study, job),
        stored_s=None if stored_at is None else _since(study.last_received_at, stored_at),
        text="" if draft is None else draft.text,
        question_sha256=str(content.get("question_sha256") or ""),
        priority=job.priority,
        findings={
            presence.value: tuple(
                dict.fromkeys(
                    str(one["concept"])
                    for one in content.get("findings", ())
                    if one["presence"] == presence.value
                )
            )
            for presence in Presence
        },
        flags=tuple(str(flag["text"]) for flag in content.get("flags", ())),
        forwards=content.get("statistics", {}).get("forwards"),
    )


def _times(session: Session, study: Study, job: Job) -> dict[str, float]:
    events = session.execute(
        select(JobEvent.to_state, JobEvent.at).where(JobEvent.job_id == job.id).order_by(JobEvent.id)
    )
    return {state: _since(study.last_received_at, at) for state, at in events}


def _since(start: datetime, end: datetime) -> float:
    return round((end - start).total_seconds(), 3)
