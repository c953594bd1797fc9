"""Broken sentences versus sound ones."""

from __future__ import annotations

import pytest

from model.network.tokenizer import train_tokenizer
from model.reporting.garble import garble

SOUND = [
    "No pleural effusion or pneumothorax.",
    "The cardiac silhouette is normal in size.",
    "Moderate left pleural effusion.",
    "The hila are normal.",
    "No acute cardiopulmonary abnormality.",
]
TOKENIZER = train_tokenizer([*SOUND, " large small the right"] * 3)


@pytest.mark.parametrize("canonical", [True, False])
@pytest.mark.parametrize("sentence", SOUND)
def test_sound_sentences_pass(sentence: str, canonical: bool) -> None:
    """Canonical sentences are never reported as broken."""
    assert garble(sentence, TOKENIZER, canonical=canonical) == ""


@pytest.mark.parametrize("canonical", [True, False])
@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("Moderate left left pleural effusion.", "it repeats “left”"),
        ("Moderate left pleural left pleural effusion.", "it repeats “left pleural”"),
        ("Moderate left pleural", "it is unfinished"),
        ("Moderate left pleural effu.", "the word “effu” is unfinished or unknown"),
        ("The small right large.", "no statement can be read from it"),
        (".", "no statement can be read from it"),
    ],
)
def test_broken_sentences_are_told_apart(sentence: str, wrong: str, canonical: bool) -> None:
    """Repeated words, unfinished sentences and words, and sentences without a statement are broken."""
    assert garble(sentence, TOKENIZER, canonical=canonical) == wrong


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("左侧少量胸腔积液。", ""),
        ("左侧少量胸腔积液", "it is unfinished"),
        ("左侧左侧胸腔积液。", "it repeats “左 侧”"),
        ("少量左侧积液可见。", "no statement can be read from it"),
    ],
)
def test_chinese_canonical_sentences_are_judged_by_their_own_wording(sentence: str, wrong: str) -> None:
    """A model of Chinese canonical text is not judged by the English wording."""
    assert garble(sentence, TOKENIZER, canonical=True) == wrong


def test_other_wording_is_broken_only_for_a_canonical_model() -> None:
    """A canonical model never deliberately writes a readable sentence in other words."""
    sentence = "Pleural effusion, left, moderate."
    words = train_tokenizer([sentence] * 3)
    assert garble(sentence, words, canonical=False) == ""
    assert garble(sentence, words, canonical=True) == "no statement can be read from it"
