"""What a draft and a signed report state about one concept, side by side."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.shadow.readings import (
    ComparedStudy,
    ConceptPair,
    ConceptReading,
    concept_readings,
    paired,
    pairs_of,
    plain,
)
from model.findings.extract import read_report
from model.findings.types import Presence, Severity


def pairs(drafted: str, signed: str) -> dict[str, ConceptPair]:
    return paired(read_report(drafted).findings, read_report(signed).findings)


def disagreements(drafted: str, signed: str) -> tuple[str, ...]:
    study = ComparedStudy(
        key=1,
        site="",
        device="",
        model="",
        at=datetime(2026, 11, 3, tzinfo=UTC),
        pairs=pairs(drafted, signed),
    )
    return study.disagreements


def test_concept_readings_strongest_statement_counts() -> None:
    """Present outweighs absent; the sides of all present statements and the highest severity count."""
    text = "Small left effusion. Large right effusion. No effusion at the left apex."
    assert concept_readings(read_report(text).findings)["pleural_effusion"] == ConceptReading(
        presence=Presence.PRESENT, sides="LR", severity=Severity.SEVERE
    )


@pytest.mark.parametrize(
    ("drafted", "signed", "expected"),
    [
        ("Small left effusion.", "Small left effusion.", ()),
        ("Small left effusion.", "Moderate left effusion.", ()),
        ("Left effusion.", "Right effusion.", ("pleural_effusion",)),
        ("Left effusion.", "Bilateral effusions.", ("pleural_effusion",)),
        ("Left effusion.", "There is an effusion.", ()),
        ("Left effusion.", "No effusion.", ("pleural_effusion",)),
        ("No effusion.", "Left effusion.", ("pleural_effusion",)),
        ("No effusion.", "The heart is normal.", ()),
        ("Left effusion.", "The heart is normal.", ("pleural_effusion",)),
        ("Left effusion.", "Possible left effusion.", ()),
    ],
)
def test_disagreements_are_of_presence_and_of_side(
    drafted: str, signed: str, expected: tuple[str, ...]
) -> None:
    """Not mentioned is not present; an indeterminate statement disagrees with nothing."""
    assert disagreements(drafted, signed) == expected


def test_plain_pairs_come_back_as_they_were() -> None:
    """Pairs survive the JSON column."""
    found = pairs("Small left effusion. No pneumothorax.", "Possible mass. No pneumothorax.")
    assert pairs_of(plain(found)) == found
