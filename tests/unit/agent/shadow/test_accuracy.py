"""Accuracy of drafts against signed reports."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sklearn.metrics import cohen_kappa_score

from agent.shadow.accuracy import accuracy, concept_accuracy
from agent.shadow.rates import rate
from agent.shadow.readings import NOT_MENTIONED, ComparedStudy, ConceptPair, ConceptReading
from model.findings.types import Presence, Severity

PRESENT = ConceptReading(presence=Presence.PRESENT)
ABSENT = ConceptReading(presence=Presence.ABSENT)
UNSURE = ConceptReading(presence=Presence.INDETERMINATE)


def pair(drafted: ConceptReading, signed: ConceptReading) -> ConceptPair:
    return ConceptPair(drafted=drafted, signed=signed)


def test_rate_has_wilson_limits() -> None:
    """The limits are those of the Wilson score interval; 81 of 263 is from Newcombe 1998, table I."""
    found = rate(81, 263)
    assert (round(found.low or 0, 4), round(found.high or 0, 4)) == (0.2553, 0.3662)


def test_rate_of_nothing_is_unknown() -> None:
    """Without cases there is neither a share nor an interval."""
    assert rate(0, 0).value is None
    with pytest.raises(ValueError, match="not a share"):
        rate(3, 2)


def test_concept_accuracy_counts_each_cell() -> None:
    """Not mentioned counts as not present; indeterminate readings are counted separately."""
    found = concept_accuracy(
        "pneumothorax",
        [pair(PRESENT, PRESENT)] * 8
        + [pair(PRESENT, ABSENT)] * 2
        + [pair(NOT_MENTIONED, PRESENT)] * 4
        + [pair(ABSENT, NOT_MENTIONED)] * 86
        + [pair(UNSURE, PRESENT), pair(PRESENT, UNSURE)],
    )
    cells = (found.true_positive, found.false_positive, found.false_negative, found.true_negative)
    assert cells == (8, 2, 4, 86)
    assert found.indeterminate == 2
    assert found.sensitivity.value == pytest.approx(8 / 12)
    assert found.specificity.value == pytest.approx(86 / 88)
    assert found.ppv.value == pytest.approx(0.8)
    drafted, signed = [1] * 10 + [0] * 90, [1] * 8 + [0] * 2 + [1] * 4 + [0] * 86
    assert found.kappa == pytest.approx(cohen_kappa_score(drafted, signed))


def test_side_and_severity_count_where_both_state_them() -> None:
    """Agreement on side and severity is a share of the studies in which both texts state one."""
    left = ConceptReading(presence=Presence.PRESENT, sides="L", severity=Severity.MILD)
    right = ConceptReading(presence=Presence.PRESENT, sides="R", severity=Severity.MILD)
    found = concept_accuracy("mass", [pair(left, left), pair(left, right), pair(left, PRESENT)])
    assert (found.side.hits, found.side.total) == (1, 2)
    assert (found.severity.hits, found.severity.total) == (2, 2)


def test_accuracy_groups_by_site_device_month_and_model() -> None:
    """Each grouping has its own groups; a concept that a study does not mention is a true negative."""
    studies = [
        ComparedStudy(
            key=key,
            site="north" if key % 2 else "south",
            device=f"device {key % 3}",
            model="a" if key < 4 else "b",
            at=datetime(2026, 10 + key % 2, 5, tzinfo=UTC),
            pairs={"mass": pair(PRESENT, PRESENT)} if key < 2 else {},
        )
        for key in range(12)
    ]
    sites = accuracy(studies, "site")
    assert [(group.name, group.studies) for group in sites] == [("north", 6), ("south", 6)]
    assert sites[0].concepts[0].true_negative == 5
    assert [group.name for group in accuracy(studies, "month")] == ["2026-10", "2026-11"]
    assert [group.studies for group in accuracy(studies, "device")] == [4, 4, 4]
    assert [(group.name, group.studies) for group in accuracy(studies, "model")] == [("a", 4), ("b", 8)]
    assert [group.studies for group in accuracy(studies)] == [12]
