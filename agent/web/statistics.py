"""Agreement between radiologists and drafts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Verdict

SPAN = timedelta(days=90)
MOST_VERDICTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptAgreement:
    """One concept: how often the draft or the report states it as present, and how often they agree."""

    concept: str
    both: int
    only_draft: int
    only_report: int
    agreement: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The verdicts of the last 90 days; shares are 0 to 1, None without verdicts."""

    accepted: int
    changed: int
    rejected: int
    unchanged_share: float | None
    median_edited_share: float | None
    concepts: Sequence[ConceptAgreement]


def read_statistics(database: Database) -> Statistics:
    """Read the statistics; of several verdicts on one draft the last one counts.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        since = database_now(session) - SPAN
        rows = session.scalars(
            select(Verdict).where(Verdict.at >= since).order_by(Verdict.id.desc()).limit(MOST_VERDICTS)
        ).all()
    last = list({row.draft_id: row for row in reversed(rows)}.values())
    kinds = Counter(row.kind for row in last)
    shares = [row.edited_words / row.draft_words for row in last if row.draft_words]
    return Statistics(
        accepted=kinds["accepted"],
        changed=kinds["changed"],
        rejected=kinds["rejected"],
        unchanged_share=kinds["accepted"] / len(last) if last else None,
        median_edited_share=median(shares) if shares else None,
        concepts=_concepts(last),
    )


def _concepts(verdicts: Sequence[Verdict]) -> list[ConceptAgreement]:
    pairs: dict[str, Counter[tuple[bool, bool]]] = {}
    for verdict in verdicts:
        for concept, (before, after) in verdict.agreement.items():
            pairs.setdefault(concept, Counter())[before == "present", after == "present"] += 1
    return [
        ConceptAgreement(
            concept=concept,
            both=seen[True, True],
            only_draft=seen[True, False],
            only_report=seen[False, True],
            agreement=(seen[True, True] + seen[False, False]) / sum(seen.values()),
        )
        for concept, seen in sorted(pairs.items())
    ]
