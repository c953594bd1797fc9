"""The comparisons that a page or a report covers: by site, device, month and model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from agent.database.tables import ShadowComparison
from agent.foundation.errors import NotFound
from agent.shadow.readings import ComparedStudy, pairs_of

# The page and the report cover at most this many comparisons, the newest.
MOST = 20_000
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The selection; an empty value means all. month: YYYY-MM; finding: a concept, for disagreements."""

    site: str = ""
    device: str = ""
    month: str = ""
    model: str = ""
    finding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """The possible choices, in alphabetical order."""

    sites: tuple[str, ...]
    devices: tuple[str, ...]
    months: tuple[str, ...]
    models: tuple[str, ...]


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """Return the beginning (UTC) of a month and of the next one.

    Raises:
        NotFound: it is not a month such as 2026-10.
    """
    found = _MONTH.fullmatch(month)
    if found is None or int(found[1]) < 1:
        raise NotFound("a month is written like 2026-10")
    year, number = int(found[1]), int(found[2])
    after = (year + 1, 1) if number == 12 else (year, number + 1)
    if after[0] > 9999:
        raise NotFound("a month is written like 2026-10")
    return datetime(year, number, 1, tzinfo=UTC), datetime(*after, 1, tzinfo=UTC)


def conditions(chosen: Chosen) -> list[ColumnElement[bool]]:
    """Return the conditions on `shadow_comparisons`, without the finding.

    Raises:
        NotFound: the month is not valid.
    """
    where: list[ColumnElement[bool]] = []
    if chosen.site:
        where.append(ShadowComparison.site == chosen.site)
    if chosen.device:
        where.append(ShadowComparison.device == chosen.device)
    if chosen.model:
        where.append(ShadowComparison.model_digest == chosen.model)
    if chosen.month:
        begin, end = month_bounds(chosen.month)
        where += [ShadowComparison.drafted_at >= begin, ShadowComparison.drafted_at < end]
    return where


def chosen_studies(session: Session, chosen: Chosen) -> list[ComparedStudy]:
    """Return the newest selected comparisons, oldest first; `key` is the comparison's row."""
    rows = session.scalars(
        select(ShadowComparison)
        .where(*conditions(chosen))
        .order_by(ShadowComparison.drafted_at.desc(), ShadowComparison.id.desc())
        .limit(MOST)
    ).all()
    return [
        ComparedStudy(
            key=row.id,
            site=row.site,
            device=row.device,
            model=row.model_digest,
            at=row.drafted_at,
            pairs=pairs_of(row.pairs),
        )
        for row in reversed(rows)
    ]


def choices_of(session: Session) -> Choices:
    """Return the sites, devices and models of all comparisons, and the months between first and last."""
    columns = (ShadowComparison.site, ShadowComparison.device, ShadowComparison.model_digest)
    sites, devices, models = (_distinct(session, column) for column in columns)
    first, last = session.execute(
        select(func.min(ShadowComparison.drafted_at), func.max(ShadowComparison.drafted_at))
    ).one()
    return Choices(
        sites=tuple(one for one in sites if one),
        devices=tuple(one for one in devices if one),
        months=() if first is None else _months(first, last),
        models=tuple(models),
    )


def _months(first: datetime, last: datetime) -> tuple[str, ...]:
    """The months from one time to another, the newest first."""
    numbers = range(12 * first.year + first.month - 1, 12 * last.year + last.month)
    return tuple(f"{number // 12:04}-{number % 12 + 1:02}" for number in reversed(numbers))


def _distinct(session: Session, column: object) -> Sequence[str]:
    return sorted(session.scalars(select(column).distinct()))  # type: ignore[call-overload]
