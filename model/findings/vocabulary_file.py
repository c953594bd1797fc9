"""Reads a hospital's vocabulary file and the language files beside it, joins them to what is shipped, and
lists everything that is wrong with them in one error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from model.findings.errors import VocabularyError
from model.findings.lexicon import SHIPPED, Pack, pack_of, shipped_data
from model.findings.lexicon_check import pack_problems
from model.findings.ownership import owned_elsewhere, pack_words_owned_elsewhere
from model.findings.schema import PACK, VOCABULARY
from model.findings.shape import fitting
from model.findings.text_maps import abbreviation_problems, letter_problems
from model.findings.vocabulary_check import merge, problems_of
from model.yaml_once import parse_yaml

_SHIPPED = "vocabulary.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Checked data: the vocabulary's, in the form of `vocabulary.yaml`, and the packs of its languages."""

    data: Mapping[str, Any]
    packs: Mapping[str, Pack]


def content_of(extension: Path | None) -> Content:
    """The shipped vocabulary, joined with a hospital's file if one is given.

    Raises:
        VocabularyError: a file cannot be read or is wrong; every problem is listed.
    """
    base = _parse(files("model.findings").joinpath(_SHIPPED).read_text(encoding="utf-8"), _SHIPPED)
    if extension is None:
        return _joined(base, {}, {}, [], _SHIPPED)
    problems: list[str] = []
    own = fitting(_read(extension), VOCABULARY, "", problems)
    languages = _languages(own.pop("languages", {}), extension, problems)
    problems += abbreviation_problems("abbreviations", own.get("abbreviations", {}))
    return _joined(base, own, languages, problems, str(extension))


def _joined(
    base: Mapping[str, Any],
    own: Mapping[str, Any],
    languages: Mapping[str, Mapping[str, Any]],
    problems: list[str],
    source: str,
) -> Content:
    """The two joined; problems: those of the hospital's data as such, without the parts that have them."""
    data = merge(base, own)
    found = [*owned_elsewhere(base, own), *problems_of(data)]
    packs = {}
    for code in dict.fromkeys((*SHIPPED, *languages)):
        start = shipped_data(code) if code in SHIPPED else {"language": code, "version": "", "name": code}
        ours = languages.get(code, {})
        pack = merge(start, ours)
        wrong = [*pack_problems(code, pack, data), *pack_words_owned_elsewhere(code, start, ours, data)]
        found += wrong
        if not (problems or wrong):
            packs[code] = pack_of(pack)
    wrong_places = tuple(problem.partition(": ")[0] for problem in problems)
    problems = [*problems, *(one for one in found if not _follows(one, wrong_places))]
    if problems:
        raise VocabularyError(source, problems)
    return Content(data=data, packs=packs)


def _follows(problem: str, places: tuple[str, ...]) -> bool:
    """Whether a problem only says that a part is missing that was left out because it is wrong."""
    return any(f"{problem.partition(': ')[0]}.".startswith(f"{place}.") for place in places)


def _languages(listed: Mapping[str, object], beside: Path, problems: list[str]) -> dict[str, dict[str, Any]]:
    """The packs of a hospital's file: written in it, or in a file beside it."""
    found: dict[str, dict[str, Any]] = {}
    for code, entry in listed.items():
        place = f"languages.{code}"
        if isinstance(entry, str):
            try:
                entry = _read(beside.parent / entry)
            except VocabularyError as error:
                problems += [f"{place}: {error.source} {problem}" for problem in error.problems]
                continue
        pack = fitting(entry, PACK, place, problems)
        problems += abbreviation_problems(
            f"{place}.abbreviations", pack.get("abbreviations", {}), spoken=True
        )
        problems += letter_problems(f"{place}.letters", pack.get("letters", {}))
        found[code] = pack
    return found


def _read(file: Path) -> dict[Any, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:  # ValueError: not UTF-8, or a name with a zero byte
        raise VocabularyError(str(file), [f"cannot be read as UTF-8 text ({type(exc).__name__})"]) from exc
    return _parse(text, str(file))


def _parse(text: str, source: str) -> dict[Any, Any]:
    try:
        data = parse_yaml(text)
    except (yaml.YAMLError, ValueError) as exc:  # ValueError: a date that does not exist
        raise VocabularyError(source, [f"is not YAML: {' '.join(str(exc).split())}"]) from exc
    if not isinstance(data, dict):
        raise VocabularyError(source, ["must be a mapping with `version`, `concepts`, …"])
    return data
