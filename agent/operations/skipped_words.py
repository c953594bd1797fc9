"""Senders whose chest films may be skipped because of the wording of their attributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.database.states import REJECTED
from agent.database.tables import Instance, Study
from agent.objects.films.routing.summary import Skipped, Summary, summarise

DAYS = 7
# The newest images that are read, so that the duration does not grow with the number of images.
MOST_IMAGES = 5_000
_RADIOGRAPHS = ("CR", "DX")


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedWords:
    """A sender of which more than a tenth of the CR and DX images were skipped for their words."""

    sender: str
    images: int
    skipped: int
    texts: Sequence[str]
    config_lines: str


def read_skipped_words(session: Session, now: datetime) -> tuple[SkippedWords, ...]:
    """Return the senders to look at, by AE title."""
    newest = (
        select(
            Instance.study_id,
            Instance.modality,
            Instance.skipped_by,
            Instance.skipped_region,
            Instance.skipped_words,
        )
        .where(Instance.prior.is_(False), Instance.received_at >= now - timedelta(days=DAYS))
        .order_by(Instance.id.desc())
        .limit(MOST_IMAGES)
        .subquery()
    )
    rows = session.execute(
        select(Study.calling_ae_title, *newest.c[1:])
        .join(Study, Study.id == newest.c.study_id)
        .where(newest.c.modality.in_(_RADIOGRAPHS))
    )
    images: dict[str, int] = defaultdict(int)
    skipped: dict[str, list[Skipped]] = defaultdict(list)
    for sender, modality, rule, region, words in rows:
        images[sender] += 1
        if rule is not None and rule != REJECTED:
            skipped[sender].append(Skipped(rule=rule, words=words, region=region, modality=modality))
    summaries = {sender: summarise(images[sender], found) for sender, found in skipped.items()}
    return tuple(_line(sender, one) for sender, one in sorted(summaries.items()) if one.notable)


def _line(sender: str, summary: Summary) -> SkippedWords:
    return SkippedWords(
        sender=sender,
        images=summary.images,
        skipped=summary.skipped,
        texts=summary.texts,
        config_lines=summary.lines,
    )
