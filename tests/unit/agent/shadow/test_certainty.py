"""Probabilities of findings: fitted on one half of the reports, reliable on the other, or not written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from sqlalchemy import select

from agent.database.tables import Document, Draft, StoredCalibration
from agent.drafting.worker import DraftingWorker
from agent.foundation.document_roles import DocumentRole
from agent.foundation.model_errors import CalibrationRefused
from agent.foundation.settings.tree import Settings
from agent.shadow.calibration import ScoredFinding
from agent.shadow.certainty import (
    CalibrationInUse,
    Halves,
    calibrate,
    end_use,
    objection,
    read_halves,
    store,
)
from agent.shadow.readings import ConceptPair, ConceptReading
from agent.shadow.scores import probabilities, score_of, scored
from benchmarks.shadow_replay import replay, studies_of
from model.findings.types import Finding, Presence
from tests.support.house import FakeReporter

Film = Callable[..., Dataset]
DIGEST = "0" * 64
CONCEPTS = ("pneumothorax", "pleural_effusion", "nodule")


def overconfident(seed: int, count: int) -> list[ScoredFinding]:
    """Findings of an overconfident network: of those scored p, p squared are signed."""
    chance = Random(seed)
    scores = [chance.uniform(0.3, 0.999) for _ in range(count)]
    return [
        ScoredFinding(concept=chance.choice(CONCEPTS), score=one, signed=chance.random() < one * one)
        for one in scores
    ]


def fitted() -> CalibrationInUse:
    return calibrate(Halves(fitting=tuple(overconfident(1, 1500)), judging=tuple(overconfident(2, 1500))))


def test_calibration_fitted_on_one_half_is_reliable_on_the_other() -> None:
    """The raw scores are wrong by more than 0.15; the calibrated ones by less than 0.05."""
    raw = overconfident(2, 1500)
    stated = sum(one.score for one in raw) / len(raw)
    signed = sum(one.signed for one in raw) / len(raw)
    assert stated - signed > 0.15
    found = fitted()
    assert found.reliability.error < 0.05
    assert objection(found) == ""


def test_calibration_on_few_or_contrary_findings_is_refused() -> None:
    """Too few findings, or a half that contradicts the fit, lead to a refusal."""
    few = calibrate(Halves(fitting=tuple(overconfident(1, 400)), judging=tuple(overconfident(2, 20))))
    assert "100 are needed" in objection(few)
    never = [
        ScoredFinding(concept=one.concept, score=one.score, signed=False) for one in overconfident(2, 400)
    ]
    wrong = calibrate(Halves(fitting=tuple(overconfident(1, 400)), judging=tuple(never)))
    assert "calibration error" in objection(wrong)
    with pytest.raises(CalibrationRefused, match="needs findings that were signed"):
        calibrate(Halves(fitting=(), judging=()))


def test_score_is_that_of_the_sentence_that_states_the_finding() -> None:
    """A finding is matched by its whole sentence or a part of it; without evidence it has no score."""
    sentences = [("No effusion.", 0.3), ("Left  pneumothorax.", 0.8)]

    def finding(evidence: str, presence: Presence = Presence.PRESENT) -> Finding:
        return Finding(concept="pneumothorax", presence=presence, evidence=evidence)

    assert score_of(finding("Left pneumothorax."), sentences) == 0.8
    assert score_of(finding("pneumothorax"), sentences) == 0.8
    assert score_of(finding(""), sentences) is None
    assert score_of(finding("A mass."), sentences) is None
    calibration = fitted().calibration
    some = probabilities(
        [finding("Left pneumothorax."), finding("Left pneumothorax.", Presence.ABSENT), finding("A mass.")],
        sentences,
        calibration,
    )
    assert some == (calibration.probability("pneumothorax", 0.8), None, None)


def test_scored_findings_leave_out_what_the_report_calls_uncertain() -> None:
    """Each concept has one finding, its highest score; none where the report is indeterminate."""
    sentences = [("a", 0.5), ("b", 0.9), ("c", 0.7)]
    findings = [
        Finding(concept="mass", presence=Presence.PRESENT, evidence="a"),
        Finding(concept="mass", presence=Presence.PRESENT, evidence="b"),
        Finding(concept="nodule", presence=Presence.PRESENT, evidence="c"),
    ]
    present, unsure = (ConceptReading(presence=one) for one in (Presence.PRESENT, Presence.INDETERMINATE))
    pairs = {
        "mass": ConceptPair(drafted=present, signed=present),
        "nodule": ConceptPair(drafted=present, signed=unsure),
    }
    assert scored(findings, sentences, pairs) == [ScoredFinding(concept="mass", score=0.9, signed=True)]


def test_replayed_studies_are_split_into_two_halves(database: Any, tmp_path: Any) -> None:
    """Drafts with scores and signed reports are split into two halves, neither of them empty."""
    replay(database, tmp_path, studies_of(40))
    with database.reading() as session:
        halves = read_halves(session, DIGEST)
    assert len(halves.fitting) > 10
    assert len(halves.judging) > 10
    assert {one.score for one in (*halves.fitting, *halves.judging)} == {0.9}


def certainties(house: Any) -> tuple[list[float], str]:
    """The percentages and the algorithm's parameters in the newest document A."""
    with house.database.reading() as session:
        content = session.scalars(
            select(Document.content)
            .where(Document.role == DocumentRole.FINDINGS)
            .order_by(Document.id.desc())
            .limit(1)
        ).one()
    dataset = dcmread(DicomBytesIO(content), force=True)
    items = _items(dataset)
    values = [float(item.MeasuredValueSequence[0].NumericValue) for item in items if _code(item) == "111012"]
    parameters = " ".join(item.TextValue for item in items if _code(item) == "111002")
    return values, parameters


