"""A graded "one" stands for the finding before it: "no large effusion; a small one cannot be excluded"."""

from __future__ import annotations

from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token


def with_ones(marked: Marked) -> list[Token] | None:
    """The tokens with the finding in the place of each such word; None if there is none."""
    pack = marked.pack.words
    if pack["one"].isdisjoint(marked.bag):
        return None
    found: list[Token] = []
    changed = False
    for index, token in enumerate(marked.tokens):
        subject = _subject(marked, index) if token.word in pack["one"] else None
        if subject is None:
            found.append(token)
            continue
        changed = True
        words = marked.tokens[subject.start : subject.end]
        found += [Token(word.word, token.start, token.end) for word in words]
    return found if changed else None


def _subject(marked: Marked, index: int) -> Span | None:
    """The finding that a word stands for, if its clause grades it and names none."""
    signs = [*marked.pack.words["comma"], ";", "."]
    begin = next((i for i in range(index - 1, -1, -1) if marked.words[i] in signs), -1)
    end = next((i for i in range(index, len(marked.words)) if marked.words[i] in signs), len(marked.words))
    graded = any(s.end == index for s in marked.severities)
    film = not marked.pack.words["films"].isdisjoint(marked.words[index + 1 : index + 2])
    if begin < 0 or not graded or film or any(begin < t.start < end for t in marked.terms):
        return None
    named = [t for t in marked.terms if t.end <= begin and t.kind in ("synonym", "weak")]
    return named[-1] if named else None
