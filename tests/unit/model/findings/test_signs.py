"""Plus, minus, the crossed zero and "neg" before or behind what they are about."""

from __future__ import annotations

import pytest

from tests.unit.model.findings.conftest import stated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(-) ptx (+) L eff", "-pneumothorax +pleural_effusion@L"),
        ("(+) effusion (-) ptx", "+pleural_effusion -pneumothorax"),
        ("(+) right lower lobe consolidation, (-) effusion.", "+consolidation@R -pleural_effusion"),
        ("(-)pneumothorax (-)effusion", "-pneumothorax -pleural_effusion"),
        ("(neg) pneumothorax, (pos) effusion", "-pneumothorax +pleural_effusion"),
        ("(-) ptx.", "-pneumothorax"),
        ("Effusion (+) ptx (-)", "+pleural_effusion -pneumothorax"),
        ("Pneumothorax (-) Effusion left (+)", "-pneumothorax +pleural_effusion@L"),
    ],
)
def test_bracketed_signs_stand_all_before_or_all_behind(text: str, expected: str) -> None:
    """A sentence that begins with a bracketed sign has one before each of its items."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ø ptx, Ø eff", "-pneumothorax -pleural_effusion"),
        ("Ø consolidation. L eff.", "-consolidation +pleural_effusion@L"),
        ("∅ effusion ∅ pneumothorax", "-pleural_effusion -pneumothorax"),
        ("Nodule right upper lobe, Ø 8 mm.", "+nodule@R"),
        ("Rundherd rechts Ø 2 cm.", "+nodule@R"),
    ],
)
def test_crossed_zero_denies_a_word_and_measures_a_number(text: str, expected: str) -> None:
    """Before a number it is a diameter."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("neg ptx, pos L eff", "-pneumothorax +pleural_effusion@L"),
        ("pos L eff, neg ptx", "+pleural_effusion@L -pneumothorax"),
        ("Negative for pneumothorax, positive for small effusion.", "-pneumothorax +pleural_effusion"),
        ("Pneumothorax neg, effusion pos.", "-pneumothorax +pleural_effusion"),
        ("Pneumothorax: negative, effusion: positive.", "-pneumothorax +pleural_effusion"),
    ],
)
def test_verdict_belongs_to_the_finding_behind_it_only_where_it_opens_an_item(
    text: str, expected: str
) -> None:
    """Behind a finding it is an answer, as before."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pneumothorax re. -, Erguss li. +", "-pneumothorax@R +pleural_effusion@L"),
        ("Erguss rechts +, Pneumothorax links -", "+pleural_effusion@R -pneumothorax@L"),
        ("Effusion left -, ptx right +", "-pleural_effusion@L +pneumothorax@R"),
        ("+ effusion, - ptx", "+pleural_effusion -pneumothorax"),
        ("ptx- eff+", "-pneumothorax +pleural_effusion"),
        ("- small right effusion", "+pleural_effusion@R"),
        ("Right effusion - small.", "+pleural_effusion@R"),
    ],
)
def test_sign_behind_a_side_answers_its_item(text: str, expected: str) -> None:
    """A minus denies only in a sentence that has a plus as well; otherwise it is a bullet or a dash."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Erguss li. Kein Pneumothorax.", "+pleural_effusion@L -pneumothorax"),
        ("Kein Erguss re. Pneumothorax li. apikal.", "-pleural_effusion@R +pneumothorax@L"),
    ],
)
def test_clipped_side_ends_a_sentence_before_a_capital(text: str, expected: str) -> None:
    """Before small letters or a sign the sentence goes on."""
    assert stated(text) == " ".join(sorted(expected.split()))