def _items(dataset: Dataset) -> list[Dataset]:
    found = []
    for item in dataset.get("ContentSequence", ()):
        found += [item, *_items(item)]
    return found


def _code(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def draft(house: Any, settings: Settings, reporter: Any, image: Dataset) -> Draft:
    house.queued(image)
    DraftingWorker(house.database, house.store, settings, reporter, owner="w", chance=Random(1)).run_once()
    with house.database.reading() as session:
        return session.scalars(select(Draft).order_by(Draft.id.desc()).limit(1)).one()


def test_certainty_is_written_only_from_a_stored_calibration(
    house: Any, reporter: Any, film: Film, settings: Settings
) -> None:
    """Without a calibration, document A has no Certainty of Finding; with one, it has the calibrated
    probability and the calibration's digest; after `end_use`, or with a tampered row, it has none again.
    """
    first = draft(house, settings, reporter, film(1))
    assert certainties(house)[0] == []
    assert "certainty" not in first.content
    with house.database.transaction() as session:
        row = store(session, DIGEST, fitted(), "cli:ann")
        digest = row.digest
    second = draft(house, settings, reporter, film(2))
    values, parameters = certainties(house)
    expected = fitted().calibration.probability("pneumothorax", 0.9)
    assert values == pytest.approx([100 * expected], abs=0.51)
    assert f"calibration={digest}" in parameters
    assert second.content["certainty"] == {"probabilities": [pytest.approx(expected)], "calibration": digest}
    with house.database.transaction() as session:
        row = session.scalars(select(StoredCalibration)).one()
        right, row.fit = row.fit, {"slope": 9.0, "intercepts": {}, "other": 0.0}
    draft(house, settings, reporter, film(3))
    assert certainties(house)[0] == []
    with house.database.transaction() as session:
        session.scalars(select(StoredCalibration)).one().fit = right
    draft(house, settings, reporter, film(4))
    assert certainties(house)[0] == values
    with house.database.transaction() as session:
        end_use(session, DIGEST)
    draft(house, settings, reporter, film(5))
    assert certainties(house)[0] == []


def test_certainty_ends_with_the_model_that_was_calibrated(
    house: Any, reporter: Any, film: Film, settings: Settings
) -> None:
    """Drafts of another model have no certainty; after the switch back to the calibrated one they have it."""
    other = FakeReporter(identity=replace(reporter.identity, weights_sha256="1" * 64))
    with house.database.transaction() as session:
        store(session, DIGEST, fitted(), "cli:ann")
    for number, (model, stated) in enumerate([(reporter, 1), (other, 0), (reporter, 1)], start=1):
        draft(house, settings, model, film(number))
        values, parameters = certainties(house)
        assert (len(values), "calibration=" in parameters) == (stated, bool(stated))


def test_unreliable_calibration_is_not_stored(house: Any) -> None:
    """Nothing is written, and the reason is reported."""
    few = calibrate(Halves(fitting=tuple(overconfident(1, 400)), judging=tuple(overconfident(2, 20))))
    with pytest.raises(CalibrationRefused, match="not stored"), house.database.transaction() as session:
        store(session, DIGEST, few, "cli:ann")
    with house.database.reading() as session:
        assert session.scalars(select(StoredCalibration)).all() == []
