"""Merges a hospital's vocabulary file into the shipped one, and checks whether the result can be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from model.findings.code_check import code_problems
from model.findings.schema import STATES

CHEXPERT = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Lesion", "Lung Opacity", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other",
    "Fracture", "Support Devices",
)  # fmt: skip
REGIONS = (
    "thorax", "mediastinum", "lungs", "heart", "hila", "diaphragm", "pleura", "bones", "impression",
)  # fmt: skip
SITES = ("lung", "heart", "mediastinum", "pleura", "chest")


def merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`base` overlaid with `extra`: mappings are merged, lists joined, other values and codes replaced."""
    merged = dict(base)
    for key, value in extra.items():
        old = merged.get(key)
        if key == "version" and old is not None:
            merged[key] = f"{old}+{value}"
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        elif isinstance(old, list) and isinstance(value, list) and key != "code":
            merged[key] = old + [one for one in value if one not in old]
        else:
            merged[key] = value
    return merged


def problems_of(data: Mapping[str, Any]) -> list[str]:
    """Every problem of the joined data, each with its place; empty if it can be used.

    The data has the shape of `schema.VOCABULARY`.
    """
    return [
        *_concept_problems(data["concepts"]),
        *code_problems(data),
        *(
            f"locations.{key}.name: is missing"
            for key, entry in data["locations"].items()
            if "name" not in entry
        ),
        *_structure_problems(data["structures"]),
        *_reference_problems(data),
    ]


def _concept_problems(concepts: Mapping[str, Any]) -> Iterator[str]:
    for key, entry in concepts.items():
        path = f"concepts.{key}"
        for name in ("region", "code", "site"):
            if name not in entry:
                yield f"{path}.{name}: is missing"
        yield from _choice(f"{path}.chexpert", entry.get("chexpert"), (*CHEXPERT, None))
        yield from _choice(f"{path}.region", entry.get("region", REGIONS[0]), REGIONS)
        yield from _choice(f"{path}.site", entry.get("site", SITES[0]), SITES)


def _structure_problems(structures: Mapping[str, Any]) -> Iterator[str]:
    for key, entry in structures.items():
        if "terms" not in entry:
            yield f"structures.{key}.terms: is missing"
        for state in entry.get("states", {}):
            yield from _choice(f"structures.{key}.states", state, STATES)


def _reference_problems(data: Mapping[str, Any]) -> Iterator[str]:
    """Names of concepts and locations that the vocabulary does not have."""
    concepts, locations = data["concepts"], data["locations"]
    named: list[tuple[str, Iterable[str]]] = [
        ("state_normal", data["state_normal"]),
        *((f"concepts.{key}.becomes", entry.get("becomes", ())) for key, entry in concepts.items()),
        *((f"structures.{key}.normal", entry.get("normal", ())) for key, entry in data["structures"].items()),
        *(
            (f"structures.{key}.states", entry.get("states", {}).values())
            for key, entry in data["structures"].items()
        ),
        *((section, data[section]) for section in ("denials", "malposition", "misplaced")),
        *((f"elsewhere.{number}", entry["concepts"]) for number, entry in enumerate(data["elsewhere"])),
    ]
    for path, keys in named:
        yield from (f"{path}: {key} is not a concept" for key in keys if key not in concepts)
    for key, places in data["malposition"].items():
        for place in places:
            yield from _choice(f"malposition.{key}", place, tuple(locations))


def _choice(path: str, value: object, allowed: tuple[str | None, ...]) -> Iterator[str]:
    if value not in allowed:
        yield f"{path}: {value!r} is none of {', '.join(str(item) for item in allowed if item)}"
