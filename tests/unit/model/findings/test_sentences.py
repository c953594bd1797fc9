"""Sections, lines and sentences of reports."""

from __future__ import annotations

import time

import pytest

from model.findings.extract import extract_findings
from model.findings.spans import reader_for
from model.findings.text.sections import BodyStart
from model.findings.text.sentences import Sentence, sentences_of
from model.findings.vocabulary import load_vocabulary


def read(report: str) -> tuple[Sentence, ...]:
    """Return the sentences that are read."""
    reader = reader_for(load_vocabulary())
    return sentences_of(
        report, reader.pack.headings, BodyStart(openers=reader.pack.body_openers), reader.joins
    )


def texts(report: str) -> list[str]:
    """Their texts."""
    return [sentence.text for sentence in read(report)]


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
        ("CLINICAL HX: CHF.\nIMPRESION: Edema.", ["Edema."]),
        ("No nodule.SMALL EFFUSION.2.Edema", ["No nodule.", "SMALL EFFUSION.", "Edema"]),
        ("i) edema ii) effusion", ["edema", "effusion"]),
        ("Edema: none / Nodule: left", ["Edema: none /", "Nodule: left"]),
        ("no edema\nsmall effusion", ["no edema", "small effusion"]),
        ("", []),
    ],
)
def test_sentences_of_cuts_where_a_reader_would(report: str, expected: list[str]) -> None:
    """Decimals, titles and list numbers do not end a sentence; history and technique are not read."""
    assert expected == texts(report)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("DIAGNOSIS: Pneumonia.\nFINDINGS: Effusion.", ["Effusion."]),
        ("FINDINGS: Effusion.\nDIAGNOSIS: Pneumonia.", ["Effusion.", "Pneumonia."]),
    ],
)
def test_diagnosis_is_read_behind_findings_only(report: str, expected: list[str]) -> None:
    """Before the findings, a diagnosis is the reason for the request; after them, it is the conclusion."""
    assert expected == texts(report)


def test_sentences_are_passages_of_the_text() -> None:
    """start and end delimit the sentence in the text, and the impression is marked as such."""
    report = "FINDINGS:  Edema. \n IMPRESSION: No change."
    found = read(report)
    assert [report[s.start : s.end] for s in found] == ["Edema.", "No change."]
    assert [s.impression for s in found] == [False, True]


@pytest.mark.parametrize(
    "text",
    [
        " " * 40_000, "no " * 13_000, "? " * 20_000, "FINDINGS " * 4_000, "\n" * 40_000, "a: " * 13_000,
        "<" * 40_000, "&#" * 20_000, "[ ] " * 10_000, "1) " * 13_000, "\\.br\\" * 8_000, "n\u043e" * 20_000,
        "- - " * 10_000, ".2." * 13_000, "I mean " * 6_000,
        "? no. " * 6_000, "[a/" * 13_000, "{a|b} " * 6_000, ".... a " * 6_000, "not " * 10_000,
        "\u202eno " * 8_000,
        "((((" * 10_000, "apart from a " * 3_000, "which " * 6_000,
    ],
)  # fmt: skip
def test_endless_text_is_read_in_linear_time(text: str) -> None:
    """A long text without content is read in seconds, not in quadratic time."""
    begin = time.process_time()
    assert extract_findings(text) == ()
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "piece", ["effusion? no. ", "no effusion apart from ", "[no/small] effusion ", "effusion "]
)
def test_endless_statements_are_read_in_linear_time(piece: str) -> None:
    """Pieces that could join into one long statement are not read in quadratic time."""
    begin = time.process_time()
    extract_findings((piece * 20_000)[:40_000])
    assert time.process_time() - begin < 5
