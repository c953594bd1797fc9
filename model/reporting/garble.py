"""Detects garbled sentences: one-step decoding may break the order of words.

A broken sentence repeats words, leaves a word or itself unfinished, or has words where no sentence has them.
None of this tells whether a sentence is true, and a sentence that states no finding ("The aorta is
tortuous.") is not broken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files

import yaml

from model.findings.canonical import statement
from model.network.tokenizer import ReportTokenizer
from model.network.word_order import WordOrder

_LATIN = re.compile(r"[A-Za-z]+")
_HAN = re.compile(r"[\u3400-\u9fff]")
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[,;:]")
# A repeat across a comma still counts; one across another sign, or a number, does not.
_UNBROKEN = re.compile(r"[a-z]+|[^\sa-z,]")
_LONGEST_REPEAT = 3  # words; "left lung left lung" is a repeat of two
_ENDS = (".", "!", "?", "\u3002", "\uff01", "\uff1f")


def garble(
    sentence: str, tokenizer: ReportTokenizer, *, canonical: bool, order: WordOrder | None = None
) -> str:
    """The defect of a sentence, in a few words; empty if it reads well.

    canonical: the model was trained on the canonical wording alone, so any other sentence is broken.
    order: the word order of the text that a model of free wording was trained on.
    """
    if wrong := _unfinished(sentence) or _repeats(sentence):
        return wrong
    if tokenizer.spells_whole_words and (unknown := _unknown_word(sentence, tokenizer)):
        return f"the word “{unknown}” is unfinished or unknown"
    if canonical:
        return "" if _states_canonically(sentence) else "no statement can be read from it"
    if order is not None and (pair := order.strange_pair(sentence)):
        return f"“{pair}” do not follow each other"
    return _disordered(sentence)


def _unfinished(sentence: str) -> str:
    return "" if sentence.endswith(_ENDS) else "it is unfinished"


def _repeats(sentence: str) -> str:
    han = _HAN.search(sentence) is not None
    words = _HAN.findall(sentence) if han else _UNBROKEN.findall(sentence.lower())
    for length in range(2 if han else 1, _LONGEST_REPEAT + 1):
        for start in range(len(words) - 2 * length + 1):
            phrase = words[start : start + length]
            repeated = phrase == words[start + length : start + 2 * length]
            if repeated and all(word.isalpha() for word in phrase) and not _is_mask(phrase):
                return f"it repeats “{' '.join(phrase)}”"
    return ""


def _is_mask(phrase: Sequence[str]) -> bool:
    """ "XXXX" stands for what was removed from a public report."""
    return all(set(word) == {"x"} for word in phrase)


def _unknown_word(sentence: str, tokenizer: ReportTokenizer) -> str:
    """The first word that is not in the training vocabulary in any of its forms in a sentence."""
    words: list[str] = _LATIN.findall(sentence)
    for word in words:
        forms = (word, f" {word}", f"-{word}")
        if len(word) > 1 and not any(len(tokenizer.encode(form)) == 1 for form in forms):
            return word
    return ""


def _disordered(sentence: str) -> str:
    """Patterns that no English sentence has: a list of words without a noun, an article before "of", an open
    end."""
    words = [word.lower() for word in _TOKEN.findall(sentence)]
    if not any(word.isalpha() for word in words):
        return "" if words else "no statement can be read from it"
    if _HAN.search(sentence):
        return ""
    classes = _classes()
    kinds = [next((kind for kind, listed in classes.items() if word in listed), "noun") for word in words]
    if kinds[-1] in ("articles", "prepositions", "conjunctions") or words[-1] in (",", ";"):
        return f"it ends in “{words[-1]}”"
    if all(kind != "noun" for kind, word in zip(kinds, words, strict=True) if word.isalpha()) and not (
        len(words) <= 2 and "alone" in kinds
    ):
        return "no statement can be read from it"
    for index in range(len(words) - 1):
        if (kinds[index], kinds[index + 1]) in _NEVER:
            return f"“{words[index]} {words[index + 1]}” do not follow each other"
    if kinds[-1] in ("adjectives", "attributive") and "verbs" not in kinds:
        return f"it ends in “{words[-1]}”"
    return ""


_NEVER = frozenset(
    {("articles", kind) for kind in ("articles", "prepositions", "conjunctions", "verbs")}
    | {("conjunctions", "conjunctions"), ("grades", "verbs"), ("prepositions", "conjunctions")}
)


@lru_cache(maxsize=1)
def _classes() -> Mapping[str, frozenset[str]]:
    text = files("model.reporting").joinpath("grammar.yaml").read_text(encoding="utf-8")
    return {kind: frozenset(map(str, words)) for kind, words in yaml.safe_load(text).items()}


@lru_cache(maxsize=4096)
def _states_canonically(sentence: str) -> bool:
    return statement(sentence) is not None
