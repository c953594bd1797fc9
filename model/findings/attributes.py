"""Side, place, severity and change of a mention, from the words that belong to it.

Mentions that are joined directly ("effusion and atelectasis at the left base") share the words before and
after the pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from model.findings.located import covered
from model.findings.scope.other_films import is_of_prior
from model.findings.spans import Marked, Span
from model.findings.speech.directions import is_direction
from model.findings.territory import PLACES_GO_ON, Territory, joined, joined_to_denial
from model.findings.types import Change, Laterality, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What the sentence says about one mention besides its presence."""

    laterality: Laterality | None = None
    location: str | None = None
    severity: Severity | None = None
    change: Change | None = None


# Places of devices, never of findings; sides in their names do not apply to findings.
_FIXED = frozenset(
    (
        "right_main_bronchus",
        "right_atrium",
        "right_ventricle",
        "superior_vena_cava",
        "cavoatrial_junction",
        "carina",
        "stomach",
    )
)
_BY_WEIGHT = (Change.RESOLVED, Change.DECREASED, Change.INCREASED, Change.NEW, Change.UNCHANGED)


def attributes_of(marked: Marked, territory: Territory, *, device: bool = False) -> Attributes:
    """Side, place, severity and change of one mention. A device has no severity."""
    return Attributes(
        laterality=_laterality(marked, territory),
        location=_location(marked, territory, device),
        severity=None if device else _severity(marked, territory),
        change=_change(marked, territory),
    )


def share(
    marked: Marked, found: Sequence[tuple[Span, Attributes, bool]], denied: Sequence[bool]
) -> list[Attributes]:
    """Give directly joined mentions the side, place and change stated for only one of the pair.

    `found`: mention, its own attributes, whether it is a device; findings and devices share nothing. denied:
    whether each is denied, for "no pneumothorax, with effusion on the right" denies it on either side, but in
    "effusion but no pneumothorax on the right" the side is of both.
    """
    shared = [attributes for _, attributes, _ in found]
    if len(found) < 2:
        return shared
    pairs = [
        i
        for i in range(len(found) - 1)
        if found[i][2] == found[i + 1][2] and joined(marked, found[i][0], found[i + 1][0])
    ]
    for index in pairs:  # what precedes the pair
        first, second = shared[index], shared[index + 1]
        if found[index][2] and _is_listed(marked, found[index][0], found[index + 1][0]):
            continue
        if second.laterality is None and second.location is None:
            slashed = (
                marked.words[found[index][0].end] in marked.pack.words["alternatives"]
                if second != first
                else False
            )
            place = first.location if slashed else None
            second = replace(second, laterality=first.laterality, location=place)
        if second.change is None and first.change in (Change.UNCHANGED, Change.NEW):
            second = replace(second, change=first.change)
        shared[index + 1] = second
    for index in reversed(range(len(found) - 1)):  # what follows the pair
        first, second = shared[index], shared[index + 1]
        parted = index in pairs and denied[index] and not denied[index + 1]
        denial = not denied[index] and denied[index + 1] and found[index][2] == found[index + 1][2]
        if parted or not (
            index in pairs or (denial and joined_to_denial(marked, found[index][0], found[index + 1][0]))
        ):
            continue
        if first.laterality is None and first.location is None:
            first = replace(first, laterality=second.laterality, location=second.location)
        if first.change is None and second.change is Change.UNCHANGED:
            first = replace(first, change=second.change)
        shared[index] = first
    return shared


def _is_listed(marked: Marked, first: Span, second: Span) -> bool:
    """Whether only a comma is between two devices: "left chest tube, Swan-Ganz" says nothing of its side."""
    return marked.words[first.end : second.start] == (",",)


def _joining(marked: Marked) -> frozenset[str]:
    return marked.pack.words["and"] | marked.pack.words["comma"]


def _laterality(marked: Marked, territory: Territory) -> Laterality | None:
    if not marked.sides:
        return None
    mention = territory.mention
    fixed = [p for p in marked.places if p.key in _FIXED]
    sides = [
        s
        for s in marked.sides
        if s.key != "either"
        and (territory.holds(s) or mention.start <= s.start < mention.end)
        and not any(p.start <= s.start < p.end for p in fixed)
        and not is_direction(marked, s, mention)
    ]
    before = [s for s in sides if s.start < mention.end]
    keys = {s.key for s in (before or sides)}
    if not keys:
        return None
    if before and keys == {"left", "right"}:
        gap = marked.words[before[-2].end : before[-1].start]
        joined = (_joining(marked) | marked.pack.words["alternatives"]) & set(gap)
        if not joined or _has_own_noun(marked, before[-2], before[-1]):
            keys = {before[-1].key}
    if not before and keys == {"left", "right"}:  # "deviated to the left by a right effusion"
        gap = marked.words[sides[0].end : sides[1].start]
        if not (_joining(marked) | marked.pack.words["alternatives"]) & set(gap):
            keys = {sides[0].key}
    if "bilateral" in keys or keys == {"left", "right"}:
        return Laterality.BILATERAL
    return Laterality(next(iter(keys)))


