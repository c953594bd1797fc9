"""The rules that decide the status of a mention in its sentence, in order of priority.

Each rule looks at one mention and the cues that govern it, and either decides or passes. The first that
decides is named in the explanation (`echo-model findings --explain`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from model.findings.scope.earlier_films import EARLIER_FILM
from model.findings.scope.scope import Scope
from model.findings.spans import Marked, Span


class Assertion(StrEnum):
    """The status of a mention in its sentence."""

    AFFIRMED = "affirmed"
    NEGATED = "negated"
    UNCERTAIN = "uncertain"
    HISTORICAL = "historical"
    HYPOTHETICAL = "hypothetical"


@dataclass(frozen=True, slots=True)
class MentionContext:
    """The status of one mention, the cue that decided it (`None`: affirmed by default), scope and rule."""

    status: Assertion
    cue: Span | None = None
    scope: Scope | None = None
    rule: str = "affirmed"


AFFIRMED = MentionContext(Assertion.AFFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionCase:
    """One mention with the data for the rules. `passes`: whether an old one is not a finding."""

    marked: Marked
    mention: Span
    governing: tuple[Scope, ...]
    mentions: Sequence[Span]
    passes: bool = False


Rule = Callable[[MentionCase], MentionContext | None]


def context_of(
    marked: Marked, mention: Span, scopes: Sequence[Scope], mentions: Sequence[Span], *, passes: bool = False
) -> MentionContext:
    """The status of a mention, given the scopes of its sentence. mentions: the other ones."""
    governing = tuple(s for s in scopes if s.start <= mention.start < s.end and not _overlap(s.cue, mention))
    if not governing and not passes:
        return AFFIRMED
    case = MentionCase(marked=marked, mention=mention, governing=governing, mentions=mentions, passes=passes)
    kinds = {scope.kind for scope in governing}
    for rule, needs in RULES:
        if needs <= kinds and (context := rule(case)) is not None:
            return context
    return AFFIRMED


def asked_for(case: MentionCase) -> MentionContext | None:
    """What is only asked about or recommended is not a finding, whatever else the sentence says about it."""
    return _first_of(case, "hypothetical", "asked-for")


def once_so(case: MentionCase) -> MentionContext | None:
    """What was true earlier is not a finding of this study."""
    gone = any(s.kind == "negated" and not s.forward for s in case.governing) or _compared(case)
    for scope in case.governing:
        if scope.kind == "historical" and not (gone and scope.cue.key == EARLIER_FILM):
            return MentionContext(Assertion.HISTORICAL, scope.cue, scope, "historical")
    return None


def _compared(case: MentionCase) -> bool:
    """Whether the sentence says how a mention has changed: "… showed an effusion, which is unchanged"."""
    following = min((m.start for m in case.mentions if m.start >= case.mention.end), default=10_000)
    return any(case.mention.end <= c.start < following for c in case.marked.changes)


def old_disease(case: MentionCase) -> MentionContext | None:
    """ "Previous granulomatous infection": an illness that has passed, named by a word before it."""
    if not case.passes:
        return None
    pack, words = case.marked.pack.words, case.marked.words
    old = pack["old"]
    stops = pack["and"] | pack["with"] | pack["alternatives"] | pack["verbs"] | pack["walls"]
    for index in range(case.mention.start - 1, max(-1, case.mention.start - 5), -1):
        word = words[index]
        if word in old and not any(s.cue.start <= index < s.cue.end for s in case.governing):
            return MentionContext(
                Assertion.HISTORICAL, Span("old", word, index, index + 1), None, "old-disease"
            )
        if not word.isalpha() or word in stops:
            break
    return None


def denied_purpose(case: MentionCase) -> MentionContext | None:
    """A denial extends to the purpose of what it denies: "no opacity to suggest pneumonia"."""
    nearest = _nearest(case)
    if nearest is None or nearest.kind != "uncertain":
        return None
    for scope in case.governing:
        if scope.kind == "negated" and _denies_hedge(case, scope, nearest):
            return MentionContext(Assertion.NEGATED, scope.cue, scope, "denied-purpose")
    return None


def verdict(case: MentionCase) -> MentionContext | None:
    """A later denial decides what an earlier adjective left open: "the queried nodule is not seen"."""
    open_ = [s for s in case.governing if s.kind == "uncertain" and s.forward]
    doubted = any(case.marked.text(s.cue) in case.marked.pack.words["single_hedges"] for s in open_)
    denial = next((s for s in case.governing if s.kind == "negated" and not s.forward), None)
    if not doubted or denial is None:
        return None
    return MentionContext(Assertion.NEGATED, denial.cue, denial, "verdict")


def reopened(case: MentionCase) -> MentionContext | None:
    """A hedge that follows a denial outweighs it: "is not seen but cannot be excluded"."""
    denials = [s for s in case.governing if s.kind == "negated"]
    for hedge in (s for s in case.governing if s.kind == "uncertain" and not s.forward):
        for denial in denials:
            if not denial.forward and denial.cue.end <= hedge.cue.start:
                return MentionContext(Assertion.UNCERTAIN, hedge.cue, hedge, "reopened")
            if denial.forward and _is_new_clause(case, hedge):
                return MentionContext(Assertion.UNCERTAIN, hedge.cue, hedge, "reopened")
    return None


def denied_end(case: MentionCase) -> MentionContext | None:
    """A denied end leaves the finding present: "no evidence that the effusion has resolved"."""
    pack = case.marked.pack.words
    ends = {(c.start, c.end) for c in case.marked.changes if c.key == "resolved"}
    for end in (s for s in case.governing if not s.forward and (s.cue.start, s.cue.end) in ends):
        between = case.marked.words[case.mention.end : end.cue.start]
        others = any(case.mention.end <= m.start < end.cue.start for m in case.mentions)
        parting = _SIGNS | pack["and"] | pack["or"] | pack["walls"] | _PRONOUNS
        parted = others or not parting.isdisjoint(between)  # "no pneumothorax after removal of the drain"
        for cue in (s for s in case.governing if s.forward and s.cue.end <= case.mention.start):
            first, last = case.marked.words[cue.cue.start], case.marked.words[cue.cue.end - 1]
            before = case.marked.words[cue.cue.end : case.mention.start]
            direct = not any(cue.cue.end <= m.start < case.mention.start for m in case.mentions)
            each = first in pack["denies_each"] and "," not in between
            if not _SIGNS.isdisjoint(before):
                continue  # "no drain, effusion gone"
            if cue.kind == "negated" and ((direct and not parted) or each):
                return MentionContext(Assertion.AFFIRMED, cue.cue, cue, "denied-end")
            if cue.kind == "uncertain" and last in pack["opens_clause"] and not parted:
                return MentionContext(Assertion.UNCERTAIN, cue.cue, cue, "denied-end")
    return None


def nearest_cue(case: MentionCase) -> MentionContext | None:
    """The nearest cue that governs a mention decides."""
    nearest = _nearest(case)
    if nearest is None:
        return None
    status = Assertion.UNCERTAIN if nearest.kind == "uncertain" else Assertion.NEGATED
    return MentionContext(status, nearest.cue, nearest, "nearest-cue")


_SIGNS = frozenset((",", ";", ".", "-", "(", ":"))
_PRONOUNS = frozenset(("it", "they", "which", "that", "these", "those"))
_BOTH = frozenset(("negated", "uncertain"))
# Each rule with the kinds of cues that it needs to decide.
RULES: tuple[tuple[Rule, frozenset[str]], ...] = (
    (asked_for, frozenset(("hypothetical",))),
    (once_so, frozenset(("historical",))),
    (old_disease, frozenset()),
    (denied_end, frozenset(("negated",))),
    (reopened, _BOTH),
    (denied_purpose, _BOTH),
    (verdict, _BOTH),
    (nearest_cue, frozenset()),
)


def _is_new_clause(case: MentionCase, hedge: Scope) -> bool:
    """Whether a clause ends between a mention and a hedge after it."""
    return any(
        c.kind == "end" and case.mention.end <= c.start < hedge.cue.start
        for c in case.marked.cues
        if case.marked.text(c) in case.marked.pack.words["walls"]
    )


def _first_of(case: MentionCase, kind: str, rule: str) -> MentionContext | None:
    scope = next((s for s in case.governing if s.kind == kind), None)
    return None if scope is None else MentionContext(Assertion(kind), scope.cue, scope, rule)


def _nearest(case: MentionCase) -> Scope | None:
    decisive = [s for s in case.governing if s.kind in ("negated", "uncertain")]
    return min(decisive, key=lambda s: _distance(s, case.mention), default=None)


def _denies_hedge(case: MentionCase, denial: Scope, hedge: Scope) -> bool:
    """Whether a hedge is governed by a denial, with no finding between them except as its reason."""
    if not denial.forward:
        return False
    if not hedge.forward:
        return True  # "no effusion is suspected"
    if not denial.cue.end <= hedge.cue.start < denial.end:
        return False
    between = [m for m in case.mentions if denial.cue.end <= m.start < hedge.cue.start]
    if not between:
        return True
    if case.marked.text(hedge.cue) not in case.marked.pack.words["purposes"]:
        return False
    gap = case.marked.words[max(m.end for m in between) : hedge.cue.start]
    return not case.marked.pack.words["walls"].intersection(gap) and "," not in gap


def _distance(scope: Scope, mention: Span) -> int:
    return mention.start - scope.cue.end if scope.forward else scope.cue.start - mention.end


def _overlap(cue: Span, mention: Span) -> bool:
    return cue.start < mention.end and mention.start < cue.end
