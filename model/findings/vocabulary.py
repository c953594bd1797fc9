"""The vocabulary of findings: concepts, places and parts of the body, read from versioned YAML.

A hospital extends the shipped file with its own: new entries are added, and fields of existing entries are
replaced (lists of words are joined).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from model.findings.errors import VocabularyError
from model.findings.lexicon import SHIPPED, Pack, pack_of, shipped_data
from model.findings.lexicon_check import pack_problems
from model.findings.vocabulary_check import merge, owned_elsewhere, problems_of
from model.yaml_once import parse_yaml

_SHIPPED = "vocabulary.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded concept: scheme designator (SCT, DCM, 99…), value and meaning (at most 64 characters)."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """One finding that can be read, written and coded.

    `chexpert` is the CheXpert class that it rolls up to, `None` where there is none; `region` the part
    of a normalised report that states it; `site` the default finding site; `device` whether it is
    hardware; `acute` whether "no acute abnormality" contradicts it; `broad` whether it is an umbrella, of
    which one kind may be present and another absent; `sided` whether a side has meaning; `passes` whether
    an old one ("previous infection") is not a finding of this study.
    """

    key: str
    name: str
    chexpert: str | None
    region: str
    code: Code
    site: str
    device: bool = False
    acute: bool = False
    broad: bool = False
    sided: bool = True
    passes: bool = False
    synonyms: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    inverse: tuple[str, ...] = ()
    becomes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def parent(self) -> str | None:
        """The roll-up class: an alias of `chexpert`."""
        return self.chexpert


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A zone or place; `terms` are the words that name it."""

    key: str
    name: str
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A part of the body whose state can be described.

    `normal` are the concepts that "… is normal" makes absent (the policy for normal regions), `states`
    what another state means, `clear` whether "clear" means normal here.
    """

    key: str
    terms: tuple[str, ...]
    normal: tuple[str, ...]
    states: Mapping[str, str]
    clear: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Words that, as the site of one of `concepts`, make it a finding of another part: a breast mass."""

    concepts: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vocabulary:
    """The checked content of `vocabulary.yaml`; `version` is the file's (with `+` and a hospital's).

    `packs` are the languages that reports are read in, by language code (ISO 639-1).
    """

    version: str
    concepts: Mapping[str, Concept]
    locations: Mapping[str, Location]
    structures: Mapping[str, Structure]
    denials: Mapping[str, tuple[str, ...]]
    state_normal: tuple[str, ...]
    malposition: Mapping[str, tuple[str, ...]]
    misplaced: Mapping[str, tuple[str, ...]]
    elsewhere: tuple[Elsewhere, ...]
    artefacts: tuple[str, ...]
    ignore: tuple[str, ...]
    abbreviations: Mapping[str, str]
    packs: Mapping[str, Pack]

    @property
    def chexpert_classes(self) -> tuple[str, ...]:
        """The roll-up classes in the order of the file, without duplicates."""
        return tuple(dict.fromkeys(c.chexpert for c in self.concepts.values() if c.chexpert))


_in_force: list[Path | str] = []  # the hospital's file; empty for only the shipped vocabulary


def load_vocabulary(extension: Path | str | None = None) -> Vocabulary:
    """The vocabulary in force, or the shipped one extended by the file that is given.

    Raises:
        VocabularyError: the file cannot be read or is wrong; every problem is listed.
    """
    if extension is None and not _in_force:
        return _shipped()
    path = Path(_in_force[0] if extension is None else extension)
    return _extended(str(path), path.stat().st_mtime_ns if path.exists() else 0)


def put_in_force(extension: Path | str | None) -> Vocabulary:
    """Make a hospital's file the vocabulary of this process, at its start; None for only the shipped one.

    Raises:
        VocabularyError: the file cannot be read or is wrong; the previous vocabulary stays in force.
    """
    vocabulary = _shipped() if extension is None else load_vocabulary(extension)
    put_in_force_unread(extension)
    return vocabulary


def put_in_force_unread(extension: Path | str | None) -> None:
    """Like `put_in_force`, but the file is read by the first `load_vocabulary`: a mistake is raised there."""
    _in_force[:] = [] if extension is None else [extension]


@lru_cache(maxsize=1)
def _shipped() -> Vocabulary:
    return _build(_shipped_data(), _SHIPPED, {})


@lru_cache(maxsize=4)
def _extended(path: str, _modified: int) -> Vocabulary:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise VocabularyError(path, [f"cannot be read as UTF-8 text ({type(exc).__name__})"]) from exc
    extra = _parse(text, path)
    languages = _languages(extra.pop("languages", {}), Path(path))
    base = _shipped_data()
    if problems := owned_elsewhere(base, extra):
        raise VocabularyError(path, problems)
    return _build(merge(base, extra), path, languages)


