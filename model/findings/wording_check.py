"""Checks whether the section `wording` of a language pack can be used; each problem is reported with its
place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from model.findings.types import Change, Laterality, Severity

DEGREE = "degree"  # the default grades
TRAILING = (Change.INCREASED, Change.DECREASED, Change.UNCHANGED)


def wording_problems(wording: object, concepts: Mapping[str, Any]) -> Iterator[str]:
    """Every problem of a pack's section `wording`; concepts: the vocabulary's."""
    if not isinstance(wording, Mapping):
        yield "wording: must be a mapping"
        return
    for key in _TEXTS:
        if not isinstance(wording.get(key), str) or not wording[key]:
            yield f"wording.{key}: must be text"
    for section, wanted in _TABLES.items():
        table = wording.get(section)
        keys = table if section in _FREE and isinstance(table, Mapping) else wanted
        if not isinstance(table, Mapping) or not all(isinstance(table.get(key), str) for key in keys):
            yield f"wording.{section}: must give a word for {', '.join(wanted) or 'each entry'}"
    grades = wording.get("grades")
    if not isinstance(grades, Mapping) or DEGREE not in grades:
        yield f"wording.grades: must have the kind {DEGREE}"
        return
    for kind, table in grades.items():
        if not isinstance(table, Mapping) or not all(isinstance(table.get(s), str) for s in Severity):
            yield f"wording.grades.{kind}: must give a word for {', '.join(Severity)}"
    graded = wording.get("graded")
    for kind, keys in graded.items() if isinstance(graded, Mapping) else ():
        if kind not in grades:
            yield f"wording.graded.{kind}: is not a kind of grades"
        if not isinstance(keys, list):
            yield f"wording.graded.{kind}: must be a list of concepts, in brackets"
            continue
        for key in keys:
            if not isinstance(key, str) or key not in concepts:
                yield f"wording.graded.{kind}: {key} is not a concept of the vocabulary"


_TEXTS = (
    "stop", "comma", "item", "last", "no", "possible", "new", "gone", "removed", "at", "in_place",
    "malpositioned", "no_finding",
)  # fmt: skip
_FREE = ("normal", "names", "places")  # any keys
_TABLES: Mapping[str, tuple[str, ...]] = {
    "titles": ("findings", "impression"),
    "sides": tuple(Laterality),
    "changes": tuple(TRAILING),
    "normal": (),
    "names": (),
    "places": (),
    "graded": (),
}
