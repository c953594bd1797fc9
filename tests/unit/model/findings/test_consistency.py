"""Contradictions within one draft."""

from __future__ import annotations

import pytest

from model.findings.consistency import contradictions
from model.findings.extract import extract_findings


def kinds(text: str) -> list[str]:
    """The kinds of contradiction in a text."""
    return [c.kind for c in contradictions(extract_findings(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pneumothorax. Small left pneumothorax.", ["presence"]),
        ("The cardiac silhouette is normal in size. Cardiomegaly.", ["presence"]),
        ("Small left pleural effusion. Small right pleural effusion.", ["laterality"]),
        ("Small left pleural effusion. Large left pleural effusion.", ["severity"]),
        ("Large pneumothorax. No acute cardiopulmonary abnormality.", ["summary"]),
        ("No left pneumothorax. Small right pneumothorax.", []),
        ("Small left and moderate right pleural effusions.", []),
        ("Scarring at the left apex. No focal airspace disease.", []),
        ("Stable cardiomegaly. No acute cardiopulmonary abnormality.", []),
        ("Small left effusion. No pneumothorax.", []),
        ("The right pneumothorax has resolved. Tiny left pneumothorax.", []),
    ],
)
def test_contradictions_are_found_where_two_statements_cannot_both_hold(
    text: str, expected: list[str]
) -> None:
    """Presence, side and grade that contradict each other, and a denied abnormality."""
    assert expected == kinds(text)


def test_contradiction_says_so_in_words() -> None:
    """The text is for a radiologist: it names the finding and both statements."""
    (found,) = contradictions(extract_findings("No pneumothorax. Small left pneumothorax."))
    assert found.text == "The draft says both that pneumothorax is present and that it is absent."
