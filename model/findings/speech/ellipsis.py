"""Subjects that are not repeated: "left effusion unchanged, right resolved", "none on the left".

A segment that says something about a side but names no finding gets the finding of the segment before it, and
becomes a separate statement. "Right effusion, left clear" denies it on the left.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.findings.lexicon import denial_of
from model.findings.located import covered
from model.findings.spans import Marked, Span
from model.findings.text.tokens import Token


def with_subjects(marked: Marked) -> list[Token] | None:
    """The tokens with each elided subject inserted; None if none is missing."""
    pack = marked.pack.words
    if pack["comma"].isdisjoint(marked.bag) and pack["and"].isdisjoint(marked.bag):
        if not marked.walls and ":" not in marked.bag:
            return None
        if marked.walls == (len(marked.words) - 1,) and ":" not in marked.bag:
            return None  # nothing but the full stop
    denies = not marked.pack.words["none"].isdisjoint(marked.bag)
    if not denies and not any(s.key in ("left", "right") for s in marked.sides):
        return None
    parts = _segments(marked)
    if len(parts) < 2:
        return None
    found: list[Token] = []
    changed = False
    subject: Span | None = None
    for start, end in parts:
        stated = _stated(marked, start, end)
        completed = _completed(marked, start, end, subject) if subject is not None else None
        if completed is None and _is_clear_before(marked, start, end):
            changed = True  # "right clear, left effusion": the right is not the effusion's
        elif completed is None:
            found += marked.tokens[start:end]
        else:
            said = _without_sign(marked, found)
            if subject is not None and not changed and _is_label(marked, start, subject):
                said = said[: subject.start]  # "effusions: right small, left none"
            changed = True
            found = [*said, _stop(marked.tokens[start]), *completed]
        if stated:
            subject = stated[-1]
        elif any(start <= t.start < end for t in marked.terms):
            subject = None
    return found if changed else None


def _parting(marked: Marked) -> frozenset[str]:
    pack = marked.pack.words
    return pack["comma"] | pack["and"] | pack["walls"] | {";", ":"}


def _segments(marked: Marked) -> list[tuple[int, int]]:
    """Segments between punctuation marks and conjunctions; each mark begins the segment after it."""
    parting = _parting(marked)
    cuts = [i for i, word in enumerate(marked.words) if word in parting and i]
    return [*zip([0, *cuts], [*cuts, len(marked.words)], strict=True)]


def _stated(marked: Marked, start: int, end: int) -> list[Span]:
    """The findings of a segment, without those of a clause about something else: "where a tube is"."""
    found = [t for t in marked.terms if start <= t.start < end and t.kind in ("synonym", "weak")]
    aside = next((i for i in range(start, end) if marked.words[i] in marked.pack.words["asides"]), end)
    return [t for t in found if t.start < aside] or found


def _completed(marked: Marked, start: int, end: int, subject: Span | None) -> list[Token] | None:
    """A segment with its subject inserted after its side; None if it does not lack one."""
    refers = _refers(marked, start, end)
    if subject is None or any(start <= t.start < end for t in marked.terms):
        return None
    clear = _is_clear(marked, start, end)
    if not refers and not clear and any(start <= p.start < end for p in marked.places):
        return None
    sides = [s for s in marked.sides if start <= s.start and s.end <= end]
    if not sides and _is_none_seen(marked, start, end) and _is_open(marked, subject, start):
        first = marked.tokens[start]
        return [_word(first, denial_of(marked.pack)), *marked.tokens[subject.start : subject.end]]
    if len(sides) != 1 or sides[0].key not in ("left", "right") or not _says_something(marked, start, end):
        return None
    pack = marked.pack.words
    words = marked.tokens[subject.start : subject.end]
    here = list(marked.tokens[start:end])
    if here and here[0].word in pack["comma"] | pack["and"] | pack["walls"] | {";", ":"}:
        here = here[1:]
    if any(token.word in pack["none"] - pack["not"] for token in here) or clear:
        side = marked.tokens[sides[0].start : sides[0].end]
        return [_word(side[0], denial_of(marked.pack)), *side, *words]
    if refers:
        at = refers[0] - (end - len(here))
        return [*here[:at], *words, *here[at + 1 :]]
    at = sides[0].end - (end - len(here))
    while at < len(here) and here[at].word in ("side", "sided", "lung"):
        at += 1
    return [*here[:at], *words, *here[at:]]


def _refers(marked: Marked, start: int, end: int) -> list[int]:
    """The words of a segment that stand for a noun: "a small one", "that on the right"."""
    pack, words = marked.pack.words, marked.words
    return [
        i
        for i in range(start, end)
        if words[i] in pack["one"]
        or (words[i] in pack["that"] and not pack["at"].isdisjoint(words[i + 1 : i + 2]))
    ]


def _says_something(marked: Marked, start: int, end: int) -> bool:
    """Whether a segment grades, changes or denies, and has no other content."""
    pack = marked.pack.words
    spans = [
        s
        for s in (*marked.changes, *marked.severities, *marked.cues)
        if start <= s.start
        and s.end <= end
        and (s.kind in ("changes", "severities") or s.kind.startswith("after:"))
    ]
    states = [s for s in _clear_states(marked, start) if s.end <= end]
    known = covered(spans, states, marked.sides, marked.places).union(_refers(marked, start, end))
    spans += states
    said = pack["none"] | pack["one"] | pack["clear"] | pack["seen"]
    light = said | pack["elided"] | pack["at"] | pack["verbs"] | pack["and"]
    rest = [w for i, w in enumerate(marked.words[start:end], start) if i not in known and w.isalpha()]
    says = bool(spans) or not said.isdisjoint(marked.words[start:end])
    return says and all(word in light or word in pack["walls"] for word in rest)


def _is_clear(marked: Marked, start: int, end: int) -> bool:
    """Whether a segment calls its side clear or normal, never "not clear" or "partially cleared"."""
    pack = marked.pack.words
    within = covered(_clear_states(marked, start))
    if any(marked.words[i] in pack["not"] | pack["none"] for i in range(start, end) if i not in within):
        return False
    changed = covered(marked.changes)
    if any(marked.words[i] in pack["clear"] and i not in changed for i in range(start, end)):
        return True
    return any(s.end <= end for s in _clear_states(marked, start))


def _clear_states(marked: Marked, start: int) -> list[Span]:
    """The phrases from a place on that call a side clear: "sin alteraciones", "no abnormality"."""
    return [s for s in marked.states if start <= s.start and marked.text(s) in marked.pack.words["clear"]]


def _is_clear_before(marked: Marked, start: int, end: int) -> bool:
    """Whether a segment calls its side clear before anything is named."""
    sides = {s.key for s in marked.sides if start <= s.start < end}
    named = any(t.start < end for t in marked.terms) or any(start <= p.start < end for p in marked.places)
    if named or len(sides) != 1 or not _is_clear(marked, start, end):
        return False
    return _says_something(marked, start, end)


def _is_open(marked: Marked, subject: Span, start: int) -> bool:
    """Whether a subject was only looked for, or is a label; else the denial is a cue of its own."""
    sought = any(c.kind == "before:hypothetical" and c.end <= subject.start for c in marked.cues)
    return sought or (marked.words[subject.end] == ":" and marked.words[start] == ";")


def _is_none_seen(marked: Marked, start: int, end: int) -> bool:
    """ "…; none seen": a segment that denies its subject and says nothing else."""
    pack = marked.pack.words
    words = [w for w in marked.words[start:end] if w.isalpha() and w not in pack["walls"] | pack["and"]]
    if len(words) < 2 or words[0] not in pack["none"] - pack["not"] - {"no"}:
        return False
    return all(word in pack["seen"] | pack["verbs"] | pack["elided"] for word in words[1:])


def _is_label(marked: Marked, start: int, subject: Span) -> bool:
    """Whether the subject is only the label of what follows."""
    labels = marked.words[subject.end] == ":" and set(marked.words[: subject.start]) <= {"the", "pleural"}
    return labels and (subject.end == start or not any(subject.end < s.start < start for s in marked.states))


def _without_sign(marked: Marked, tokens: Sequence[Token]) -> list[Token]:
    signs = marked.pack.words["comma"] | {";", ":"}
    return list(tokens[:-1]) if tokens and tokens[-1].word in signs else list(tokens)


def _stop(token: Token) -> Token:
    return _word(token, ";")


def _word(at: Token, word: str) -> Token:
    """An implied word, at the place of the token that it precedes."""
    return Token(word, at.start, at.start)
