"""Sections and sentences of reports."""

from __future__ import annotations

import time

import pytest

from model.findings.extract import extract_findings
from model.findings.sentences import sentences_of


def texts(report: str) -> list[str]:
    """The sentences that are read."""
    return [sentence.text for sentence in sentences_of(report)]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("A 1.5 cm nodule. No effusion.", ["A 1.5 cm nodule.", "No effusion."]),
        ("IMPRESSION: 1. Edema. 2. Effusion.", ["Edema.", "Effusion."]),
        ("Impression:\n1) Edema\n2) Effusion", ["Edema", "Effusion"]),
        ("Discussed with Dr. Smith. Edema.", ["Discussed with Dr. Smith.", "Edema."]),
        ("TECHNIQUE: PA.\nCOMPARISON: None. The heart is large.", ["The heart is large."]),
        ("HISTORY: Edema.\nFINDINGS: Clear.\nRECOMMENDATION: CT for edema.", ["Clear."]),
        ("LUNGS: Clear.\nHEART: Normal.", ["LUNGS: Clear.", "HEART: Normal."]),
        ("? effusion on the left.", ["? effusion on the left."]),
        ("", []),
    ],
)
def test_sentences_of_cuts_where_a_reader_would(report: str, expected: list[str]) -> None:
    """Decimals, titles and list numbers end no sentence; history and technique are not read."""
    assert expected == texts(report)


def test_sentences_are_passages_of_the_text() -> None:
    """start and end give the sentence back, and the conclusion is known as such."""
    report = "FINDINGS:  Edema. \n IMPRESSION: No change."
    found = sentences_of(report)
    assert [report[s.start : s.end] for s in found] == ["Edema.", "No change."]
    assert [s.impression for s in found] == [False, True]


@pytest.mark.parametrize(
    "text", [" " * 40_000, "no " * 13_000, "? " * 20_000, "FINDINGS " * 4_000, "\n" * 40_000]
)
def test_endless_text_is_read_in_linear_time(text: str) -> None:
    """A page of nothing costs seconds at most, never its square."""
    begin = time.process_time()
    assert extract_findings(text) == ()
    assert time.process_time() - begin < 5
