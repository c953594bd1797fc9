"""A radiologist's verdict: a new revision of the study's documents that names its predecessor.

Nothing is overwritten: the verdict adds a draft row with the result, its documents, their deliveries and
a job of its own, all in one transaction. It is refused if the study has changed since it was displayed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from pydicom import Dataset, dcmread
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.audit import web_actor as audit
from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Document, Draft, Instance, Job, Study, User, Verdict
from agent.foundation.errors import InstanceMissing, NotFound, StaleEdit, VerdictRefused
from agent.foundation.settings.tree import Settings
from agent.objects.pixels import load_header
from agent.objects.store import InstanceStore
from agent.queue import deliveries
from agent.queue.jobs import idempotency_key
from agent.queue.states import move
from agent.reports import publish
from agent.reports.algorithms import algorithm_of_draft
from agent.reports.edited_report import (
    Report,
    agreement,
    drafted_report,
    edit_distance,
    read_findings,
)
from agent.reports.flags import AFTER_VERIFICATION
from agent.reports.headers import as_told
from agent.reports.publish import Record
from agent.reports.read_back import checked
from agent.reports.views import with_views
from dicom_sr.document import (
    Algorithm,
    DocumentPair,
    DocumentPairReference,
    DraftContent,
    SourceStudy,
    Verification,
    build_rejection,
    build_verified,
)
from dicom_sr.rejection_note import build_rejection_note
from dicom_sr.source import text
from dicom_sr.values import FindingsSopClass
from model.drafts.draft import FlagCode
from model.findings.extract import ReportReading
from model.findings.stored import finding_of
from model.findings.types import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """The person responsible for the verdict: a DICOM person name, the user's row if there is one, and
    the actor.
    """

    person_name: str
    user_id: int | None
    actor: audit.Actor
    # The person's code in the hospital and its coding scheme; empty if there is none.
    identification: str = ""
    identification_scheme: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOffDecision:
    """The decision and its basis: the newest draft and the study's revision as they were shown.

    `reason` is given for a rejection; otherwise `report` is what the radiologist signs.
    """

    study_id: int
    draft_id: int
    revision: int
    report: Report | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Basis:
    """The current state of the study: the software's draft, and the headers of the images that it was made
    from."""

    study_instance_uid: str
    drafted: Draft
    headers: Sequence[Dataset]
    before: Mapping[FindingsSopClass, DocumentPairReference | None]
    # The report that was verified before, which an acceptance replaces too.
    verified: Mapping[FindingsSopClass, DocumentPairReference | None]
    created: datetime


def give(
    database: Database,
    store: InstanceStore,
    settings: Settings,
    decision: SignOffDecision,
    observer: Observer,
) -> int:
    """Record a verdict; return the id of its row.

    Raises:
        StaleEdit: another revision has arrived since the page was shown; nothing was written.
        VerdictRefused: an empty report, or a rejection without a reason.
        NotFound: there is no draft to judge.
        InstanceMissing: the images are gone, so no document can name them.
        StructuredReportError: the documents cannot be encoded.
    """
    _check_whole(decision)
    observer = _identified(database, observer)
    basis = _basis(database, store, settings, decision)
    drafted = basis.drafted
    before = [finding_of(one) for one in drafted.content.get("findings", ())]
    draft_report = drafted_report(drafted.content, drafted.text)
    changed = decision.report is not None and decision.report != draft_report
    reading = None if decision.report is None else read_findings(decision.report)
    after: Sequence[Finding] = () if reading is None else reading.findings if changed else before
    record = with_views(
        _record(settings, decision, observer, basis, after, reading, changed=changed), settings
    )
    edits, words = (0, 0) if decision.report is None else edit_distance(draft_report, decision.report)
    with database.transaction() as session:
        study = session.get_one(Study, decision.study_id, with_for_update=True)
        _check_fresh(session, study, decision)
        now = database_now(session)
        job = _new_job(session, study, drafted.urgency, now, observer)
        result = publish.write(session, job, record, algorithm_of_draft(drafted), settings, now=now)
        deliveries.settle(session, job, now, observer.actor.name)
        kind = "rejected" if decision.report is None else "changed" if changed else "accepted"
        verdict = Verdict(
            study_id=study.id,
            draft_id=drafted.id,
            result_id=result.id,
            kind=kind,
            reason=decision.reason.strip() if decision.report is None else "",
            user_id=observer.user_id,
            observer_name=observer.person_name,
            at=now,
            edited_words=edits,
            draft_words=words,
            agreement={} if decision.report is None else agreement(before, after),
        )
        session.add(verdict)
        audit.add_action(session, observer.actor, "verdict", study_id=study.id, details={"kind": kind})
        session.flush()
        return verdict.id


def _identified(database: Database, observer: Observer) -> Observer:
    """Add the hospital's code for the observer, if the user has one."""
    if observer.user_id is None:
        return observer
    with database.reading() as session:
        user = session.get(User, observer.user_id)
    if user is None:
        return observer
    return replace(
        observer,
        identification=user.identification,
        identification_scheme=user.identification_scheme,
    )


