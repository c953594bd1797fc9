"""Exceptions to a denial: "no effusion apart from a trace on the left".

The exception is present although its noun is not repeated, and the denial holds elsewhere.
"""

from __future__ import annotations

from model.findings.located import covered
from model.findings.merge import Read
from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token
from model.findings.types import Finding, Laterality, Presence

_OTHER = {Laterality.LEFT: Laterality.RIGHT, Laterality.RIGHT: Laterality.LEFT}
_STOPS = frozenset((";", ".", ")"))


def with_exceptions(marked: Marked) -> list[Token] | None:
    """The tokens with the noun of a denial repeated in its exception; None if there is none."""
    cue = exception_of(marked)
    if cue is None or cue.start == 0:
        return None
    subject = _denied_before(marked, cue)
    end = _end(marked, cue)
    if subject is None or end == cue.end or not _is_only_a_place_or_grade(marked, cue.end, end):
        return None
    noun = marked.tokens[subject.start : subject.end]
    at, skip = _place_of_noun(marked, cue.end, end)
    stop = Token(";", marked.tokens[cue.start].start, marked.tokens[cue.start].start)
    tokens = marked.tokens
    return [*tokens[: cue.start], stop, *tokens[cue.start : at], *noun, *tokens[at + skip :]]


def exception_of(marked: Marked) -> Span | None:
    """The words of a sentence that make an exception to a denial."""
    excepts = marked.pack.words["excepts"]
    return next((span for span in marked.exceptions if marked.text(span) in excepts), None)


def denied_elsewhere(found: list[Read], sided: bool) -> list[Read]:
    """The denials with the side that a one-sided exception leaves them. found: of one concept."""
    present = {r.finding.laterality for r in found if r.finding and r.finding.presence is Presence.PRESENT}
    side = next(iter(present)) if len(present) == 1 else None
    if not sided or side not in _OTHER:
        return found
    return [
        Read(_at(r.finding, _OTHER[side]), r.weak, r.why)
        if r.finding is not None and r.finding.presence is Presence.ABSENT and r.finding.laterality is None
        else r
        for r in found
    ]


def _at(finding: Finding, side: Laterality) -> Finding:
    return Finding(
        concept=finding.concept,
        presence=finding.presence,
        laterality=side,
        change=finding.change,
        evidence=finding.evidence,
        span=finding.span,
    )


def _denied_before(marked: Marked, cue: Span) -> Span | None:
    terms = [t for t in marked.terms if t.end <= cue.start and t.kind in ("synonym", "weak")]
    if not terms:
        return None
    stop = max((i + 1 for i in range(cue.start) if marked.words[i] in _STOPS), default=0)
    denied = any(c.kind.endswith(":negated") and stop <= c.start < cue.start for c in marked.cues)
    return terms[-1] if denied and terms[-1].start >= stop else None


def _end(marked: Marked, cue: Span) -> int:
    """Where the exception ends: at a stop, at another denial, or at a comma before another finding."""
    denials = {c.start for c in marked.cues if c.kind.startswith("before:negated") and c.start >= cue.end}
    for index in range(cue.end, len(marked.words)):
        word = marked.words[index]
        parted = word == "," and any(t.start > index for t in marked.terms)
        if word in _STOPS or index in denials or parted:
            return index
    return len(marked.words)


def _is_only_a_place_or_grade(marked: Marked, start: int, end: int) -> bool:
    """Whether a segment has no noun of its own: "a trace on the left", "one at the right apex"."""
    if any(start <= t.start < end and t.kind != "structure" for t in marked.terms):
        return False
    pack = marked.pack.words
    light = pack["portions"] | pack["one"] | pack["elided"] | pack["at"] | pack["links"] | pack["and"]
    light |= pack["pronouns"] | pack["verbs"] | pack["comma"]
    families = (marked.severities, marked.sides, marked.places, marked.changes)
    known = covered(*families, [t for t in marked.terms if t.kind == "structure"])
    return all(
        i in known or marked.words[i] in light or not marked.words[i].isalpha() for i in range(start, end)
    )


def _place_of_noun(marked: Marked, start: int, end: int) -> tuple[int, int]:
    """(where the noun belongs in the stretch, how many words it replaces)."""
    pack = marked.pack.words
    for index in range(start, end):
        if marked.words[index] in pack["one"]:
            return index, 1
        if marked.words[index] in pack["portions"]:
            return index + 1, 0
    for index in range(start, end):
        if marked.words[index] in pack["at"] | pack["verbs"] | pack["pronouns"] | {","}:
            return index, 0
    return end, 0
