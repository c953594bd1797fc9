"""Derives the region that counts from the evidence about an image, with the reason. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.objects.films.routing.evidence import Evidence, Rank
from agent.objects.films.routing.vocabulary import DECISIVE

CHEST, LUNGS, SEVERAL, CHEST_ABDOMEN = "chest", "lungs", "several", "chest_abdomen"
CONTRADICTION, UNRECOGNISED, OTHER, NONE = "contradiction", "unrecognised", "other", "none"
# Named together with the chest these mean the chest: many languages call a chest film "heart and lungs".
_WITHIN = frozenset({CHEST, LUNGS, "heart", "mediastinum"})
# Regions with their own rule; all others are `other`.
OF_THEIR_OWN = frozenset(
    {
        CHEST, LUNGS, "heart", "mediastinum", "ribs", "sternum", "clavicle", "chest_wall", "thoracic_spine",
        "abdomen", "shoulder", CHEST_ABDOMEN, "babygram", "breast", *DECISIVE,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """What an image shows: a region's key, `several`, `contradiction`, `unrecognised`, `other` or `none`.

    rank: the level of the attributes that decided; None if there is no evidence. decisive: those attributes.
    evidence: all of it.
    """

    name: str
    rank: Rank | None
    decisive: tuple[Evidence, ...]
    evidence: tuple[Evidence, ...]


def region_of(evidence: Sequence[Evidence]) -> Region:
    """Weigh the evidence: the highest rank that names a region decides, unless the next contradicts it.

    A phantom, an animal or a test object, and an examination that is not a plain film, outweigh every region,
    whichever attribute names them.
    """
    found = tuple(evidence)
    for name in DECISIVE:
        if decisive := tuple(one for one in found if name in one.regions):
            return Region(name=name, rank=decisive[0].rank, decisive=decisive, evidence=found)
    ranked = [(rank, [one for one in found if one.rank is rank]) for rank in Rank]
    speaking = [(rank, listed) for rank, listed in ranked if any(one.regions for one in listed)]
    dumb = [one for rank, listed in ranked[:1] for one in listed if not one.regions]
    if not speaking:
        return Region(
            name=UNRECOGNISED if dumb else NONE,
            rank=Rank.IMAGE if dumb else None,
            decisive=tuple(dumb),
            evidence=found,
        )
    rank, listed = speaking[0]
    decisive = tuple(one for one in listed if one.regions)
    name = combined(frozenset().union(*(one.regions for one in decisive)))
    if rank is Rank.STUDY and dumb:
        # The image names a region in unknown words; the name of the study cannot outweigh it.
        return Region(name=UNRECOGNISED, rank=Rank.IMAGE, decisive=tuple(dumb), evidence=found)
    if rank is Rank.IMAGE and name in (CHEST, LUNGS) and len(speaking) > 1:
        # Devices write the body part of the previous examination, or always the same one.
        against = [one for one in speaking[1][1] if one.regions]
        weaker = combined(frozenset().union(*(one.regions for one in against)))
        if weaker not in (CHEST, LUNGS, "heart", "mediastinum", SEVERAL, CHEST_ABDOMEN):
            return Region(name=CONTRADICTION, rank=rank, decisive=(*decisive, *against), evidence=found)
    return Region(name=name, rank=rank, decisive=decisive, evidence=found)


def combined(regions: frozenset[str]) -> str:
    """Return the single region that several names mean together."""
    if len(regions) == 1:
        (only,) = regions
        return only if only in OF_THEIR_OWN else OTHER
    if regions <= _WITHIN:
        return CHEST if CHEST in regions or regions >= {LUNGS, "heart"} else LUNGS
    if not regions & {CHEST, LUNGS, "heart", "mediastinum", CHEST_ABDOMEN, "babygram"}:
        own = sorted(regions & OF_THEIR_OWN)
        return own[0] if len(own) == 1 and len(regions) == 1 else OTHER
    if regions <= {CHEST, LUNGS, "abdomen", CHEST_ABDOMEN}:
        return CHEST_ABDOMEN
    if "babygram" in regions and regions <= {CHEST, "abdomen", CHEST_ABDOMEN, "babygram"}:
        return "babygram"
    return SEVERAL
