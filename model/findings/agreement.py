"""Agreement on sides, places, severities and changes, and the number of reversed findings.

A wrong side and a reversed finding are different errors: they are counted separately from each other and from
presence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from model.findings.types import Finding, Presence

ATTRIBUTES = ("laterality", "location", "severity", "change")
NAMES = dict(zip(ATTRIBUTES, ("sides", "places", "severities", "changes"), strict=True))
Counts = Counter[tuple[str, bool]]  # (attribute, whether it is right) → how often
_OPPOSITE = {Presence.PRESENT.value: Presence.ABSENT.value, Presence.ABSENT.value: Presence.PRESENT.value}


def stated_attributes(gold: Iterable[Finding], read: Sequence[Finding]) -> Counts:
    """Compares the attributes stated by the annotation or the reading, for findings whose presence is read
    correctly.

    Each annotated finding is compared with the best matching one of the same concept and presence.
    """
    counts: Counts = Counter()
    for finding in gold:
        same = [f for f in read if (f.concept, f.presence) == (finding.concept, finding.presence)]
        if not same:
            continue
        best = max(same, key=lambda f: sum(getattr(f, n) == getattr(finding, n) for n in ATTRIBUTES))
        for name in ATTRIBUTES:
            own, other = getattr(finding, name), getattr(best, name)
            if own is not None or other is not None:
                counts[name, own == other] += 1
    return counts


def turned(gold: Collection[tuple[str, str]], read: Collection[tuple[str, str]]) -> int:
    """Number of (concept, presence) pairs read only as the opposite: present as absent, or absent as
    present.
    """
    count = 0
    for concept, presence in gold:
        said = {p for c, p in read if c == concept}
        count += presence in _OPPOSITE and said == {_OPPOSITE[presence]}
    return count


def described(counts: Counts) -> str:
    """The counts in words: "sides 98 of 100, places 40 of 41"."""
    parts = []
    for name in ATTRIBUTES:
        right, total = counts[name, True], counts[name, True] + counts[name, False]
        if total:
            parts.append(f"{NAMES[name]} {right} of {total}")
    return ", ".join(parts)
