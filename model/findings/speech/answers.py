"""Answers that follow their item: "effusion present, pneumothorax absent", "pneumothorax? no".

Such an answer belongs only to its own item. It gets a colon before it, as in a form, and a stop after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from model.findings.lexicon import Pack
from model.findings.located import covered
from model.findings.spans import Marked
from model.findings.text.tokens import Token, words_of

_SIGNS = frozenset((",", ";", ".", "?"))
_OPENED = frozenset((":", "?"))


def answered(marked: Marked) -> list[Token] | None:
    """The tokens with each answer in the style of a form; None if the sentence has no answer."""
    firsts = _first_words(marked.pack)
    if "?" not in marked.bag and firsts.isdisjoint(marked.bag):
        return None
    ends = {t.end for t in marked.terms if t.kind in ("synonym", "weak")} | {s.end for s in marked.states}
    words = marked.words
    if not any(i in ends or words[i - 1] in _OPENED for i, word in enumerate(words) if word in firsts) and (
        "?" not in marked.bag
    ):
        return None
    found: list[Token] = []
    changed = False
    index = 0
    while index < len(marked.tokens):
        token = marked.tokens[index]
        length = _answer_at(marked, index) if index else 0
        asked = marked.words[index - 1] == "?" and index - 1 in ends
        if asked and not length and (length := _verdict_at(marked, index)):
            skipped = _before_verdict(marked, index)
            index, length = index + skipped, length - skipped
        if not length or not (index in ends or asked or marked.words[index - 1] == ":"):
            found.append(token)
            index += 1
            continue
        if asked or (found and found[-1].word == "?"):
            found[-1] = Token(":", found[-1].start, found[-1].end)
            changed = True
        elif marked.words[index - 1] != ":" and token.word != "(":
            found.append(Token(":", token.start, token.start))
            changed = True
        found += marked.tokens[index : index + length]
        index += length
        if index < len(marked.tokens) and _parts(marked, index):
            found.append(Token(";", marked.tokens[index].start, marked.tokens[index].start))
            index += marked.words[index] == ","
            changed = True
    return found if changed else None


def is_answer(marked: Marked) -> bool:
    """Whether a sentence is an answer: "No", "Yes, on the left", "Unlikely", "Cannot be excluded"."""
    words = marked.words
    length = _longest(words, marked.pack)
    if length and (length == len(words) or words[length] in _SIGNS):
        return True
    return bool(words) and _verdict_at(marked, 0) == len(words)


def _verdict_at(marked: Marked, index: int) -> int:
    """How many words from a place on, up to a punctuation mark or the end, only qualify a finding."""
    known = covered([c for c in marked.cues if c.kind.startswith("after:")])
    known |= {i for i, word in enumerate(marked.words) if word in marked.pack.words["pronouns"]}
    end = next((i for i in range(index, len(marked.words)) if marked.words[i] in _SIGNS), len(marked.words))
    said = any(c.kind.startswith("after:") and index <= c.start < end for c in marked.cues)
    return end - index if said and known.issuperset(range(index, end)) else 0


def _before_verdict(marked: Marked, index: int) -> int:
    """How many words precede the cue itself: the speaker's name, a pronoun, a colon."""
    first = min(c.start for c in marked.cues if c.kind.startswith("after:") and c.start >= index)
    return first + (marked.words[first] == ":") - index


def _answer_at(marked: Marked, index: int) -> int:
    """How many words at a place are an answer with a sign, a conjunction or nothing after it."""
    length = _longest(marked.words[index : index + 4], marked.pack)
    behind = marked.words[index + length : index + length + 1]
    ends = not behind or behind[0] in _SIGNS or behind[0] in marked.pack.words["and"]
    return length if length and ends else 0


def _parts(marked: Marked, index: int) -> bool:
    """Whether another item follows the answer that ends at a place."""
    word = marked.words[index]
    return (word == "," or word in marked.pack.words["and"]) and any(t.start > index for t in marked.terms)


def _longest(words: Sequence[str], pack: Pack) -> int:
    listed = _phrases(pack).get(words[0], ()) if words else ()
    return next((len(phrase) for phrase in listed if tuple(words[: len(phrase)]) == phrase), 0)


@lru_cache(maxsize=16)
def _phrases(pack: Pack) -> dict[str, tuple[tuple[str, ...], ...]]:
    """The answers of a language by their first word, the longest first."""
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for phrase in pack.words["answers_no"] | pack.words["answers_yes"]:
        words = words_of(phrase)
        found[words[0]] = (*found.get(words[0], ()), words)
    return {first: tuple(sorted(listed, key=len, reverse=True)) for first, listed in found.items()}


@lru_cache(maxsize=16)
def _first_words(pack: Pack) -> frozenset[str]:
    return frozenset(_phrases(pack))
