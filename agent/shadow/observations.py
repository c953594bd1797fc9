"""The input of the search for drift: yes-or-no events of each draft, and numbers turned into such events.
Pure.

An event is named `kind:subject`, for instance `finding:pneumothorax`, `flag:inverted`, `input:exposure`. A
number (exposure, image size) becomes the event that it is outside the baseline's middle 98 %; a word
(manufacturer, model) becomes the event that it is not in the baseline. All events are then charted in the
same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from model.findings.types import Finding, Presence

# Numbers outside these quantiles of the baseline count as unusual.
_LOW, _HIGH = 0.01, 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The observations from one draft and its input.

    stream: the site and device that it is charted with. findings: the concepts drafted as present. flags:
    codes. numbers, words: statistics of the input by name; missing ones are left out. disagrees: whether the
    signed report disagrees in any concept; None while there is no signed report.
    """

    stream: str
    at: datetime
    findings: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    numbers: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    disagrees: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """The baseline's range of a number, or its words."""

    low: float = 0.0
    high: float = 0.0
    words: frozenset[str] = frozenset()


def drafted_concepts(findings: Iterable[Finding]) -> frozenset[str]:
    """Return the concepts that a draft states as present."""
    return frozenset(one.concept for one in findings if one.presence is Presence.PRESENT)


def usual(baseline: Sequence[Observation]) -> dict[str, Usual]:
    """Return the usual range or words of every input statistic of the baseline."""
    numbers: dict[str, list[float]] = {}
    words: dict[str, set[str]] = {}
    for one in baseline:
        for name, number in one.numbers.items():
            numbers.setdefault(name, []).append(number)
        for name, word in one.words.items():
            words.setdefault(name, set()).add(word)
    found = {name: Usual(words=frozenset(seen)) for name, seen in words.items()}
    for name, values in numbers.items():
        values.sort()
        last = len(values) - 1
        found[name] = Usual(low=values[int(_LOW * last)], high=values[-1 - int((1 - _HIGH) * last)])
    return found


def events(one: Observation, ranges: Mapping[str, Usual]) -> dict[str, bool]:
    """Return the events of a draft that are known: those for which the draft has a value.

    Findings and flags are named only where they happened; a name that is missing did not happen.
    """
    found = {f"finding:{concept}": True for concept in one.findings}
    found |= {f"flag:{code}": True for code in one.flags}
    found["flag:any"] = bool(one.flags)
    for name, number in one.numbers.items():
        if name in ranges:
            found[f"input:{name}"] = not ranges[name].low <= number <= ranges[name].high
    for name, word in one.words.items():
        if name in ranges:
            found[f"input:{name}"] = word not in ranges[name].words
    if one.disagrees is not None:
        found["agreement:any"] = one.disagrees
    return found
