"""The context engine alone: what a sentence states about a concept that it names literally."""

from __future__ import annotations

import pytest

from model.findings.extract import extract_findings
from model.findings.given import presence_of
from model.findings.types import Presence


@pytest.mark.parametrize(
    ("sentence", "concept", "expected"),
    [
        ("He denies fever, chills or nausea.", "nausea", Presence.ABSENT),
        ("He denies fever but has nausea.", "nausea", Presence.PRESENT),
        ("No history of seizures.", "seizures", Presence.ABSENT),
        ("Nausea, no vomiting.", "nausea", Presence.PRESENT),
        ("Syncope was ruled out.", "syncope", Presence.ABSENT),
        ("Possible syncope.", "syncope", Presence.INDETERMINATE),
        ("A stroke cannot be excluded.", "stroke", Presence.INDETERMINATE),
        ("No evidence of infection; the rash is worse.", "rash", Presence.PRESENT),
        ("Clear (not tender) abdomen with guarding.", "guarding", Presence.PRESENT),
        ("Fracture: no.", "fracture", Presence.ABSENT),
        ("Nothing about it.", "fracture", Presence.PRESENT),
        ("", "", Presence.PRESENT),
    ],
)
def test_presence_of_follows_scope(sentence: str, concept: str, expected: Presence) -> None:
    """A cue applies to the end of its scope and no further."""
    assert expected == presence_of(sentence, concept)


def test_presence_of_prefers_the_concept_in_capitals() -> None:
    """Annotated corpora mark the intended occurrence with capitals."""
    assert presence_of("Pain yesterday, no PAIN today.", "pain") is Presence.ABSENT


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("Appearances are inconsistent with pneumonia.", "pneumonia"),
        ("Findings incompatible with pneumothorax.", "pneumothorax"),
        ("双肺纹理清晰,心影不大。", "cardiomegaly"),
    ],
)
def test_words_that_hold_their_opposite_deny(text: str, concept: str) -> None:
    """The phrase "inconsistent with" is not "consistent with"; a heart that is not large is not enlarged."""
    assert {(f.concept, f.presence) for f in extract_findings(text)} >= {(concept, Presence.ABSENT)}