def _has_own_noun(marked: Marked, first: Span, second: Span) -> bool:
    """Whether a side belongs to a noun that is no term: "left mastectomy, right effusion"."""
    pack, words = marked.pack.words, marked.words
    if words[second.start - 1] not in pack["comma"] - pack["alternatives"]:
        return False
    families = (marked.severities, marked.places, marked.changes, marked.states, marked.cues, marked.terms)
    known = covered(*families)
    light = (
        pack["and"]
        | pack["at"]
        | pack["links"]
        | pack["verbs"]
        | pack["elided"]
        | pack["compares"]
        | PLACES_GO_ON
    )
    between = range(first.end, second.start)
    return any(words[i].isalpha() and i not in known and words[i] not in light for i in between)


def _location(marked: Marked, territory: Territory, device: bool) -> str | None:
    if not marked.places:
        return None
    places = [p for p in marked.places if territory.holds(p)]
    if device:
        places = [
            p
            for p in places
            if not marked.pack.words["not_at"] & set(marked.words[max(0, p.start - 3) : p.start])
        ]
        return places[-1].key if places else None
    places = [p for p in places if p.key not in _FIXED]
    before = [p for p in places if p.start < territory.mention.start]
    places = before or places
    between = set(marked.words[places[0].end : places[-1].start]) if places else set()
    if len({p.key for p in places}) > 1 and _joining(marked) & between:
        return None  # several places: none of them is the finding's
    if before:
        return before[-1].key
    return places[0].key if places else None


def _severity(marked: Marked, territory: Territory) -> Severity | None:
    if not marked.severities:
        return None
    mention = territory.mention
    own = {(s.start, s.end) for s in marked.states} if mention.kind == "statement" else set()
    grades = [
        s
        for s in marked.severities
        if (s.start, s.end) not in own
        and not _grades_a_change(marked, s, mention)
        and not (s.start and marked.words[s.start - 1] == "non")  # "non-tension pneumothorax"
    ]
    near = [s for s in grades if territory.left <= s.start and 0 <= mention.start - s.end <= 7]
    if near:
        return Severity(near[-1].key)
    for span in grades:
        if mention.start <= span.start and span.end <= mention.end:
            return Severity(span.key)
        linked = marked.pack.words["copulas"] & set(marked.words[mention.end : span.start])
        linked = linked or _stands_behind(marked, mention, span)
        if (
            mention.end <= span.start
            and span.end <= territory.right
            and linked
            and span.start - mention.end <= 8
        ):
            return Severity(span.key)
    return None


def _stands_behind(marked: Marked, mention: Span, grade: Span) -> frozenset[str]:
    """The grade, if it follows its noun as in Spanish: "derrame izquierdo moderado"."""
    sides = covered(marked.sides)
    alone = all(i in sides for i in range(mention.end, grade.start))
    written = marked.text(grade)
    return marked.pack.words["grades_behind"].intersection(
        (written, written.replace(" ", "")) if alone else ()
    )


def _grades_a_change(marked: Marked, span: Span, mention: Span) -> bool:
    """ "Slightly larger", "mild improvement": the word grades the change, not the finding."""
    if mention.start <= span.end < mention.end:
        return False  # "mildly increased heart size": the next word is the finding's own
    follows = marked.words[span.end] if span.end < len(marked.words) else ""
    inside = any(c.start <= span.start and span.end <= c.end for c in marked.changes)
    return inside or follows in marked.pack.words["comparatives"]


def _change(marked: Marked, territory: Territory) -> Change | None:
    if not marked.changes and not any(cue.kind == "after:negated" for cue in marked.cues):
        return None
    mention = territory.mention
    said = {
        c.key
        for c in marked.changes
        if not any(s.start <= c.start and c.end <= s.end for s in marked.sides)  # "right worse than left"
        and (
            territory.holds(c)
            or (mention.kind == "statement" and mention.start < c.start and c.end < mention.end)
        )
    }
    if not said and _was_not_there(marked, territory):
        return Change.NEW
    return next((change for change in _BY_WEIGHT if change in said), None)


def _was_not_there(marked: Marked, territory: Territory) -> bool:
    """ "Not seen on the prior": new since then. With a year, it only means new since that year."""
    return any(
        cue.kind == "after:negated"
        and cue.start >= territory.mention.end
        and marked.pack.words["not"].intersection(marked.words[cue.start : cue.end])
        and is_of_prior(marked, cue)
        for cue in marked.cues
    )