def _check_whole(decision: SignOffDecision) -> None:
    """Refuse an empty verdict."""
    if decision.report is None and not decision.reason.strip():
        raise VerdictRefused("a rejection needs a reason")
    if decision.report is not None and decision.report.empty:
        raise VerdictRefused("a report needs at least one sentence")


def _new_job(session: Session, study: Study, priority: int, now: datetime, observer: Observer) -> Job:
    """Create the study's next revision, and the job for its delivery."""
    study.revision += 1
    job = Job(
        kind="verdict",
        idempotency_key=idempotency_key("verdict", study.study_instance_uid, study.revision),
        study_id=study.id,
        revision=study.revision,
        priority=priority,
        run_after=now,
        created_at=now,
        updated_at=now,
    )
    move(session, job, JobState.DRAFTED, now=now, actor=observer.actor.name)
    return job


def _basis(database: Database, store: InstanceStore, settings: Settings, decision: SignOffDecision) -> _Basis:
    with database.reading() as session:
        study = session.get(Study, decision.study_id)
        if study is None:
            raise NotFound("there is no such study")
        _check_fresh(session, study, decision)
        drafted = session.scalar(
            select(Draft)
            .where(Draft.study_id == study.id, Draft.outcome == "drafted", Draft.shadow.is_(False))
            .order_by(Draft.id.desc())
            .limit(1)
        )
        if drafted is None:
            raise NotFound("the study has no draft to judge")
        digests = _evidence(session, drafted)
        created = database_now(session).astimezone()
        before, verified = (
            {
                variant: publish.predecessors(
                    session, study.id, study.study_instance_uid, variant, outcome=outcome
                )
                for variant in publish.variants(settings.destinations)
            }
            for outcome in (None, "verified")
        )
    paths = [store.open(digest) for digest in digests]
    if not paths or not all(path.is_file() for path in paths):
        raise InstanceMissing("an image of the study is gone: restore it, or resend the study")
    return _Basis(
        study_instance_uid=study.study_instance_uid,
        drafted=drafted,
        headers=as_told(database, decision.study_id, [load_header(path) for path in paths]),
        before=before,
        verified=verified,
        created=created,
    )


def _check_fresh(session: Session, study: Study, decision: SignOffDecision) -> None:
    newest = session.scalars(
        select(Draft)
        .where(Draft.study_id == study.id, Draft.shadow.is_(False))
        .order_by(Draft.id.desc())
        .limit(1)
    ).first()
    shown = None if newest is None or newest.withdrawal else newest.id
    if (shown, study.revision) != (decision.draft_id, decision.revision):
        raise StaleEdit("another revision of this study has arrived; your text is kept below")


