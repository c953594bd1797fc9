"""From tokens to sentences: sections, boundaries and confidences."""

from __future__ import annotations

from typing import Any

from model.decode import Decoded
from model.network.tokenizer import ReportTokenizer
from model.reporting.sentences import SpokenSentence, spoken_sentences

TEXT = "Findings: No pneumothorax. The heart is enlarged. Impression: Small left effusion."


def decoded(tokenizer: ReportTokenizer, text: str, low: dict[int, float] | None = None) -> Decoded:
    tokens = tokenizer.encode(text)
    confidences = [(low or {}).get(i, 0.9) for i in range(len(tokens))]
    return Decoded(
        tokens=tuple(tokens),
        confidences=tuple(confidences),
        block_confidences=(min(confidences, default=1.0),),
        stopped=True,
        forwards=1,
    )


def test_sentences_know_their_section_and_first_token(tokenizer: ReportTokenizer) -> None:
    """Headings separate sections and are not sentences."""
    found = spoken_sentences(decoded(tokenizer, TEXT), tokenizer)
    assert [(s.text, s.section) for s in found] == [
        ("No pneumothorax.", "findings"),
        ("The heart is enlarged.", "findings"),
        ("Small left effusion.", "impression"),
    ]
    words = [tokenizer.decode([tokenizer.encode(TEXT)[s.first_token]]).strip() for s in found]
    assert words == ["No", "The", "Small"]


def test_sentence_is_as_confident_as_its_weakest_token(tokenizer: ReportTokenizer) -> None:
    """A weak token counts only for its own sentence, not for adjacent ones or the heading."""
    ids = tokenizer.encode(TEXT)
    weak = ids.index(tokenizer.encode(" heart")[0])
    heading = 0
    found = spoken_sentences(decoded(tokenizer, TEXT, {weak: 0.2, heading: 0.1}), tokenizer)
    assert [s.confidence for s in found] == [0.9, 0.2, 0.9]


def test_text_without_headings_is_findings(tokenizer: ReportTokenizer) -> None:
    """An unfinished last sentence counts as one; decimals do not end a sentence."""
    found = spoken_sentences(decoded(tokenizer, "A mass of 3.5 cm. And then"), tokenizer)
    assert [(s.text, s.section) for s in found] == [
        ("A mass of 3.5 cm.", "findings"),
        ("And then", "findings"),
    ]


def test_words_spelt_in_bytes_keep_their_bounds(tokenizer: ReportTokenizer) -> None:
    """A character of several tokens belongs entirely to its sentence."""
    found = spoken_sentences(decoded(tokenizer, "Größe 漢. No pneumothorax."), tokenizer)
    assert [s.text for s in found] == ["Größe 漢.", "No pneumothorax."]
    assert found[1].first_token == len(tokenizer.encode("Größe 漢."))


def test_no_text_has_no_sentences(tokenizer: ReportTokenizer) -> None:
    """A model that ends at once has written no sentence."""
    assert spoken_sentences(decoded(tokenizer, ""), tokenizer) == tuple[SpokenSentence, ...]()


def test_chinese_sentences_end_at_their_own_stop() -> None:
    """The headings are those of the Chinese canonical wording; no space follows a full stop."""

    class Characters:
        """Each token is a character."""

        def decode(self, tokens: list[int]) -> str:
            return "".join(map(chr, tokens))

        def encode(self, text: str) -> list[int]:
            return [ord(character) for character in text]

    characters: Any = Characters()
    text = "检查所见：未见气胸。左侧少量胸腔积液。印象：左侧少量胸腔积液。"

    found = spoken_sentences(decoded(characters, text), characters)

    assert [(s.text, s.section) for s in found] == [
        ("未见气胸。", "findings"),
        ("左侧少量胸腔积液。", "findings"),
        ("左侧少量胸腔积液。", "impression"),
    ]
