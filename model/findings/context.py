"""Who is negated: the scope of negating, hedging, historical and hypothetical words in a sentence.

After the idea of ConText (Harkema, Dowling, Thornblade and Chapman, 2009): a cue governs what stands
before or behind it until its scope ends. Ours adds where a list ends ("no effusion, small nodule" but
"no effusion, nodule or mass"), verbs that bound a scope to the left, and negated hedges ("no findings
to suggest").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from model.findings.lexicon import load_cues
from model.findings.spans import Marked, Span


class Status(StrEnum):
    """What the sentence around a mention makes of it."""

    AFFIRMED = "affirmed"
    NEGATED = "negated"
    UNCERTAIN = "uncertain"
    HISTORICAL = "historical"
    HYPOTHETICAL = "hypothetical"


@dataclass(frozen=True, slots=True)
class Context:
    """The status of one mention, and the cue that settled it (`None`: affirmed by silence)."""

    status: Status
    cue: Span | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Tokens [start, end) that a cue governs; `forward` if they stand behind it."""

    cue: Span
    kind: str
    start: int
    end: int
    forward: bool


# What stands left of such a verb belongs to another statement than what stands right of it.
_VERBS = load_cues().words["verbs"]
_HARD_STOPS = frozenset((";", "."))
_SINGLE_HEDGES = load_cues().words["single_hedges"]
_ALTERNATIVES = load_cues().words["alternatives"]
_OPENERS = load_cues().words["openers"]
_BETWEEN = load_cues().words["between"]


def scopes_of(marked: Marked, mentions: Sequence[Span]) -> tuple[Scope, ...]:
    """The scopes of all cues of a sentence. `mentions`: the spans that could be governed."""
    found = []
    for cue in marked.cues:
        direction, _, kind = cue.kind.partition(":")
        if direction == "before" and _looks_forward(marked, cue, mentions):
            found.append(Scope(cue, kind, cue.end, _forward_end(marked, cue, kind), True))
        elif direction == "after" and _looks_back(marked, cue, mentions):
            found.append(Scope(cue, kind, _backward_start(marked, cue, kind, mentions), cue.start, False))
    return tuple(found)


def context_of(mention: Span, scopes: Sequence[Scope], mentions: Sequence[Span]) -> Context:
    """The status of a mention under the scopes of its sentence: the nearest cue decides.

    Asked-for findings outrank everything; a hedge that is itself negated ("nothing to suggest") negates.
    """
    governing = [s for s in scopes if s.start <= mention.start < s.end and not _overlap(s.cue, mention)]
    for kind in ("hypothetical", "historical"):
        for scope in governing:
            if scope.kind == kind:
                return Context(Status(kind), scope.cue)
    if not governing:
        return Context(Status.AFFIRMED)
    nearest = min(governing, key=lambda s: _distance(s, mention))
    if nearest.kind == "uncertain":
        denial = _denial_of(nearest, governing, mentions)
        if denial is not None:
            return Context(Status.NEGATED, denial.cue)
        return Context(Status.UNCERTAIN, nearest.cue)
    return Context(Status.NEGATED, nearest.cue)


def _denial_of(hedge: Scope, governing: Sequence[Scope], mentions: Sequence[Span]) -> Scope | None:
    """The negation that a hedge stands under, with no finding between the two."""
    for scope in governing:
        if scope.kind != "negated" or not scope.forward:
            continue
        if not hedge.forward:
            return scope  # "no effusion is suspected"
        before = scope.cue.end <= hedge.cue.start < scope.end
        if before and not any(scope.cue.end <= m.start < hedge.cue.start for m in mentions):
            return scope
    return None


def _distance(scope: Scope, mention: Span) -> int:
    return mention.start - scope.cue.end if scope.forward else scope.cue.start - mention.end


def _overlap(cue: Span, mention: Span) -> bool:
    return cue.start < mention.end and mention.start < cue.end


def _is_both(marked: Marked, cue: Span) -> bool:
    return {c.kind.partition(":")[0] for c in marked.cues if (c.start, c.end) == (cue.start, cue.end)} >= {
        "before",
        "after",
    }


def _looks_forward(marked: Marked, cue: Span, mentions: Sequence[Span]) -> bool:
    return not _is_both(marked, cue) or not _postposed(marked, cue, mentions)


