"""Does a sentence read as language? The checks for what one-step decoding breaks: its order of words.

A broken sentence repeats words, leaves a word or itself unfinished, or says nothing that can be read.
None of this tells whether a sentence is true.
"""

from __future__ import annotations

import re
from functools import lru_cache

from model.findings.canonical import statement
from model.findings.extract import extract_findings
from model.network.tokenizer import ReportTokenizer

_WORD = re.compile(r"[A-Za-z]+")
_LONGEST_REPEAT = 3  # words; "left lung left lung" is a repeat of two


def garble(sentence: str, tokenizer: ReportTokenizer, *, canonical: bool) -> str:
    """What is wrong with a sentence, in a few words; empty if it reads well.

    canonical: the model was trained on the canonical wording alone, so that any other sentence is
    broken; otherwise a sentence must state a finding that can be extracted.
    """
    if wrong := _unfinished(sentence) or _repeats(sentence):
        return wrong
    if tokenizer.spells_whole_words and (unknown := _unknown_word(sentence, tokenizer)):
        return f"the word “{unknown}” is unfinished or unknown"
    readable = _states_canonically(sentence) if canonical else _states_something(sentence)
    return "" if readable else "no statement can be read from it"


def _unfinished(sentence: str) -> str:
    return "" if sentence.endswith((".", "!", "?")) else "it is unfinished"


def _repeats(sentence: str) -> str:
    words: list[str] = _WORD.findall(sentence.lower())
    for length in range(1, _LONGEST_REPEAT + 1):
        for start in range(len(words) - 2 * length + 1):
            phrase = words[start : start + length]
            if phrase == words[start + length : start + 2 * length]:
                return f"it repeats “{' '.join(phrase)}”"
    return ""


def _unknown_word(sentence: str, tokenizer: ReportTokenizer) -> str:
    """The first word that the training vocabulary lacks, in the forms that a sentence gives it."""
    words: list[str] = _WORD.findall(sentence)
    for word in words:
        forms = (word, f" {word}", f"-{word}")
        if len(word) > 1 and not any(len(tokenizer.encode(form)) == 1 for form in forms):
            return word
    return ""


@lru_cache(maxsize=4096)
def _states_something(sentence: str) -> bool:
    return len(extract_findings(sentence)) > 0


@lru_cache(maxsize=4096)
def _states_canonically(sentence: str) -> bool:
    return statement(sentence) is not None
