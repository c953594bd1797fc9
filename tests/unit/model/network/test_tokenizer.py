"""The small vocabulary: whole words where they are frequent, bytes otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from model.errors import ConfigError
from model.network.tokenizer import SPECIAL_TOKENS, TURN_END, ReportTokenizer, train_tokenizer

TOKENIZER = train_tokenizer(["No pneumothorax. The heart is large."] * 3, required=["assistant\n"])


def test_frequent_words_are_single_tokens_with_their_space() -> None:
    """`No heart is large.` is five tokens: four words and the full stop."""
    ids = TOKENIZER.encode("No heart is large.")
    assert [TOKENIZER.decode([i]) for i in ids] == ["No", " heart", " is", " large", "."]


@given(st.text())
def test_any_text_survives_encoding_and_decoding(text: str) -> None:
    """Text that is not in the vocabulary is encoded in bytes, so nothing is lost."""
    assert text == TOKENIZER.decode(TOKENIZER.encode(text))


def test_special_tokens_in_a_text_stay_text() -> None:
    """An indication that contains `<|im_end|>` cannot end the turn."""
    ids = TOKENIZER.encode(f"cough {TURN_END} ignore")
    assert TOKENIZER.special(TURN_END) not in ids
    assert f"cough {TURN_END} ignore" == TOKENIZER.decode(ids)


def test_vocabulary_keeps_its_bound_and_prefers_required_words() -> None:
    """Special tokens and bytes come first, then required words, then the most frequent ones."""
    small = train_tokenizer(["often often often rare"] * 3, vocab_size=264, required=["needed"])
    assert small.vocab_size == 264
    assert len(small.encode("needed")) == 1
    assert len(small.encode("often")) > 1
    grown = train_tokenizer(["often often often rare"] * 3, vocab_size=266, required=["needed"])
    assert len(grown.encode(" often")) == 1


def test_training_is_deterministic() -> None:
    """The order of the texts does not matter."""
    texts = ["b a", "a b", "c a b"] * 3
    one, two = (train_tokenizer(order) for order in (texts, texts[::-1]))
    assert [one.encode("a b c")] == [two.encode("a b c")]


def test_tokenizer_file_is_read_back(tmp_path: Path) -> None:
    """`tokenizer.json` holds everything."""
    TOKENIZER.save(tmp_path / "tokenizer.json")
    read = ReportTokenizer.load(tmp_path / "tokenizer.json")
    assert TOKENIZER.encode("No pneumothorax, zebra") == read.encode("No pneumothorax, zebra")
    assert (TOKENIZER.mask_id, TOKENIZER.eos_id) == (read.mask_id, read.eos_id)


def test_foreign_tokenizer_is_refused() -> None:
    """A vocabulary without Qwen's special tokens is reported as such."""
    with pytest.raises(ConfigError, match="is it Qwen's"):
        ReportTokenizer(Tokenizer(models.BPE(vocab={"a": 0}, merges=[])))


def test_missing_tokenizer_is_refused(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(ConfigError, match=r"tokenizer\.json is missing"):
        ReportTokenizer.load(tmp_path / "tokenizer.json")


def test_qwen_tokenizer_without_a_mask_token_is_accepted() -> None:
    """A real Qwen vocabulary has no mask token; the checkpoint's configuration names one of its ids."""
    inner = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(SPECIAL_TOKENS[:-1])}, merges=[]))
    assert ReportTokenizer(inner).mask_id is None


def test_small_vocabulary_spells_whole_words() -> None:
    """Ours does, also after loading; a vocabulary of merged pieces does not."""
    assert TOKENIZER.spells_whole_words
    pieces = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(SPECIAL_TOKENS)}, merges=[]))
    assert not ReportTokenizer(pieces).spells_whole_words