def _evidence(session: Session, drafted: Draft) -> list[str]:
    """Return the digests of the images that the draft's own document names, as they were received."""
    content = session.scalar(
        select(Document.content).where(Document.draft_id == drafted.id, Document.role == "findings").limit(1)
    )
    if content is None:
        return []
    named = {
        str(instance.ReferencedSOPInstanceUID)
        for one in dcmread(io.BytesIO(content)).CurrentRequestedProcedureEvidenceSequence
        for series in one.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    rows = session.execute(
        select(Instance.sop_instance_uid, Instance.sha256)
        .where(
            Instance.study_id == drafted.study_id,
            Instance.revision <= drafted.revision,
            Instance.prior.is_(False),
        )
        .order_by(Instance.id)
    ).all()
    newest = {row.sop_instance_uid: row.sha256 for row in rows if row.sop_instance_uid in named}
    return list(newest.values())


def _record(
    settings: Settings,
    decision: SignOffDecision,
    observer: Observer,
    basis: _Basis,
    findings: Sequence[Finding],
    reading: ReportReading | None,
    *,
    changed: bool,
) -> Record:
    drafted, study = basis.drafted, SourceStudy(images=basis.headers)
    algorithm = algorithm_of_draft(drafted)
    report = decision.report
    common: dict[str, Any] = {"revision": decision.revision + 1, "created": basis.created}
    documents: dict[str, DocumentPair] = {}
    for variant, before in basis.before.items():
        named = common | {"predecessors": before, "findings_sop_class": variant}
        if report is None:
            documents[variant] = build_rejection(
                study, decision.reason.strip(), "rejected", algorithm, **named
            )
            continue
        documents[variant] = build_verified(
            study,
            DraftContent(
                findings=findings,
                findings_sentences=report.findings,
                impression_sentences=report.impression,
            ),
            algorithm,
            Verification(
                observer_name=observer.person_name,
                organization=settings.web.organization or _institution(basis.headers),
                verified_at=basis.created,
                edited=changed,
                identification=observer.identification,
                identification_scheme=observer.identification_scheme,
            ),
            locale="en" if reading is None else reading.locale,
            also_replaces=basis.verified[variant] if basis.verified[variant] != before else None,
            **named,
        )
    renewed = (AFTER_VERIFICATION, FlagCode.UNREAD_LANGUAGE)
    flags = [one for one in drafted.content.get("flags", ()) if one["code"] not in renewed]
    notices = () if reading is None else reading.notices
    if notices:
        flags.append({"code": FlagCode.UNREAD_LANGUAGE.value, "text": " ".join(notices)})
    kept = {"algorithm": drafted.content.get("algorithm"), "flags": flags}
    return Record(
        model_digest=drafted.model_digest,
        model_name=drafted.model_name,
        demonstration=drafted.demonstration,
        outcome="rejected" if report is None else "verified",
        text="" if report is None else report.text,
        content=kept | ({"reason": decision.reason.strip()} if report is None else _said(report, findings)),
        urgency=drafted.urgency,
        seconds=0.0,
        documents=checked(documents, findings if report is not None else ()),
        notes=_notes(settings, basis, algorithm) if report is None else {},
    )


def _notes(settings: Settings, basis: _Basis, algorithm: Algorithm) -> dict[str, Dataset]:
    """Build the rejection notes, for the archives that use them to withdraw documents (IHE IOCM)."""
    wanted = {one.findings_sop_class for one in settings.destinations if one.rejection_notes}
    return {
        variant: build_rejection_note(
            SourceStudy(images=basis.headers),
            (before.findings, before.report),
            "quality",
            algorithm,
            created=basis.created,
        )
        for variant, before in basis.before.items()
        if before is not None and variant in wanted
    }


def _said(report: Report, findings: Sequence[Finding]) -> dict[str, Any]:
    sections = (("findings", report.findings), ("impression", report.impression))
    return {
        "findings": [asdict(finding) for finding in findings],
        "sentences": {
            name: [{"text": one, "confidence": 1.0, "doubtful": False} for one in sentences]
            for name, sentences in sections
        },
    }


def _institution(headers: Sequence[Dataset]) -> str:
    named = (text(header, "InstitutionName") for header in headers)
    return next((name for name in named if name), "organization not stated")
