"""Conclusions dictated without a stop before them: "no pneumothorax impression left basal pneumonia"."""

from __future__ import annotations

from functools import lru_cache

from model.findings.lexicon import Pack
from model.findings.located import covered
from model.findings.spans import Marked
from model.findings.text.tokens import Token


def with_conclusions(marked: Marked) -> list[Token] | None:
    """The tokens with a stop in the place of each such heading, so that nothing reaches across it."""
    headings = _headings(marked.pack)
    if headings.isdisjoint(marked.bag):
        return None
    found = [
        Token(".", token.start, token.end) if token.word in headings and _is_heading(marked, i) else token
        for i, token in enumerate(marked.tokens)
    ]
    return found if found != list(marked.tokens) else None


def _is_heading(marked: Marked, index: int) -> bool:
    """Whether a noun stands between two statements, and not in one: "my impression is", "impression of"."""
    pack, words = marked.pack.words, marked.words
    if not any(t.end <= index for t in marked.terms) or not any(t.start > index for t in marked.terms):
        return False
    longer = marked.pack.headings.names.get(" ".join(words[index - 1 : index + 1]))
    if longer not in (None, "conclusion"):
        return False  # "clinical impression"
    behind = pack["at"] | pack["verbs"] | pack["that"] | pack["links"] | pack["or"]
    before = behind | pack["articles"] | pack["pronouns"] | pack["and"] | {"my", "our"}
    # Words of a side may link too: "effusion on the left impression …".
    placed = covered(marked.sides, marked.places)
    joined = words[index - 1] in before and index - 1 not in placed
    return not joined and (words[index + 1] not in behind or index + 1 in placed)


@lru_cache(maxsize=16)
def _headings(pack: Pack) -> frozenset[str]:
    return frozenset(word for word, kind in pack.headings.words.items() if kind == "conclusion")
