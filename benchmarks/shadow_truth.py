"""The truth of the replay: phantoms, drafts with errors of known kinds, and the figures they must give.

Nothing here reads a text or imports the comparison: the figures are counted from the phantoms and the errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any, NamedTuple

from model.findings.types import Finding, Laterality, Presence, Severity
from model.phantom import PHANTOM_CONCEPTS, draw_spec

# Shares of a phantom's findings that a draft misses, or states with the other side or another grade; and of
# the studies in which it adds one of ADDED.
MISSED, OTHER_SIDE, OTHER_GRADE, ADDED_SHARE = 0.15, 0.1, 0.15, 0.2
ADDED = (
    Finding(concept="pleural_effusion", presence=Presence.PRESENT, laterality=Laterality.LEFT),
    Finding(concept="cardiomegaly", presence=Presence.PRESENT),
    Finding(concept="rib_fracture", presence=Presence.PRESENT, laterality=Laterality.RIGHT),
)
_OTHER = {Laterality.LEFT: Laterality.RIGHT, Laterality.RIGHT: Laterality.LEFT}
_GRADES = tuple(Severity)
_LETTERS = {Laterality.LEFT: "L", Laterality.RIGHT: "R", Laterality.BILATERAL: "LR"}
_DEVICES = frozenset({"endotracheal_tube", "central_line", "pacemaker", "malpositioned_device"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One study: the phantom's findings (`signed`), and those that its draft states (all of them present)."""

    uid: str
    seed: int
    site: str
    device: str
    at: datetime
    signed: tuple[Finding, ...]
    drafted: tuple[Finding, ...]


class Figures(NamedTuple):
    """Counts of studies in one concept: the four cells, and hits of totals in side and severity."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    side: tuple[int, int]
    severity: tuple[int, int]


def drawn(seed: int, *, site: str, device: str, at: datetime) -> Drawn:
    """Draw a phantom, and a draft of it with errors."""
    chance = Random(seed)
    signed = draw_spec(seed).findings
    drafted = [_told(one, chance) for one in signed if chance.random() >= MISSED]
    # If a tube is missed, so is its malposition: both are in one sentence.
    if not any(one.concept == "endotracheal_tube" for one in drafted):
        drafted = [one for one in drafted if one.concept != "malpositioned_device"]
    if not any(one.concept == "malpositioned_device" for one in drafted):
        drafted = [replace(one, location=None) if one.concept in _DEVICES else one for one in drafted]
    concepts = {one.concept for one in drafted}
    if chance.random() < ADDED_SHARE:
        added = ADDED[chance.randrange(len(ADDED))]
        drafted += [] if added.concept in concepts else [added]
    return Drawn(
        uid=f"1.2.826.0.1.3680043.10.1.{seed}",
        seed=seed,
        site=site,
        device=device,
        at=at,
        signed=signed,
        drafted=tuple(drafted),
    )


def _told(one: Finding, chance: Random) -> Finding:
    """A finding as stated in the draft."""
    if one.concept in _DEVICES:
        return one
    if one.laterality in _OTHER and chance.random() < OTHER_SIDE:
        one = replace(one, laterality=_OTHER[one.laterality])
    if one.severity is not None and chance.random() < OTHER_GRADE:
        one = replace(one, severity=_GRADES[(_GRADES.index(one.severity) + 1) % len(_GRADES)])
    return one


def true_figures(studies: Sequence[Drawn], grouping: str) -> dict[str, dict[str, Figures]]:
    """Return the figures of every group and concept."""
    groups: dict[str, list[Drawn]] = {}
    for study in studies:
        groups.setdefault(_name(study, grouping), []).append(study)
    return {
        name: {concept: _figures(concept, members) for concept in PHANTOM_CONCEPTS}
        for name, members in groups.items()
    }


def _name(study: Drawn, grouping: str) -> str:
    names = {
        "all": "",
        "site": study.site,
        "device": f"ACME / {study.device}",
        "month": f"{study.at:%Y-%m}",
        "model": "0" * 64,
    }
    return names[grouping]


def _figures(concept: str, studies: Sequence[Drawn]) -> Figures:
    cells = {(one, other): 0 for one in (True, False) for other in (True, False)}
    sides, grades = [], []
    for study in studies:
        drafted = [one for one in study.drafted if one.concept == concept]
        signed = [one for one in study.signed if one.concept == concept]
        cells[bool(drafted), bool(signed)] += 1
        if not drafted or not signed:
            continue
        if _letters(drafted) and _letters(signed):
            sides.append(_letters(drafted) == _letters(signed))
        if _grade(drafted) and _grade(signed):
            grades.append(_grade(drafted) == _grade(signed))
    return Figures(
        true_positive=cells[True, True],
        false_positive=cells[True, False],
        false_negative=cells[False, True],
        true_negative=cells[False, False],
        side=(sum(sides), len(sides)),
        severity=(sum(grades), len(grades)),
    )


def _letters(findings: Sequence[Finding]) -> set[str]:
    return {letter for one in findings if one.laterality for letter in _LETTERS[one.laterality]}


def _grade(findings: Sequence[Finding]) -> str | None:
    graded = [one.severity for one in findings if one.severity is not None]
    return max(graded, key=_GRADES.index) if graded else None


def figures_of(group: Any, concepts: Sequence[str]) -> Mapping[str, Figures]:
    """Return the figures of a group counted by `agent.shadow.accuracy`.

    A concept that neither text of any study mentions has no row there: all of its studies are true negatives.
    """
    found = {
        one.concept: Figures(
            true_positive=one.true_positive,
            false_positive=one.false_positive,
            false_negative=one.false_negative,
            true_negative=one.true_negative,
            side=(one.side.hits, one.side.total),
            severity=(one.severity.hits, one.severity.total),
        )
        for one in group.concepts
    }
    nothing = Figures(0, 0, 0, group.studies, (0, 0), (0, 0))
    return {concept: found.get(concept, nothing) for concept in concepts}
