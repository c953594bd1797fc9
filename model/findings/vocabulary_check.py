"""Merges a hospital's vocabulary file into the shipped one, and checks whether the result can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from model.findings.variants import variants

CHEXPERT = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Lesion", "Lung Opacity", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other",
    "Fracture", "Support Devices",
)  # fmt: skip
REGIONS = (
    "thorax", "mediastinum", "lungs", "heart", "hila", "diaphragm", "pleura", "bones", "impression",
)  # fmt: skip
SITES = ("lung", "heart", "mediastinum", "pleura", "chest")
STATES = (
    "enlarged", "widened", "borderline", "prominent", "engorged", "elevated", "blunted", "deviated",
    "fractured", "opacified",
)  # fmt: skip

_SECTIONS = {
    "version",
    "concepts",
    "locations",
    "structures",
    "denials",
    "state_normal",
    "malposition",
    "misplaced",
    "elsewhere",
    "artefacts",
    "ignore",
    "abbreviations",
}
_CONCEPT_FIELDS = {
    "name": str, "chexpert": (str, type(None)), "region": str, "code": list, "site": str, "device": bool,
    "acute": bool, "broad": bool, "sided": bool, "passes": bool, "synonyms": list, "weak": list,
    "inverse": list, "becomes": dict,
}  # fmt: skip


def merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`base` overlaid with `extra`: mappings are merged, lists of words joined, other values replaced."""
    merged = dict(base)
    for key, value in extra.items():
        old = merged.get(key)
        if key == "version" and old is not None:
            merged[key] = f"{old}+{value}"
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        elif isinstance(old, list) and isinstance(value, list) and key != "code":
            merged[key] = list(dict.fromkeys([*old, *value]))
        else:
            merged[key] = value
    return merged


def owned_elsewhere(base: Mapping[str, Any], extra: Mapping[str, Any]) -> list[str]:
    """A problem for each synonym that a hospital gives to one concept while another concept owns it."""
    owners: dict[str, set[str]] = {}
    for source in (base, extra):
        concepts = source.get("concepts", {})
        for key, entry in concepts.items() if isinstance(concepts, Mapping) else ():
            for word in _terms_of(str(key), entry):
                owners.setdefault(word, set()).add(str(key))
    problems = []
    added = extra.get("concepts", {})
    for key, entry in added.items() if isinstance(added, Mapping) else ():
        for word in _terms_of(str(key), entry):
            others = sorted(owners[word] - {str(key)})
            if others and word not in _terms_of(str(key), base["concepts"].get(key, {})):
                problems.append(f"concepts.{key}: {word!r} already belongs to {', '.join(others)}")
    return problems


def _terms_of(key: str, entry: object) -> set[str]:
    """Every form of the words that state a concept."""
    if not isinstance(entry, Mapping):
        return set()
    words = [entry.get("name", key.replace("_", " "))]
    for name in ("synonyms", "weak", "inverse"):
        listed = entry.get(name, [])
        words += listed if isinstance(listed, list) else []
    return {form.lower() for word in words if isinstance(word, str) for form in variants(word)}


def problems_of(data: Mapping[str, Any]) -> list[str]:
    """Every problem of a vocabulary's data, each with its place; empty if it can be used."""
    problems = [f"`{key}` is not a section of a vocabulary" for key in data if key not in _SECTIONS]
    if not isinstance(data.get("version"), str | int | float):
        problems.append("`version` is missing")
    for section in ("concepts", "locations"):
        if not isinstance(data.get(section), Mapping):
            problems.append(f"`{section}` must be a mapping")
            return problems
    concepts = data["concepts"]
    for key, entry in concepts.items():
        problems += _concept_problems(str(key), entry, concepts)
    for key, entry in data["locations"].items():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            problems.append(f"locations.{key}: needs a `name` (and `terms`)")
        else:
            problems += _word_problems(f"locations.{key}.terms", entry.get("terms", []))
    problems += _rest_problems(data, concepts)
    return problems


