"""The vocabulary of findings: concepts, places and parts of the body, read from versioned YAML.

A hospital extends the shipped file with its own: new entries are added, and fields of existing entries are
replaced (lists of words are joined).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from model.findings.lexicon import Pack
from model.findings.vocabulary_file import Content, content_of


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


_in_force: list[Vocabulary | Path] = []  # the hospital's, or its file if not read yet; empty: the shipped one


def load_vocabulary(extension: Path | str | None = None) -> Vocabulary:
    """The vocabulary in force, or the shipped one extended by the file that is given, read anew.

    The one in force stays the same until another is put in force, whatever happens to its file: a half-saved
    one would stop every report.

    Raises:
        VocabularyError: the file cannot be read or is wrong; every problem is listed.
    """
    if extension is not None:
        return read_vocabulary(extension)
    if not _in_force:
        return shipped_vocabulary()
    known = _in_force[0]
    if isinstance(known, Path):
        known = _in_force[0] = _build(content_of(known))
    return known


def read_vocabulary(extension: Path | str | None) -> Vocabulary:
    """The vocabulary of a hospital's file, read anew with its language files; None for only the shipped one.

    Raises:
        VocabularyError: the file cannot be read or is wrong; every problem is listed.
    """
    return shipped_vocabulary() if extension is None else _build(content_of(Path(extension)))


def put_in_force(extension: Vocabulary | Path | str | None) -> None:
    """Make a vocabulary, or a hospital's file, the vocabulary of this process; None for only the shipped one.

    Raises:
        VocabularyError: the file cannot be read or is wrong; the previous vocabulary stays in force.
    """
    known = extension if isinstance(extension, Vocabulary) else read_vocabulary(extension)
    _in_force[:] = [known]


def put_in_force_unread(extension: Path | str | None) -> None:
    """Like `put_in_force`, but the file is read by the first `load_vocabulary`: a mistake is raised there."""
    _in_force[:] = [] if extension is None else [Path(extension)]


@lru_cache(maxsize=1)
def shipped_vocabulary() -> Vocabulary:
    """The vocabulary without any hospital's words."""
    return _build(content_of(None))


def _build(content: Content) -> Vocabulary:
    data = content.data
    return Vocabulary(
        version=str(data["version"]),
        concepts={key: _concept(key, entry) for key, entry in data["concepts"].items()},
        locations={
            key: Location(key=key, name=entry["name"], terms=tuple(entry.get("terms", ())))
            for key, entry in data["locations"].items()
        },
        structures={key: _structure(key, entry) for key, entry in data["structures"].items()},
        denials={key: tuple(words) for key, words in data["denials"].items()},
        state_normal=tuple(data["state_normal"]),
        malposition={key: tuple(places) for key, places in data["malposition"].items()},
        misplaced={key: tuple(words) for key, words in data["misplaced"].items()},
        elsewhere=tuple(
            Elsewhere(concepts=tuple(entry["concepts"]), words=tuple(entry["words"]))
            for entry in data["elsewhere"]
        ),
        artefacts=tuple(data["artefacts"]),
        ignore=tuple(data["ignore"]),
        packs=content.packs,
        abbreviations={key.lower(): value for key, value in data["abbreviations"].items()},
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
