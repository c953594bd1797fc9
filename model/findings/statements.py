"""States of parts of the body: "the heart is enlarged", "clear lungs", "hila are normal".

A state belongs to the body part that it describes: the part that follows at once ("enlarged heart",
"elevation of the left hemidiaphragm"), else the parts named before it ("heart size and mediastinal
contours are normal"). Which findings a normal state excludes is the vocabulary's policy, not this module's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from model.findings.spans import Marked, Span
from model.findings.vocabulary import Structure


@dataclass(frozen=True, slots=True)
class Statement:
    """A state of a body part: `span` covers both; `concepts` is what it states if affirmed.

    `weak`: the state only hints at the concept (blunted), or denies it by policy (clear lungs) rather
    than directly (a heart of normal size).
    """

    span: Span
    state: Span
    normal: bool
    weak: bool
    concepts: tuple[str, ...]


_FAR = 9
_WEAK_STATES = frozenset(("borderline", "blunted"))


def statements_of(marked: Marked, structures: Mapping[str, Structure]) -> tuple[Statement, ...]:
    """All states of known parts in a sentence."""
    if not marked.states:
        return ()
    parts = [span for span in marked.terms if span.kind == "structure"]
    found: list[Statement] = []
    taken: set[Span] = set()
    for state in marked.states:
        if any(p.start < state.end and state.start < p.end for p in parts):
            continue
        described = _parts_of(marked, state, parts, taken)
        taken.update(described)
        for part in described:
            statement = _statement(state, part, structures[part.key])
            if statement is not None:
                found.append(statement)
    return tuple(dict.fromkeys(found))


def _statement(state: Span, part: Span, structure: Structure) -> Statement | None:
    span = Span("statement", part.key, min(state.start, part.start), max(state.end, part.end))
    if state.key == "normal" or (state.key == "clear" and structure.clear):
        direct = set(structure.normal) <= set(structure.states.values()) - {structure.states.get("blunted")}
        return Statement(span, state, True, not direct, structure.normal)
    concept = structure.states.get(state.key)
    if concept is None:
        return None
    return Statement(span, state, False, state.key in _WEAK_STATES, (concept,))


def _parts_of(marked: Marked, state: Span, parts: Sequence[Span], taken: Set[Span]) -> list[Span]:
    following = _following(marked, state, parts)
    beside = any(_is_beside(marked, p, state) and p not in taken for p in parts)
    if following and not beside:
        return following
    if not beside and _describes_another(marked, state, parts):
        return []
    before = [p for p in parts if p.end <= state.start and _reaches(marked, p, state)]
    if not before:
        return []
    words = marked.pack.words
    group = [before[-1]]
    for part in reversed(before[:-1]):
        gap = set(marked.words[part.end : group[-1].start])
        parted = words["and"] | words["comma"] | words["alternatives"]
        if gap and gap <= words["list"] and gap & parted:
            group.append(part)
    return group


def _is_beside(marked: Marked, part: Span, state: Span) -> bool:
    """Whether a state belongs to the part before it, whatever follows without a stop: "heart normal lungs
    clear", "heart is enlarged pulmonary vessels are normal".
    """
    pack = marked.pack.words
    between = marked.words[part.end : state.start]
    return (
        part.end <= state.start
        and len(between) < 2
        and pack["copulas"] & (pack["present"] | pack["were"]) >= set(between)
    )


def _describes_another(marked: Marked, state: Span, parts: Sequence[Span]) -> bool:
    """Whether a state precedes a noun that is not a known part: "a prominent aortic knob"."""
    follows = marked.pack.words["nouns_follow_not"]
    if not follows or state.end - state.start > 1 or state.end >= len(marked.words):
        return False
    word = marked.words[state.end]
    if not word.isalpha() or word in follows or any(p.start == state.end for p in parts):
        return False
    known = (*marked.cues, *marked.changes, *marked.severities, *marked.states, *marked.sides)
    return not any(span.start == state.end for span in known)


def _following(marked: Marked, state: Span, parts: Sequence[Span]) -> list[Span]:
    """ "normal heart size and mediastinal contours": the parts that the state precedes."""
    words = marked.pack.words
    group: list[Span] = []
    edge = state.end
    for part in (p for p in parts if p.start >= state.end):
        gap = set(marked.words[edge : part.start])
        if len(gap) > 4 or not gap <= (words["list"] if group else words["links"]):
            break
        after = marked.words[part.end] if part.end < len(marked.words) else ""
        if after == ":" or after in words["copulas"] - words["comma"] - {"("}:
            break
        group.append(part)
        edge = part.end
    return group


def _reaches(marked: Marked, part: Span, state: Span) -> bool:
    words = marked.pack.words
    gap = marked.words[part.end : state.start]
    listed = bool((words["and"] | words["comma"]).intersection(gap))
    if len(gap) > _FAR + 12 * listed or words["state_walls"].intersection(gap):
        return False
    concepts = [t for t in marked.terms if t.kind in ("synonym", "ignore")]
    between = any(part.end <= t.start and t.end <= state.start for t in concepts)
    return not between or gap[0] in words["and"]  # "heart size and vascular engorgement are normal"


def is_quiet(marked: Marked, statement: Statement) -> bool:
    """Whether "normal" or "clear" is hedged by an exception: "otherwise clear", "clear except for …"."""
    if any(e.end <= statement.span.start and e.start >= statement.span.start - 4 for e in marked.exceptions):
        return True
    inside = [e for e in marked.exceptions if statement.span.start <= e.start and e.end <= statement.span.end]
    if any(not (statement.state.start <= e.start < statement.state.end) for e in inside):
        return True
    behind = marked.words[statement.span.end : statement.span.end + 3]
    if behind and behind[0] in ("of", "from"):
        return True
    return any(
        statement.span.end <= e.start <= statement.span.end + 3
        and marked.text(e) not in marked.pack.words["not"] | marked.pack.words["walls"]
        for e in marked.exceptions
    )
