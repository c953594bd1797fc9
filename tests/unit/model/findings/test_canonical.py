"""Strict reading of canonical sentences."""

from __future__ import annotations

import pytest

from model.findings.canonical import read_canonical, statement
from model.findings.types import Finding, Laterality, Presence, Severity
from model.findings.wording import normalised_report
from model.phantom import draw_spec


def test_reading_gives_back_the_truth_of_every_phantom() -> None:
    """Canonical text loses nothing: the findings from which it is made are read from it again."""
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
    """A list after "No" states the absence of each of its concepts."""
    stated = statement("No nodule or mass.")

    assert stated is not None
    assert [(f.concept, f.presence) for f in stated] == [
        ("nodule", Presence.ABSENT),
        ("mass", Presence.ABSENT),
    ]


def test_a_sentence_states_side_and_severity() -> None:
    """The attributes of a finding are read from its sentence."""
    expected = Finding(
        concept="pleural_effusion",
        presence=Presence.PRESENT,
        laterality=Laterality.LEFT,
        severity=Severity.MILD,
    )

    assert (expected,) == statement("Small left pleural effusion.")


def test_a_report_with_a_sentence_missing_is_not_legal() -> None:
    """Every sentence may be valid while the report contradicts itself or lacks its impression."""
    reading = read_canonical(
        "Findings: Small left pleural effusion. Impression: No acute cardiopulmonary abnormality."
    )

    assert reading.broken == 0
    assert not reading.legal


@pytest.mark.parametrize(
    "sentence", ["左侧少量胸腔积液。", "未见气胸、结节或肿块。", "位置异常的气管插管位于右主支气管。"]
)
def test_chinese_sentences_are_canonical(sentence: str) -> None:
    """The strict reader also reads the wording of the Chinese pack."""
    assert statement(sentence)


@pytest.mark.parametrize(
    "sentence", ["左侧左侧胸腔积液。", "少量左侧胸腔积液。", "未见气胸、结节。", "左侧少量。"]
)
def test_broken_chinese_sentences_state_nothing(sentence: str) -> None:
    """A sentence with another order, a repeat or a missing word is not canonical."""
    assert statement(sentence) is None