def _looks_back(marked: Marked, cue: Span, mentions: Sequence[Span]) -> bool:
    if not _is_both(marked, cue) or marked.text(cue) in _BETWEEN:
        return True
    return _postposed(marked, cue, mentions)


def _postposed(marked: Marked, cue: Span, mentions: Sequence[Span]) -> bool:
    """Whether a cue that may stand on either side stands behind what it governs."""
    text = marked.text(cue)
    follows = cue.end < len(marked.words) and marked.words[cue.end] not in (",", ";", ".", ")")
    behind = any(cue.end <= m.start <= cue.end + 6 for m in mentions) and follows
    before = cue.start > 0 and any(m.end <= cue.start for m in mentions)
    if text in ("no", "nil"):  # an answer: "Effusion: no"
        return before and not behind and marked.words[cue.start - 1] == ":"
    return before and not behind


def _forward_end(marked: Marked, cue: Span, kind: str) -> int:
    ends = {c.start for c in marked.cues if c.kind == "end" and c.start >= cue.end}
    openers = {c.start for c in marked.cues if c.kind == "before:negated" and c.start > cue.end}
    words = marked.words
    before = words[: cue.start]
    bracketed = before.count("(") > before.count(")")
    for index in range(cue.end, len(words)):
        word = words[index]
        if index in ends or word in _HARD_STOPS or (word == ")" and bracketed):
            return index
        if word in (",", "and", "with", ":") and index > cue.end:
            if kind != "negated" and index + 1 in openers:
                return index
            if word == "with" and kind == "negated" and index + 1 not in openers:
                if not _opens_statement(words, index):
                    continue
                return index
            if word == ":" or _list_ends(marked, cue, index):
                return index
    return len(words)


def _list_ends(marked: Marked, cue: Span, index: int) -> bool:
    """Whether a new statement begins behind the comma or conjunction at `index`."""
    words = marked.words
    following = index + 1
    while following < len(words) and words[following] in ("and", "then"):
        following += 1
    if following < len(words) and words[following] in _ALTERNATIVES:
        return False
    rest = _rest_of_clause(marked, following)
    if any(word in _ALTERNATIVES for word in rest) and words[index] == ",":
        return _has_verb_first(rest)
    single = marked.text(cue) in _SINGLE_HEDGES
    if single and (words[index] == "and" or words[index] == ","):
        return True
    return _opens_statement(words, following - 1)


def _opens_statement(words: Sequence[str], index: int) -> bool:
    return index + 1 < len(words) and words[index + 1] in load_cues().new_statement


def _rest_of_clause(marked: Marked, start: int) -> Sequence[str]:
    ends = [c.start for c in marked.cues if c.kind == "end" and c.start >= start]
    return marked.words[start : min(ends, default=len(marked.words))]


def _has_verb_first(rest: Sequence[str]) -> bool:
    """Whether a verb stands before the list goes on: ", the heart is enlarged or …"."""
    for word in rest:
        if word in _ALTERNATIVES:
            return False
        if word in ("is", "are", "has", "have", "was", "were"):
            return True
    return False


def _backward_start(marked: Marked, cue: Span, kind: str, mentions: Sequence[Span]) -> int:
    words = marked.words
    ended = {i for c in marked.cues if c.kind == "end" for i in range(c.start, c.end)}
    if marked.text(cue) in _BETWEEN:
        return max((m.start for m in mentions if m.end <= cue.start), default=cue.start)
    if ":" in words[max(0, cue.start - 1) : cue.end]:  # an answer governs what stands at its colon
        return max((m.start for m in mentions if cue.start - 3 <= m.end <= cue.start), default=cue.start)
    passed_mention = False
    for index in range(cue.start - 1, -1, -1):
        word = words[index]
        if word in _HARD_STOPS or index in ended:
            return index + 1
        if word in _VERBS and passed_mention:
            return index + 1
        if word in (",", "and", "with") and passed_mention and _statement_before(marked, index):
            return index + 1
        passed_mention = passed_mention or any(m.start == index for m in mentions)
    return 0


def _statement_before(marked: Marked, index: int) -> bool:
    """Whether the words left of `index`, up to the last end, are a statement with its own verb."""
    ends = [c.start for c in marked.cues if c.kind == "end" and c.start < index]
    before = marked.words[max(ends, default=0) : index]
    return any(word in _VERBS for word in before) or (bool(before) and before[0] in _OPENERS)
