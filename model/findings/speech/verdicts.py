"""Verdicts before their finding, as a note has them: "neg ptx, pos L eff"."""

from __future__ import annotations

from model.findings.lexicon import denial_of
from model.findings.located import covered
from model.findings.spans import Marked
from model.findings.text.tokens import Token


def with_verdicts(marked: Marked) -> list[Token] | None:
    """The tokens with "negative" before a finding as a denial, and without "positive"; None for neither."""
    pack = marked.pack.words
    if (pack["negative"] | pack["positive"]).isdisjoint(marked.bag):
        return None
    found: list[Token] = []
    changed, skip = False, -1
    for index, token in enumerate(marked.tokens):
        if index == skip:
            continue
        positive = token.word in pack["positive"]
        length = 1 + (positive and marked.words[index + 1 : index + 2] in {(w,) for w in pack["verdict_for"]})
        if not (positive or token.word in pack["negative"]) or not _opens_item(marked, index, length):
            found.append(token)
            continue
        changed, skip = True, index + length - 1 if length > 1 else -1
        found += [Token(";", token.start, token.start)] if found else []
        found += [] if positive else [Token(denial_of(marked.pack), token.start, token.end)]
    return found if changed else None


def _opens_item(marked: Marked, index: int, length: int) -> bool:
    """Whether a verdict begins an item, with a finding behind it and at most its side or grade between."""
    pack, words = marked.pack.words, marked.words
    if index and words[index - 1] not in pack["comma"] | pack["and"] | {";", "."}:
        return False
    described = covered(marked.sides, marked.severities, marked.places)
    starts = {t.start for t in marked.terms if t.kind in ("synonym", "weak")}
    at = index + length
    while at < len(words) and at in described and at not in starts:
        at += 1
    return at in starts
