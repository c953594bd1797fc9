"""Compares drafts with the signed reports of their studies, as soon as both are available.

A report may arrive before or after the draft. Each pass takes the studies whose draft or report is new since
the last pass, and a correction replaces the comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.signed_text import ADDENDUM_ALONE
from agent.database.tables import (
    ChallengerComparison,
    ChallengerDraft,
    Draft,
    ShadowComparison,
    SignedReport,
    Study,
)
from agent.shadow.readings import ComparedStudy, paired, pairs_of, plain
from agent.shadow.signed import names_accession, names_study, other_patient, reports_of, standing_report
from model.findings.extract import ReportReading, read_report
from model.findings.types import Finding

BATCH = 100
# How long after the draft a signed report is searched for.
LOOK_BACK = timedelta(days=180)

ANOTHER_PATIENT, UNREAD_LANGUAGE = "another-patient", "unread-language"


def compare_due(database: Database) -> int:
    """Compare what can be compared now; return how many studies were processed.

    Raises:
        DatabaseUnavailable: the rest is done in the next pass.
    """
    with database.reading() as session:
        study_ids = _due(session, database_now(session))
    for study_id in study_ids:
        with database.transaction() as session:
            _compare_study(session, study_id, database_now(session))
    return len(study_ids)


def _due(session: Session, now: datetime) -> list[int]:
    """Return the studies with a draft and a signed report, one of which is new since the last pass."""
    # Two queries with an index each; a report with a UID is never matched by its accession number.
    found: set[int] = set()
    for match in (names_study(), names_accession()):
        query = (
            select(Draft.study_id)
            .join(Study, Study.id == Draft.study_id)
            .join(SignedReport, match)
            .where(
                Draft.outcome == "drafted",
                Draft.created_at > now - LOOK_BACK,
                or_(SignedReport.compared_at.is_(None), Draft.created_at > SignedReport.compared_at),
            )
            .distinct()
            .limit(BATCH)
        )
        found.update(session.scalars(query))
        second = (
            select(ChallengerDraft.study_id)
            .join(Study, Study.id == ChallengerDraft.study_id)
            .join(SignedReport, match)
            .where(ChallengerDraft.drafted_at > SignedReport.compared_at)
            .distinct()
            .limit(BATCH)
        )
        found.update(session.scalars(second))
    return sorted(found)[:BATCH]


def _compare_study(session: Session, study_id: int, now: datetime) -> None:
    """Compare a study's drafts, the newest of each model, with the valid signed report."""
    study = session.get_one(Study, study_id, with_for_update=True)
    report = standing_report(session, study)
    reading, code = _read(report)
    session.execute(delete(ShadowComparison).where(ShadowComparison.study_id == study.id))
    session.execute(delete(ChallengerComparison).where(ChallengerComparison.study_id == study.id))
    if report is not None and reading is not None:
        drafts = _drafts(session, study.id)
        for draft in drafts:
            session.add(_comparison(draft, study, report, reading.findings, now))
        for second in _challengers(session, drafts):
            session.add(_challenger_comparison(second, study, reading.findings))
    for one in reports_of(session, study):
        one.study_id, one.compared_at = study.id, now
        if other_patient(session, one, study):
            one.code = ANOTHER_PATIENT
        elif one is report:
            one.code = code
        elif one.code != ADDENDUM_ALONE:
            one.code = None


def _read(report: SignedReport | None) -> tuple[ReportReading | None, str | None]:
    """Return the reading of a report, or the code of why it is not compared."""
    if report is None:
        return None, None
    if report.code == ADDENDUM_ALONE:
        return None, ADDENDUM_ALONE
    reading = read_report(report.text)
    return (reading, None) if reading.language else (None, UNREAD_LANGUAGE)


def _drafts(session: Session, study_id: int) -> Sequence[Draft]:
    drafts = session.scalars(
        select(Draft)
        .where(Draft.study_id == study_id, Draft.outcome == "drafted", Draft.withdrawal.is_(None))
        .order_by(Draft.revision, Draft.id)
    )
    return list({draft.model_digest: draft for draft in drafts}.values())


def _challengers(session: Session, drafts: Sequence[Draft]) -> Sequence[ChallengerDraft]:
    """Return the challengers' drafts from the same images as a study's newest draft."""
    if not drafts:
        return []
    newest = max(drafts, key=lambda draft: (draft.revision, draft.id))
    return session.scalars(
        select(ChallengerDraft).where(
            ChallengerDraft.study_id == newest.study_id,
            ChallengerDraft.revision == newest.revision,
            ChallengerDraft.drafted_at.is_not(None),
        )
    ).all()


def _challenger_comparison(
    draft: ChallengerDraft, study: Study, signed: Iterable[Finding]
) -> ChallengerComparison:
    """Compare both texts, as `_comparison` does."""
    pairs = paired(read_report(draft.text).findings, signed)
    return ChallengerComparison(
        challenger_id=draft.id,
        study_id=study.id,
        model_digest=draft.model_digest,
        site=study.site,
        device=(draft.content.get("input") or {}).get("device", ""),
        drafted_at=draft.drafted_at,
        pairs=plain(pairs),
    )


def _comparison(
    draft: Draft, study: Study, report: SignedReport, signed: Iterable[Finding], now: datetime
) -> ShadowComparison:
    """Compare both texts, read with the vocabulary in force.

    The findings stored with the draft were read when it was made; with the words that a hospital has added
    since, the same text would disagree with itself.
    """
    pairs = paired(read_report(draft.text).findings, signed)
    return ShadowComparison(
        draft_id=draft.id,
        study_id=study.id,
        report_id=report.id,
        site=study.site,
        device=(draft.content.get("input") or {}).get("device", ""),
        model_digest=draft.model_digest,
        drafted_at=draft.created_at,
        pairs=plain(pairs),
        disagreements=sum(pair.disagrees for pair in pairs.values()),
        compared_at=now,
    )


def compared_studies(
    session: Session,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model_digest: str = "",
) -> list[ComparedStudy]:
    """Return the comparisons of drafts made in [since, until), oldest first; `key` is the study's row.

    A challenger's drafts are not among them: see `challenger_studies`.
    """
    query = select(ShadowComparison).order_by(ShadowComparison.drafted_at, ShadowComparison.id)
    if since is not None:
        query = query.where(ShadowComparison.drafted_at >= since)
    if until is not None:
        query = query.where(ShadowComparison.drafted_at < until)
    if model_digest:
        query = query.where(ShadowComparison.model_digest.startswith(model_digest, autoescape=True))
    return [_compared(row) for row in session.scalars(query)]


def challenger_studies(session: Session, model_digest: str = "") -> list[ComparedStudy]:
    """Return the comparisons of drafts by the challenger whose digest begins like this."""
    query = select(ChallengerComparison).order_by(ChallengerComparison.drafted_at, ChallengerComparison.id)
    if model_digest:
        query = query.where(ChallengerComparison.model_digest.startswith(model_digest, autoescape=True))
    return [_compared(row) for row in session.scalars(query)]


def _compared(row: ShadowComparison | ChallengerComparison) -> ComparedStudy:
    return ComparedStudy(
        key=row.study_id,
        site=row.site,
        device=row.device,
        model=row.model_digest,
        at=row.drafted_at,
        pairs=pairs_of(row.pairs),
    )
