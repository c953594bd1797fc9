"""The cue words of `cues.yaml`, as checked values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cues:
    """Phrases by what they do; see the comments of `cues.yaml`."""

    before: Mapping[str, tuple[str, ...]]  # negated, uncertain, historical, hypothetical
    after: Mapping[str, tuple[str, ...]]  # negated, uncertain
    not_negated: tuple[str, ...]
    ends: tuple[str, ...]
    new_statement: frozenset[str]
    exceptions: tuple[str, ...]
    states: Mapping[str, tuple[str, ...]]
    severity: Mapping[str, tuple[str, ...]]
    change: Mapping[str, tuple[str, ...]]
    laterality: Mapping[str, tuple[str, ...]]
    headings: Mapping[str, tuple[str, ...]]
    words: Mapping[str, frozenset[str]]


@lru_cache(maxsize=1)
def load_cues() -> Cues:
    """The lexicon that is shipped beside this module."""
    data: dict[str, Any] = yaml.safe_load(
        files("model.findings").joinpath("cues.yaml").read_text(encoding="utf-8")
    )
    before, after = {}, {}
    for kind in ("negated", "uncertain", "historical", "hypothetical"):
        before[kind] = tuple(data[kind]["before"])
        after[kind] = tuple(data[kind].get("after", ()))

    def words(section: str) -> dict[str, tuple[str, ...]]:
        return {key: tuple(phrases) for key, phrases in data[section].items()}

    return Cues(
        before=before,
        after=after,
        not_negated=tuple(data["not_negated"]),
        ends=tuple(data["ends"]),
        new_statement=frozenset(data["new_statement"]),
        exceptions=tuple(data["exceptions"]),
        states=words("states"),
        severity=words("severity"),
        change=words("change"),
        laterality=words("laterality"),
        headings=words("headings"),
        words={key: frozenset(entries) for key, entries in data["words"].items()},
    )
