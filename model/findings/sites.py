"""Decides whether a finding belongs to the chest: a breast mass, a fractured wire and a liver lesion do not.

The site of a mention is the nouns directly before it ("chest wall mass") or after "in", "of" and "at"
("mass in the right breast").
"""

from __future__ import annotations

from functools import lru_cache

from model.findings.mentions import Mention
from model.findings.spans import Marked
from model.findings.territory import Territory
from model.findings.text.tokens import words_of
from model.findings.vocabulary import Vocabulary

Phrases = dict[str, list[tuple[str, ...]]]
_BEFORE, _BEHIND, _EXPLAINED = 3, 6, 14  # words
_ARTICLES = frozenset(("a", "an", "the", "overlying", "superimposed", "patient", "left", "right"))


def is_elsewhere(marked: Marked, mention: Mention, area: Territory, vocabulary: Vocabulary) -> bool:
    """Whether the words next to a mention place it outside the part of the body that its concept applies
    to.
    """
    if mention.kind not in ("synonym", "weak", "state", "weak_state"):
        return False
    return any(
        not firsts.isdisjoint(marked.bag) and _is_at(marked, mention, area, phrases)
        for firsts, phrases in _elsewhere(vocabulary, mention.concepts)
    )


def is_artefact(marked: Marked, mention: Mention, area: Territory, vocabulary: Vocabulary) -> bool:
    """Whether a sentence explains a mention away: "the apparent nodule is the nipple", "due to rotation"."""
    end = mention.span.end
    if mention.kind not in ("synonym", "weak", "state", "weak_state"):
        return False
    rest = marked.words[end : end + _EXPLAINED]
    firsts, phrases = _artefacts(vocabulary)
    if firsts.isdisjoint(rest):
        return False
    links = marked.pack.words["explains"]
    for at, word in enumerate(rest):
        if word in links:
            after = rest[at + 1 : at + 1 + _BEFORE + 2]
            return any(
                after[i : i + len(phrase)] == phrase
                for i, first in enumerate(after)
                if all(w in links or not w.isalpha() or w in _ARTICLES for w in after[:i])
                for phrase in phrases.get(first, ())
            )
    return False


def _is_at(marked: Marked, mention: Mention, area: Territory, phrases: Phrases) -> bool:
    start, end = mention.span.start, mention.span.end
    # Not the mention itself, and not what is listed before it: "pericardial and pleural effusion".
    listing = marked.pack.words["and"] | marked.pack.words["alternatives"]
    first = max(area.left, start - _BEFORE)
    first = max((i + 1 for i in range(first, start) if marked.words[i] in listing), default=first)
    before = marked.words[first:start]
    behind = marked.words[end : min(area.right, end + _BEHIND)]
    at = next((i for i, word in enumerate(behind) if word in marked.pack.words["at"]), None)
    near = behind[:2] if at is None else behind
    said = (before, near)
    return any(
        words[i : i + len(phrase)] == phrase
        for words in said
        for i, word in enumerate(words)
        for phrase in phrases.get(word, ())
    )


@lru_cache(maxsize=256)
def _elsewhere(
    vocabulary: Vocabulary, concepts: tuple[str, ...]
) -> tuple[tuple[frozenset[str], Phrases], ...]:
    """The first words and the phrases of each rule that applies to all of the concepts."""
    rules = [rule for rule in vocabulary.elsewhere if set(concepts) <= set(rule.concepts)]
    listed = [_phrases(rule.words) for rule in rules]
    return tuple((frozenset(phrases), phrases) for phrases in listed)


@lru_cache(maxsize=8)
def _artefacts(vocabulary: Vocabulary) -> tuple[frozenset[str], Phrases]:
    phrases = _phrases(vocabulary.artefacts)
    return frozenset(phrases), phrases


def _phrases(sites: tuple[str, ...]) -> Phrases:
    """Sites as words, by their first word."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for site in sites:
        words = words_of(site)
        found.setdefault(words[0], []).append(words)
    return found
