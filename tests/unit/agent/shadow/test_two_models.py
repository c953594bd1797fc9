"""Two models on the same studies."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.shadow.readings import NOT_MENTIONED, ComparedStudy, ConceptPair, ConceptReading
from agent.shadow.two_models import paired_concepts
from model.findings.types import Presence

PRESENT = ConceptReading(presence=Presence.PRESENT)


def drafted(key: int, *, mass: bool, signed: bool) -> ComparedStudy:
    pair = ConceptPair(
        drafted=PRESENT if mass else NOT_MENTIONED, signed=PRESENT if signed else NOT_MENTIONED
    )
    return ComparedStudy(
        key=key, site="", device="", model="", at=datetime(2026, 1, 1, tzinfo=UTC), pairs={"mass": pair}
    )


def test_paired_concepts_compare_shared_studies_only() -> None:
    """Cells count studies that both models drafted; McNemar's exact test uses those where they differ."""
    first = [drafted(key, mass=True, signed=key < 12) for key in range(14)] + [
        drafted(99, mass=True, signed=True)
    ]
    second = [drafted(key, mass=key < 2, signed=key < 12) for key in range(14)]
    (found,) = paired_concepts(first, second)
    assert (found.both_right, found.only_first, found.only_second, found.both_wrong) == (2, 10, 2, 0)
    assert found.studies == 14
    assert found.p_value == pytest.approx(0.0386, abs=1e-3)


def test_paired_concepts_that_never_differ_have_p_one() -> None:
    """If the models never differ, the p value is 1."""
    studies = [drafted(key, mass=True, signed=True) for key in range(5)]
    assert paired_concepts(studies, studies)[0].p_value == 1.0


def test_paired_concepts_count_a_study_once() -> None:
    """A model that drafted a study in both roles has two comparisons; the last one counts."""
    twice = [drafted(1, mass=False, signed=True), drafted(1, mass=True, signed=True)]
    (found,) = paired_concepts(twice, [drafted(1, mass=True, signed=True)])
    assert (found.studies, found.both_right) == (1, 1)
