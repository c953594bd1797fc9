"""Short expectations for a text, `text ||| +concept@L%mild -other`, and the ones that are not met.

`+concept` present, `-concept` absent, `?concept` indeterminate, `!concept` neither present nor
indeterminate, `^concept` not absent; after it `@L|R|B` side, `%grade`, `~change`, `#place`. A `\\n` in the
text is a line end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from model.findings.agreement import Counts
from model.findings.types import Finding, Laterality, Presence

_ITEM = re.compile(r"([+\-?!^])(\w+)((?:[@%~#]\w+)*)")
_PRESENCE = {"+": Presence.PRESENT, "-": Presence.ABSENT, "?": Presence.INDETERMINATE}
_SIDE = {"L": Laterality.LEFT, "R": Laterality.RIGHT, "B": Laterality.BILATERAL}
_FIELD = {"@": "laterality", "%": "severity", "~": "change", "#": "location"}
_TURNED = {"+": Presence.ABSENT, "-": Presence.PRESENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One text with its expectations."""

    text: str
    items: tuple[str, ...]


def expectations(lines: Iterable[str]) -> Iterator[Expected]:
    """The texts in a file with their expectations; lines that begin with # are comments."""
    for line in lines:
        if line.strip() and not line.startswith("#"):
            text, _, items = line.rstrip("\n").partition(" ||| ")
            yield Expected(text=text.replace("\\n", "\n"), items=tuple(items.split()))


def unmet(items: Sequence[str], findings: Sequence[Finding]) -> list[str]:
    """The expectations that the findings do not meet."""
    return [item for item in items if not _met(item, findings)]


def turned_round(items: Sequence[str], findings: Sequence[Finding]) -> list[str]:
    """The expectations that the findings contradict: present for absent, absent for present."""
    found = []
    for item in unmet(items, findings):
        mark, concept, _ = _parts(item)
        said = {f.presence for f in findings if f.concept == concept}
        if mark in _TURNED and said == {_TURNED[mark]}:
            found.append(item)
    return found


def stated_attributes(items: Sequence[str], findings: Sequence[Finding]) -> Counts:
    """The expected sides, grades, changes and places of findings whose presence is read correctly."""
    counts: Counts = Counter()
    for item in items:
        mark, concept, rest = _parts(item)
        same = [f for f in findings if f.concept == concept and f.presence is _PRESENCE.get(mark)]
        for sign, value in re.findall(r"([@%~#])(\w+)", rest) if same else ():
            wanted = _SIDE.get(value, value) if sign == "@" else value
            counts[_FIELD[sign], any(getattr(f, _FIELD[sign]) == wanted for f in same)] += 1
    return counts


def _met(item: str, findings: Sequence[Finding]) -> bool:
    mark, concept, rest = _parts(item)
    mine = [f for f in findings if f.concept == concept]
    if mark == "!":
        return all(f.presence is Presence.ABSENT for f in mine)
    if mark == "^":
        return all(f.presence is not Presence.ABSENT for f in mine)
    wanted = {_FIELD[m]: _SIDE.get(v, v) if m == "@" else v for m, v in re.findall(r"([@%~#])(\w+)", rest)}
    return any(
        f.presence is _PRESENCE[mark] and all(getattr(f, name) == value for name, value in wanted.items())
        for f in mine
    )


def _parts(item: str) -> tuple[str, str, str]:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise ValueError(f"{item!r} is not an expectation")
    return match[1], match[2], match[3]
