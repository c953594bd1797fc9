"""Free text to normalised reports, with an explicit policy for what the text does not mention."""

from __future__ import annotations

import pytest

from model.findings.errors import WordingError
from model.findings.normalise import Policy, normalise
from model.findings.types import Presence


def test_leave_out_states_what_was_said_and_nothing_else() -> None:
    """What the text does not mention is not stated."""
    result = normalise("Small L effusion seen. Heart size normal.", Policy.LEAVE_OUT)
    assert result.report.text == (
        "Findings: The cardiac silhouette is normal in size. Small left pleural effusion. "
        "Impression: Small left pleural effusion."
    )
    assert result.added == ()


def test_state_normal_adds_plain_negatives_and_counts_them() -> None:
    """Regions that are not mentioned get their negatives; no stated finding is contradicted."""
    result = normalise("Small left effusion. Rib fracture.", Policy.STATE_NORMAL)
    added = {finding.concept for finding in result.added}
    assert added == {
        "widened_mediastinum",
        "consolidation",
        "pulmonary_edema",
        "cardiomegaly",
        "hilar_enlargement",
        "elevated_diaphragm",
        "pneumothorax",
    }
    assert {finding.presence for finding in result.added} == {Presence.ABSENT}


@pytest.mark.parametrize(("text", "expected"), [("ETT in place.", True), ("Possible pneumonia.", False)])
def test_state_normal_concludes_only_without_positives(text: str, expected: bool) -> None:
    """ "No acute abnormality" is added only where nothing but devices is present or possible."""
    added = normalise(text, Policy.STATE_NORMAL).added
    assert expected == any(finding.concept == "no_finding" for finding in added)


def test_unread_sentences_are_returned() -> None:
    """Sentences that the reader does not understand are returned."""
    assert normalise("Aorta is tortuous. No effusion.", Policy.LEAVE_OUT).unread == ("Aorta is tortuous.",)


def test_report_is_rewritten_in_chinese() -> None:
    """The language of the text and the language of the report are independent."""
    report = normalise(
        "Small left effusion, unchanged. No pneumothorax.", Policy.LEAVE_OUT, language="zh"
    ).report

    assert (
        report.text
        == "检查所见：左侧少量胸腔积液，较前无变化。未见气胸。印象：左侧少量胸腔积液，较前无变化。"
    )


def test_language_without_a_wording_is_refused() -> None:
    """German is read, but has no canonical wording."""
    with pytest.raises(WordingError, match="choose one of en, zh"):
        normalise("Small left effusion.", Policy.LEAVE_OUT, language="de")
