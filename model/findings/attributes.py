"""Side, place, severity and change of a mention, from the words around it.

A mention owns the words between its neighbours: to the left from the conjunction behind the previous
mention, to the right up to the conjunction before the next. Mentions that are joined directly
("effusion and atelectasis at the left base") share what stands before or behind the pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from model.findings.spans import Marked, Span
from model.findings.types import Change, Laterality, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What the sentence says of one mention beside its presence."""

    laterality: Laterality | None = None
    location: str | None = None
    severity: Severity | None = None
    change: Change | None = None


_JOINS = frozenset((",", "and", "or", "with", "/", ";", "without", "but", "nor"))
_SHARES = frozenset(("and", "or", "/", ",", "with", "adjacent", "associated", "overlying", "underlying",
                     "compressive", "subjacent", "the", "accompanying", "some", "likely", "probable"))  # fmt: skip
_COPULAS = frozenset(("is", "are", "was", "were", "remains", "remain", "appears", "appear", "has", "have",
                      "been", ",", "measuring", "which", "persists"))  # fmt: skip
_WALLS = frozenset((";", "but", "however", "although", "though", "while", "whereas", "except", "."))
_NOT_AT = frozenset(("above", "below", "from", "beyond", "past", "toward", "towards"))
_FIXED = frozenset(("right_main_bronchus", "right_atrium", "right_ventricle", "superior_vena_cava",
                    "cavoatrial_junction", "carina", "stomach"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Territory:
    """The words that belong to a mention: [left, mention.start) and [mention.end, right)."""

    mention: Span
    left: int
    right: int


def territories(marked: Marked, mentions: Sequence[Span]) -> tuple[Territory, ...]:
    """Each mention with the words around it that are its own; mentions in order of the sentence."""
    ordered = sorted(mentions, key=lambda m: (m.start, m.end))
    found = []
    for index, mention in enumerate(ordered):
        previous = max((m.end for m in ordered[:index] if m.end <= mention.start), default=None)
        following = next((m.start for m in ordered[index + 1 :] if m.start >= mention.end), None)
        left = _left_edge(marked.words, previous, mention.start)
        right = _right_edge(marked, mention.end, following)
        found.append(Territory(mention, left, right))
    return tuple(found)


def attributes_of(marked: Marked, territory: Territory, *, device: bool = False) -> Attributes:
    """Side, place, severity and change of one mention. A device has no severity."""
    location = _location(marked, territory, device)
    return Attributes(
        laterality=_laterality(marked, territory),
        location=location,
        severity=None if device else _severity(marked, territory),
        change=_change(marked, territory),
    )


def share(marked: Marked, found: Sequence[tuple[Span, Attributes]]) -> list[Attributes]:
    """Give directly joined mentions the side, place and change that only one of the pair states."""
    shared = [attributes for _, attributes in found]
    for index in range(len(found) - 1):  # what stands before the pair
        if _joined(marked, found[index][0], found[index + 1][0]):
            first, second = shared[index], shared[index + 1]
            if second.laterality is None and second.location is None:
                second = replace(second, laterality=first.laterality)
            if second.change is None and first.change in (Change.UNCHANGED, Change.NEW):
                second = replace(second, change=first.change)
            shared[index + 1] = second
    for index in range(len(found) - 2, -1, -1):  # what stands behind the pair
        if _joined(marked, found[index][0], found[index + 1][0]):
            first, second = shared[index], shared[index + 1]
            if first.laterality is None and first.location is None:
                shared[index] = replace(first, laterality=second.laterality, location=second.location)
    return shared


def sides_with_severities(marked: Marked, territory: Territory) -> tuple[tuple[Laterality, Severity], ...]:
    """ "Small left and moderate right": each side with its own severity; empty where not said so."""
    pairs = []
    for severity in (s for s in marked.severities if territory.left <= s.start < territory.mention.start):
        side = next((s for s in marked.sides if s.start in (severity.end, severity.end + 1)), None)
        if side is not None and side.key in ("left", "right") and side.end <= territory.mention.start:
            pairs.append((Laterality(side.key), Severity(severity.key)))
    return tuple(pairs) if len({side for side, _ in pairs}) == 2 else ()


def _left_edge(words: Sequence[str], previous: int | None, start: int) -> int:
    begin = 0 if previous is None else previous
    for index in range(start - 1, begin - 1, -1):
        if words[index] in _WALLS:
            begin = index + 1
            break
    if previous is None:
        return begin
    joins = [i for i in range(begin, start) if words[i] in _JOINS]
    return joins[0] + 1 if joins else begin


def _right_edge(marked: Marked, end: int, following: int | None) -> int:
    words = marked.words
    limit = len(words) if following is None else following
    for index in range(end, limit):
        if words[index] in _WALLS:
            return index
    if following is None:
        return limit
    joins = [i for i in range(end, limit) if words[i] in _JOINS]
    if not joins:
        return limit
    return joins[0] if len(joins) == 1 else _last_join(words, joins, end)


def _last_join(words: Sequence[str], joins: Sequence[int], end: int) -> int:
    """ "at the left and right bases, with …": a join between sides or places does not end the words."""
    for join in joins:
        after = words[join + 1] if join + 1 < len(words) else ""
        if after not in ("left", "right", "lower", "upper", "middle"):
            return join
    return joins[-1]


def _inside(span: Span, territory: Territory) -> bool:
    return (territory.left <= span.start and span.end <= territory.mention.start) or (
        territory.mention.end <= span.start and span.end <= territory.right
    )


def _laterality(marked: Marked, territory: Territory) -> Laterality | None:
    fixed = [p for p in marked.places if p.key in _FIXED]
    sides = [
        s
        for s in marked.sides
        if s.key != "either"
        and (_inside(s, territory) or (territory.mention.start <= s.start and s.end <= territory.mention.end))
        and not any(p.start <= s.start < p.end for p in fixed)
    ]
    if not sides:
        return None
    before = [s for s in sides if s.end <= territory.mention.end]
    keys = {s.key for s in (before or sides)}
    if before and keys == {"left", "right"}:
        gap = marked.words[before[-2].end : before[-1].start]
        if not any(word in ("and", "/", ",", "or") for word in gap):
            keys = {before[-1].key}
    if "bilateral" in keys or keys == {"left", "right"}:
        return Laterality.BILATERAL
    return Laterality(next(iter(keys)))


def _location(marked: Marked, territory: Territory, device: bool) -> str | None:
    places = [p for p in marked.places if _inside(p, territory)]
    if device:
        places = [p for p in places if not _NOT_AT & set(marked.words[max(0, p.start - 3) : p.start])]
        return places[-1].key if places else None
    places = [p for p in places if p.key not in _FIXED]
    before = [p for p in places if p.end <= territory.mention.start]
    if before:
        return before[-1].key
    return places[0].key if places else None


def _severity(marked: Marked, territory: Territory) -> Severity | None:
    mention = territory.mention
    before = [
        s
        for s in marked.severities
        if territory.left <= s.start and s.end <= mention.start and mention.start - s.end <= 7
    ]
    if before:
        return Severity(before[-1].key)
    inside = [s for s in marked.severities if mention.start <= s.start and s.end <= mention.end]
    if inside:
        return Severity(inside[0].key)
    for span in marked.severities:
        linked = bool(_COPULAS & set(marked.words[mention.end : span.start]))
        if (
            mention.end <= span.start
            and span.end <= territory.right
            and linked
            and span.start - mention.end <= 8
        ):
            follows = marked.words[span.end] if span.end < len(marked.words) else ""
            if follows not in (
                "improved",
                "decreased",
                "increased",
                "worse",
                "worsened",
                "larger",
                "smaller",
            ):
                return Severity(span.key)
    return None


def _change(marked: Marked, territory: Territory) -> Change | None:
    mention = territory.mention
    spans = [
        s
        for s in marked.changes
        if _inside(s, territory) and not (s.start < mention.end and mention.start < s.end)
    ]
    if not spans:
        return None
    for wanted in ("resolved", "decreased", "increased", "new", "unchanged"):
        for span in spans:
            if span.key == wanted:
                return Change(wanted)
    return None


def _joined(marked: Marked, first: Span, second: Span) -> bool:
    gap = marked.words[first.end : second.start]
    return second.start >= first.end and 0 < len(gap) <= 4 and set(gap) <= _SHARES and gap[0] in _JOINS
