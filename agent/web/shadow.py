"""The content of the shadow mode pages: figures, and single disagreements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from agent.database.session import Database
from agent.database.tables import Draft, ShadowComparison, SignedReport, Study
from agent.foundation.errors import NotFound
from agent.reports.earlier_studies import StoredImage
from agent.shadow.accuracy import GroupAccuracy, accuracy
from agent.shadow.certainty import CalibrationInUse, calibration_in_use
from agent.shadow.chosen import Choices, Chosen, choices_of, chosen_studies, conditions
from agent.shadow.marking import MarkedPiece, marked
from agent.shadow.readings import ConceptPair, pairs_of
from agent.web.priors import films_of
from model.findings.extract import read_report

_LISTED = 200
_NAMES = ("site", "device", "month", "model", "finding")
_LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of the selection: overall, and by month; `calibration` of the model, if in use."""

    whole: GroupAccuracy | None
    months: Sequence[GroupAccuracy]
    choices: Choices
    calibration: CalibrationInUse | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisagreementLine:
    """One comparison with a disagreement, as shown in the list: without patient attributes."""

    comparison_id: int
    study_id: int
    drafted_at: datetime
    site: str
    device: str
    concepts: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisagreementView:
    """One disagreement: the study with its films, both texts with their evidence, and the differences."""

    comparison_id: int
    study: Study
    films: Sequence[StoredImage]
    # For the viewer: there are no earlier studies to show.
    priors: Sequence[object]
    pairs: Mapping[str, ConceptPair]
    draft: Sequence[MarkedPiece]
    signed: Sequence[MarkedPiece]
    drafted_at: datetime
    signed_at: datetime
    source: str
    signed_by: str
    model_name: str
    previous: int | None
    next: int | None


def chosen_of(values: Mapping[str, str]) -> Chosen:
    """Return the selection in a URL."""
    return Chosen(**{name: values.get(name, "").replace("\0", "")[:_LONGEST] for name in _NAMES})


def suffix_of(chosen: Chosen, **changes: str) -> str:
    """Return the query part of a URL for this selection, with some of it changed."""
    values = {name: changes.get(name, getattr(chosen, name)) for name in _NAMES}
    query = urlencode({name: value for name, value in values.items() if value})
    return f"?{query}" if query else ""


def read_figures(database: Database, chosen: Chosen) -> Figures:
    """Read the figures.

    Raises:
        NotFound: the month is none.
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        studies = chosen_studies(session, chosen)
        model = chosen.model or (studies[-1].model if studies else "")
        calibration = calibration_in_use(session, model)
        choices = choices_of(session)
    whole = accuracy(studies)
    return Figures(
        whole=whole[0] if whole else None,
        months=accuracy(studies, "month"),
        choices=choices,
        calibration=calibration,
    )


def read_disagreements(database: Database, chosen: Chosen) -> list[DisagreementLine]:
    """Return the newest disagreements.

    Raises:
        NotFound: the month is none.
        DatabaseUnavailable: the database does not answer.
    """
    found: list[DisagreementLine] = []
    with database.reading() as session:
        for row, concepts in _disagreeing(session, _newest_first(chosen), chosen.finding):
            found.append(
                DisagreementLine(
                    comparison_id=row.id,
                    study_id=row.study_id,
                    drafted_at=row.drafted_at,
                    site=row.site,
                    device=row.device,
                    concepts=concepts,
                )
            )
            if len(found) == _LISTED:
                break
    return found


def read_disagreement(database: Database, comparison_id: int, chosen: Chosen) -> DisagreementView:
    """Read one disagreement, and the ones before and after it in the list.

    Raises:
        NotFound: there is no such comparison, or the month is invalid.
        DatabaseUnavailable: the database does not answer.
    """
    with database.reading() as session:
        row = session.get(ShadowComparison, comparison_id)
        if row is None:
            raise NotFound("there is no such comparison: a corrected report may have replaced it")
        study, draft = session.get_one(Study, row.study_id), session.get_one(Draft, row.draft_id)
        report = session.get_one(SignedReport, row.report_id)
        pairs = {name: pair for name, pair in pairs_of(row.pairs).items() if pair.disagrees}
        return DisagreementView(
            comparison_id=row.id,
            study=study,
            films=films_of(session, row.study_id),
            priors=(),
            pairs=pairs,
            # Read like the signed report, and as both were when they were compared.
            draft=marked(draft.text, read_report(draft.text).findings, pairs),
            signed=marked(report.text, read_report(report.text).findings, pairs),
            drafted_at=row.drafted_at,
            signed_at=report.signed_at,
            source=report.source,
            signed_by=report.signed_by,
            model_name=draft.model_name,
            next=_beside(session, chosen, row.id, newer=False),
            previous=_beside(session, chosen, row.id, newer=True),
        )


def _newest_first(chosen: Chosen) -> Select[ShadowComparison]:
    return (
        select(ShadowComparison)
        .where(ShadowComparison.disagreements > 0, *conditions(chosen))
        .order_by(ShadowComparison.id.desc())
    )


def _beside(session: Session, chosen: Chosen, comparison_id: int, *, newer: bool) -> int | None:
    """The comparison before (newer) or after this one in the list, which begins with the newest."""
    where = ShadowComparison.id > comparison_id if newer else ShadowComparison.id < comparison_id
    query = _newest_first(chosen).where(where)
    if newer:
        query = query.order_by(None).order_by(ShadowComparison.id)
    return next((row.id for row, _concepts in _disagreeing(session, query, chosen.finding)), None)


def _disagreeing(
    session: Session, query: Select[ShadowComparison], finding: str
) -> Iterator[tuple[ShadowComparison, Sequence[str]]]:
    """Yield the comparisons with the concepts in which they disagree, optionally for one finding only."""
    for row in session.scalars(query.execution_options(yield_per=200)):
        concepts = [name for name, pair in pairs_of(row.pairs).items() if pair.disagrees]
        if not finding or finding in concepts:
            yield row, concepts
