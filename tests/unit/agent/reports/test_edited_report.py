"""The text of a report after a person has edited it, in any language."""

from __future__ import annotations

import pytest

from agent.reports.edited_report import read_findings, report_of


@pytest.mark.parametrize(
    ("findings", "impression", "language", "concept"),
    [
        ("No pneumothorax.", "Small left effusion.", "en", "pleural_effusion"),
        ("右侧气胸。", "", "zh", "pneumothorax"),
        ("未见气胸。", "左侧少量胸腔积液。", "zh", "pleural_effusion"),
        ("Kein Pneumothorax.", "Kleiner Pleuraerguss links.", "de", "pleural_effusion"),
    ],
)
def test_edited_report_is_read_in_its_own_language(
    findings: str, impression: str, language: str, concept: str
) -> None:
    """The titles that the program adds are in the language of the text, however short the text is."""
    reading = read_findings(report_of(findings, impression))

    assert language == reading.language
    assert concept in {one.concept for one in reading.findings if one.presence == "present"}
    assert reading.notices == ()


@pytest.mark.parametrize(
    "text",
    [
        "Pas de pneumothorax.\nÉpanchement pleural gauche de faible abondance.",
        "Geen pneumothorax.\nPleuravocht links.",
        "Пневмоторакса нет.",
        "気胸は認めません。胸水を認めます。",
    ],
)
def test_edited_report_in_an_unknown_language_says_so(text: str) -> None:
    """Nothing is extracted from it, and the reason can be shown; the documents do not call it English."""
    reading = read_findings(report_of(text, text))

    assert (reading.findings, reading.locale) == ((), "und")
    assert any("another language" in notice for notice in reading.notices)


def test_a_foreign_sentence_of_an_edited_report_is_noticed() -> None:
    """A sentence that is not in the report's language is left out, visibly."""
    reading = read_findings(report_of("Small left effusion.\nPas de pneumothorax à droite.", "No edema."))

    assert {"pleural_effusion", "pulmonary_edema"} == {one.concept for one in reading.findings}
    assert len(reading.notices) == 1
