"""A graded "one" or "amount" stands for the finding before it: "no large effusion; a small one cannot be
excluded", "no fluid on the right, a moderate amount on the left".
"""

from __future__ import annotations

from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token


def with_ones(marked: Marked) -> list[Token] | None:
    """The tokens with the finding in the place of each such word; None if there is none."""
    pack = marked.pack.words
    stands = pack["one"] | pack["portions"]
    if stands.isdisjoint(marked.bag):
        return None
    found: list[Token] = []
    changed = False
    for index, token in enumerate(marked.tokens):
        subject = _subject(marked, index) if token.word in stands else None
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
    behind = marked.words[index + 1 : index + 2]
    # "The last one film"; "a small amount of gas in the stomach".
    other = not marked.pack.words["films"].isdisjoint(behind) or (
        marked.words[index] in marked.pack.words["portions"]
        and index + 1 < end
        and not {*behind} <= marked.pack.words["at"] - {"of"}
    )
    if begin < 0 or not graded or other or any(begin < t.start < end for t in marked.terms):
        return None
    named = [t for t in marked.terms if t.end <= begin and t.kind in ("synonym", "weak")]
    return named[-1] if named else None
