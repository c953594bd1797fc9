"""The strict reading of canonical sentences."""

from __future__ import annotations

import pytest

from model.findings.canonical import read_canonical, statement
from model.findings.types import Finding, Laterality, Presence, Severity
from model.findings.wording import normalised_report
from model.phantom import draw_spec


def test_reading_gives_back_the_truth_of_every_phantom() -> None:
    """Canonical text loses nothing: what it is made of is what is read from it."""
    for seed in range(60):
        truth = draw_spec(seed).truth

        reading = read_canonical(normalised_report(truth).text)

        assert set(truth) == set(reading.findings)
        assert (reading.broken, reading.legal) == (0, True)


@pytest.mark.parametrize(
    "sentence",
    [
        "No pneumothorax or or mass.",
        "Small left pleural.",
        "No",
        "Mass in the left left lower zone.",
        "Mild nodule",
    ],
)
def test_broken_sentences_state_nothing(sentence: str) -> None:
    """Repeated, missing or unfinished words make a sentence unparseable."""
    assert statement(sentence) is None


def test_a_list_states_the_absence_of_each() -> None:
    """No A, B or C."""
    stated = statement("No nodule or mass.")

    assert stated is not None
    assert [(f.concept, f.presence) for f in stated] == [
        ("nodule", Presence.ABSENT),
        ("mass", Presence.ABSENT),
    ]


def test_a_sentence_states_side_and_severity() -> None:
    """Attributes come back as they went in."""
    expected = Finding(
        concept="pleural_effusion",
        presence=Presence.PRESENT,
        laterality=Laterality.LEFT,
        severity=Severity.MILD,
    )

    assert (expected,) == statement("Small left pleural effusion.")


def test_a_report_with_a_sentence_missing_is_not_legal() -> None:
    """Every sentence may be fine while the report contradicts itself or lacks its impression."""
    reading = read_canonical(
        "Findings: Small left pleural effusion. Impression: No acute cardiopulmonary abnormality."
    )

    assert reading.broken == 0
    assert not reading.legal


@pytest.mark.parametrize(
    "sentence", ["左侧少量胸腔积液。", "未见气胸、结节或肿块。", "位置异常的气管插管位于右主支气管。"]
)
def test_chinese_sentences_are_canonical(sentence: str) -> None:
    """What the wording of the Chinese pack writes is read by the strict reader too."""
    assert statement(sentence)


@pytest.mark.parametrize(
    "sentence", ["左侧左侧胸腔积液。", "少量左侧胸腔积液。", "未见气胸、结节。", "左侧少量。"]
)
def test_broken_chinese_sentences_state_nothing(sentence: str) -> None:
    """Another order, a repeat or a missing word is no canonical sentence."""
    assert statement(sentence) is None
