"""The progress of shadow mode: drafts, signed reports, and what is still missing."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from agent.database.tables import Draft, ShadowComparison, SignedReport, Study
from agent.shadow.readings import pairs_of, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStatus:
    """Counts of drafts and signed reports.

    unmatched: reports of studies that were never drafted here. not_compared: by code, reports that are not
    compared although they belong to a study.
    """

    in_shadow: int
    reports: int
    compared: int
    with_disagreement: int
    unmatched: int
    not_compared: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A compared study with the concepts in which draft and signed report disagree, and both texts."""

    study_id: int
    study_instance_uid: str
    draft_id: int
    site: str
    device: str
    model_digest: str
    pairs: dict[str, list[list[str]]]
    draft_text: str
    signed_text: str


def read_status(session: Session) -> ShadowStatus:
    """Count the drafts and signed reports of shadow mode."""

    def count(where: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count()).where(where)) or 0

    codes = select(SignedReport.code, func.count()).where(SignedReport.code.is_not(None))
    return ShadowStatus(
        in_shadow=count(Draft.shadow.is_(True)),
        reports=count(SignedReport.id.is_not(None)),
        compared=count(ShadowComparison.id.is_not(None)),
        with_disagreement=count(ShadowComparison.disagreements > 0),
        unmatched=count(SignedReport.compared_at.is_(None)),
        not_compared={
            str(code): number for code, number in session.execute(codes.group_by(SignedReport.code)).all()
        },
    )


def disagreements(session: Session, *, concept: str = "", limit: int = 100) -> list[Disagreement]:
    """Return compared studies with a disagreement (in a concept), the newest first."""
    query = (
        select(ShadowComparison, Study.study_instance_uid, Draft.text, SignedReport.text)
        .join(Study, Study.id == ShadowComparison.study_id)
        .join(Draft, Draft.id == ShadowComparison.draft_id)
        .join(SignedReport, SignedReport.id == ShadowComparison.report_id)
        .where(ShadowComparison.disagreements > 0)
        .order_by(ShadowComparison.id.desc())
    )
    found: list[Disagreement] = []
    for row, uid, drafted, signed in session.execute(query.execution_options(yield_per=200)):
        apart = {name: pair for name, pair in pairs_of(row.pairs).items() if pair.disagrees}
        if concept and concept not in apart:
            continue
        found.append(
            Disagreement(
                study_id=row.study_id,
                study_instance_uid=uid,
                draft_id=row.draft_id,
                site=row.site,
                device=row.device,
                model_digest=row.model_digest,
                pairs=plain(apart),
                draft_text=drafted,
                signed_text=signed,
            )
        )
        if len(found) == limit:
            break
    return found