def _shipped_data() -> dict[str, Any]:
    return _parse(files("model.findings").joinpath(_SHIPPED).read_text(encoding="utf-8"), _SHIPPED)


def _languages(listed: object, beside: Path) -> dict[str, dict[str, Any]]:
    """The packs of a hospital's file: written in it, or in a file beside it."""
    if not isinstance(listed, Mapping):
        raise VocabularyError(str(beside), ["languages: must map a language code to words or to a file"])
    found: dict[str, dict[str, Any]] = {}
    for code, entry in listed.items():
        if isinstance(entry, str):
            file = beside.parent / entry
            try:
                entry = _parse(file.read_text(encoding="utf-8"), str(file))
            except (OSError, UnicodeDecodeError) as exc:
                raise VocabularyError(
                    str(beside), [f"languages.{code}: {entry} cannot be read ({type(exc).__name__})"]
                ) from exc
        if not isinstance(entry, Mapping):
            raise VocabularyError(str(beside), [f"languages.{code}: must be a mapping or a file's name"])
        found[str(code)] = dict(entry)
    return found


def _packs(
    languages: Mapping[str, Mapping[str, Any]], concepts: Mapping[str, Any], source: str
) -> dict[str, Pack]:
    """The shipped packs and a hospital's, each checked.

    Raises:
        VocabularyError: a pack cannot be used; every problem is listed.
    """
    packs, problems = {}, []
    for code in dict.fromkeys((*SHIPPED, *languages)):
        base = shipped_data(code) if code in SHIPPED else {"language": code, "version": "", "name": code}
        data = merge(base, languages.get(code, {}))
        found = pack_problems(code, data, concepts)
        problems += found
        if not found:
            packs[code] = pack_of(data)
    if problems:
        raise VocabularyError(source, problems)
    return packs


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        data = parse_yaml(text)
    except yaml.YAMLError as exc:
        raise VocabularyError(source, [f"is not YAML: {' '.join(str(exc).split())}"]) from exc
    if not isinstance(data, dict):
        raise VocabularyError(source, ["must be a mapping with `version`, `concepts`, …"])
    return data


def _build(data: dict[str, Any], source: str, languages: Mapping[str, Mapping[str, Any]]) -> Vocabulary:
    problems = problems_of(data)
    if problems:
        raise VocabularyError(source, problems)
    return Vocabulary(
        version=str(data["version"]),
        concepts={key: _concept(key, entry) for key, entry in data["concepts"].items()},
        locations={
            key: Location(key=key, name=entry["name"], terms=tuple(entry.get("terms", ())))
            for key, entry in data["locations"].items()
        },
        structures={key: _structure(key, entry) for key, entry in data.get("structures", {}).items()},
        denials={key: tuple(words) for key, words in data.get("denials", {}).items()},
        state_normal=tuple(data.get("state_normal", ())),
        malposition={key: tuple(places) for key, places in data.get("malposition", {}).items()},
        misplaced={key: tuple(words) for key, words in data.get("misplaced", {}).items()},
        elsewhere=tuple(
            Elsewhere(concepts=tuple(entry["concepts"]), words=tuple(entry["words"]))
            for entry in data.get("elsewhere", ())
        ),
        artefacts=tuple(data.get("artefacts", ())),
        ignore=tuple(data.get("ignore", ())),
        packs=_packs(languages, data["concepts"], source),
        abbreviations={str(k).lower(): str(v) for k, v in data.get("abbreviations", {}).items()},
    )


def _concept(key: str, entry: Mapping[str, Any]) -> Concept:
    scheme, value, meaning = (str(part) for part in entry["code"])
    return Concept(
        key=key,
        name=entry.get("name", key.replace("_", " ")),
        chexpert=entry.get("chexpert"),
        region=entry["region"],
        code=Code(scheme=scheme, value=value, meaning=meaning),
        site=entry["site"],
        device=entry.get("device", False),
        acute=entry.get("acute", False),
        broad=entry.get("broad", False),
        sided=entry.get("sided", True),
        passes=entry.get("passes", False),
        synonyms=tuple(entry.get("synonyms", ())),
        weak=tuple(entry.get("weak", ())),
        inverse=tuple(entry.get("inverse", ())),
        becomes={other: tuple(words) for other, words in entry.get("becomes", {}).items()},
    )


def _structure(key: str, entry: Mapping[str, Any]) -> Structure:
    return Structure(
        key=key,
        terms=tuple(entry["terms"]),
        normal=tuple(entry.get("normal", ())),
        states=dict(entry.get("states", {})),
        clear=entry.get("clear", False),
    )