def _concept_problems(key: str, entry: object, concepts: Mapping[str, Any]) -> Iterator[str]:
    path = f"concepts.{key}"
    if not isinstance(entry, Mapping):
        yield f"{path}: must be a mapping"
        return
    for name, value in entry.items():
        if name not in _CONCEPT_FIELDS:
            yield f"{path}.{name}: unknown field (known: {', '.join(_CONCEPT_FIELDS)})"
        elif not isinstance(value, _CONCEPT_FIELDS[name]):  # type: ignore[arg-type]
            yield f"{path}.{name}: has the wrong type"
    for name in ("region", "code", "site"):
        if name not in entry:
            yield f"{path}.{name}: is missing"
    yield from _choice(f"{path}.chexpert", entry.get("chexpert"), (*CHEXPERT, None))
    yield from _choice(f"{path}.region", entry.get("region", REGIONS[0]), REGIONS)
    yield from _choice(f"{path}.site", entry.get("site", SITES[0]), SITES)
    code = entry.get("code", ["", "", ""])
    if not isinstance(code, list) or len(code) != 3 or not all(isinstance(part, str) for part in code):
        yield f"{path}.code: must be [scheme, value, meaning], all text"
    elif len(code[2]) > 64 or len(code[0]) > 16:
        yield f"{path}.code: a scheme has at most 16 and a meaning at most 64 characters"
    for name in ("synonyms", "weak", "inverse"):
        yield from _word_problems(f"{path}.{name}", entry.get(name, []))
    becomes = entry.get("becomes", {})
    for other, words in becomes.items() if isinstance(becomes, Mapping) else ():
        if other not in concepts:
            yield f"{path}.becomes: {other} is not a concept"
        yield from _word_problems(f"{path}.becomes.{other}", words)


def _rest_problems(data: Mapping[str, Any], concepts: Mapping[str, Any]) -> Iterator[str]:
    for section in ("structures", "denials", "malposition", "abbreviations"):
        if not isinstance(data.get(section, {}), Mapping):
            yield f"`{section}` must be a mapping"
            return
    for key, entry in data.get("structures", {}).items():
        if not isinstance(entry, Mapping) or "terms" not in entry:
            yield f"structures.{key}: needs `terms`"
            continue
        yield from _word_problems(f"structures.{key}.terms", entry["terms"])
        for concept in (*entry.get("normal", ()), *entry.get("states", {}).values()):
            if concept not in concepts:
                yield f"structures.{key}: {concept} is not a concept"
        for state in entry.get("states", {}):
            yield from _choice(f"structures.{key}.states", state, STATES)
    for key, words in data.get("denials", {}).items():
        if key not in concepts:
            yield f"denials.{key}: is not a concept"
        yield from _word_problems(f"denials.{key}", words)
    for key, places in data.get("malposition", {}).items():
        if key not in concepts:
            yield f"malposition.{key}: is not a concept"
        for place in places:
            yield from _choice(f"malposition.{key}", place, tuple(data["locations"]))
    for key, words in data.get("misplaced", {}).items():
        if key not in concepts:
            yield f"misplaced.{key}: is not a concept"
        yield from _word_problems(f"misplaced.{key}", words)
    for index, entry in enumerate(data.get("elsewhere", ())):
        if not isinstance(entry, Mapping) or set(entry) != {"concepts", "words"}:
            yield f"elsewhere.{index}: needs `concepts` and `words`"
            continue
        yield from (
            f"elsewhere.{index}: {key} is not a concept" for key in entry["concepts"] if key not in concepts
        )
        yield from _word_problems(f"elsewhere.{index}.words", entry["words"])
    for key in data.get("state_normal", []):
        if key not in concepts:
            yield f"state_normal: {key} is not a concept"
    for section in ("ignore", "artefacts"):
        yield from _word_problems(section, data.get(section, []))


def _word_problems(path: str, words: object) -> Iterator[str]:
    if not isinstance(words, list):
        yield f"{path}: must be a list of words"
        return
    for word in words:
        if not isinstance(word, str) or not word.strip():
            yield f"{path}: {word!r} is not text (quote it)"


def _choice(path: str, value: object, allowed: tuple[str | None, ...]) -> Iterator[str]:
    if value not in allowed:
        yield f"{path}: {value!r} is none of {', '.join(str(item) for item in allowed if item)}"
