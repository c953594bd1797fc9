"""Refused languages, evidence in the original text, and the reasons for each reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.findings.errors import VocabularyError
from model.findings.extract import extract_findings, read_report
from model.findings.types import Presence
from model.findings.vocabulary import load_vocabulary


@pytest.mark.parametrize(
    "text",
    [
        "Pas de pneumothorax. Épanchement pleural gauche.",
        "Geen pneumothorax. Geen pleuravocht.",
        "Nessun pneumotorace. Cuore nei limiti.",
        "Sem pneumotórax. Sem derrame pleural.",
        "Ingen pneumothorax.",
        "Пневмоторакса нет.",
        "気胸なし。胸水なし。",
        "Brak odmy opłucnowej.",
    ],
)
def test_other_language_is_refused(text: str) -> None:
    """A text in a language without a pack is never read as English; the refusal is reported."""
    reading = read_report(text)
    assert reading.findings == ()
    assert reading.refused


def test_foreign_sentence_in_an_english_report_is_refused() -> None:
    """A sentence in another language is left out; the rest is read."""
    reading = read_report("The heart is enlarged. Kein Pneumothorax. No effusion.")
    assert [f.concept for f in reading.findings] == ["cardiomegaly", "pleural_effusion"]
    assert [passage for passage, _ in reading.refused] == ["Kein Pneumothorax."]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffNo pneumo\u00adthorax. Small left pl\u200beural e\ufb00usion.",
        "<p>No pneumothorax.</p><p>Small left effusion &amp; collapse.</p>",
        "\\.br\\FINDINGS:\\.br\\No pneumothorax\\.br\\Small left effusion",
        "ＮＯ ｐｎｅｕｍｏｔｈｏｒａｘ。Left effusion。",
    ],
)
def test_evidence_points_into_the_text_as_it_was_given(text: str) -> None:
    """Characters are normalised for reading only; evidence refers to the original text."""
    findings = extract_findings(text)
    assert {"pneumothorax", "pleural_effusion"} <= {f.concept for f in findings}
    for finding in findings:
        assert finding.span is not None
        assert text[slice(*finding.span)] == finding.evidence


@pytest.mark.parametrize(
    ("text", "concept", "rule"),
    [
        ("No opacity to suggest pneumonia.", "pneumonia", "denied-purpose"),
        ("Previous granulomatous infection.", "pneumonia", "old-disease"),
        ("Rule out pneumonia.", "pneumonia", "asked-for"),
        ("Left chest wall mass.", "mass", "other-site"),
        ("The apparent nodule is the nipple.", "nodule", "artefact"),
        ("No pneumothorax.", "pneumothorax", "nearest-cue"),
        ("The queried nodule is not seen.", "nodule", "verdict"),
        ("Atelectasis or scarring.", "atelectasis", "alternative"),
        ("Small effusion.", "pleural_effusion", "affirmed"),
    ],
)
def test_reading_says_which_rule_decided(text: str, concept: str, rule: str) -> None:
    """A hospital can see why a finding was read: the rule, the cue and its scope."""
    why = [read.why for read in read_report(text).reads if read.why is not None]
    assert rule in {w.rule for w in why if w.concept == concept}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is a right pneumothorax. Correction: left pneumothorax.", [("pneumothorax", "left")]),
        ("Small right, I mean left, effusion.", [("pleural_effusion", "left")]),
        ("Pneumothorax. Scratch that. Left effusion.", [("pleural_effusion", "left")]),
        ("The effusion is on the left, not the right.", [("pleural_effusion", "left")]),
    ],
)
def test_corrections_replace_what_was_said(text: str, expected: list[tuple[str, str]]) -> None:
    """What the speaker corrected is not a finding."""
    found = [f for f in extract_findings(text) if f.presence is Presence.PRESENT]
    assert expected == [(f.concept, str(f.laterality)) for f in found]


def test_hospital_adds_a_language_and_cues(tmp_path: Path) -> None:
    """A pack is a file next to the hospital's vocabulary; added words join those of a shipped pack."""
    (tmp_path / "french.yaml").write_text(
        "language: fr\nname: French\nnegated: {before: [pas de, aucun]}\nlaterality: {left: [gauche]}\n"
        "function_words: [pas, de, pleural, gauche, le, la]\n"
        "terms: {concepts: {pneumothorax: {synonyms: [pneumothorax]},\n"
        "  pleural_effusion: {synonyms: [épanchement pleural]}}}\n",
        encoding="utf-8",
    )
    file = tmp_path / "ours.yaml"
    file.write_text("version: w\nlanguages:\n  fr: french.yaml\n  en: {negated: {before: [zero sign of]}}\n")
    ours = load_vocabulary(file)
    french = extract_findings("Pas de pneumothorax. Épanchement pleural gauche.", ours)
    assert [(f.concept, str(f.presence)) for f in french] == [
        ("pneumothorax", "absent"),
        ("pleural_effusion", "present"),
    ]
    assert [str(f.presence) for f in extract_findings("Zero sign of pneumothorax.", ours)] == ["absent"]


def test_wrong_pack_and_owned_synonym_are_refused(tmp_path: Path) -> None:
    """Each problem is reported with its place."""
    file = tmp_path / "ours.yaml"
    file.write_text("version: w\nlanguages: {en: {cues: [x]}, fr: {terms: {concepts: {nothing: {}}}}}\n")
    with pytest.raises(
        VocabularyError, match=r"(?s)languages\.en\.cues.*languages\.fr\.terms\.concepts\.nothing"
    ):
        load_vocabulary(file)
    file.write_text("version: w\nconcepts: {pneumothorax: {synonyms: [effusion]}}\n")
    with pytest.raises(VocabularyError, match="'effusion' already belongs to pleural_effusion"):
        load_vocabulary(file)
