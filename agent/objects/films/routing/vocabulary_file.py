"""Reads a vocabulary's YAML file, and says what is wrong with one that a site has written.

Only lists hold words. A text in place of a list would be read letter by letter, and each letter would then
name a region: a series that is called "L" would be a chest film.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from agent.foundation.errors import SettingsError
from agent.objects.films.routing.words import words_of
from model.yaml_once import parse_yaml

VERSION = 1
# What may stand at a place: a mapping with these keys, or a list of words (None).
Shape = Mapping[str, Any] | None
_ANY = "*"  # in a shape: every key is allowed, because only people read it


def parsed(path: Path, shipped: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the sections of a vocabulary.

    shipped: the built-in vocabulary, whose keys are the only ones with a meaning; None to read itself.

    Raises:
        SettingsError: the file is missing or not YAML, or a line for each place that is wrong.
    """
    try:
        loaded = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"`routing.vocabulary`: {path} cannot be read") from error
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise SettingsError(f"`routing.vocabulary`: {path} is not valid YAML: {problem}") from error
    if shipped is not None and (found := list(problems_of_file(loaded, shipped))):
        listed = "".join(f"\n  {one}" for one in found) if len(found) > 1 else f" {found[0]}"
        raise SettingsError(f"`routing.vocabulary`: {path}:{listed}")
    return dict(loaded)


def problems_of_file(loaded: Any, shipped: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a vocabulary: each place with what to do."""
    if not isinstance(loaded, dict):
        yield "it must hold sections such as `regions:`"
        return
    if loaded.get("version") != VERSION:
        yield f"it must say `version: {VERSION}`"
    sections = {key: inner for key, inner in loaded.items() if key != "version"}
    yield from _problems(sections, shape_of(shipped), "")


def problems_of_words(listed: Any, place: str) -> Iterator[str]:
    """Yield what is wrong with a list of words."""
    if not isinstance(listed, list | tuple):
        yield f"{place} must be a list: put its words in [square brackets]"
        return
    for word in listed:
        if isinstance(word, list | dict):
            yield f"{place} must hold words only, not a list or keys inside the list"
        elif not isinstance(word, str):
            yield f"{place} must hold words only: put quotation marks around {word!r}"
        elif not words_of(word):
            yield f"{place} has an entry without a letter: take out {word!r}"


def shape_of(shipped: Mapping[str, Any]) -> dict[str, Any]:
    """Return the places in which a vocabulary may hold words."""
    views = shipped["views"]
    regions = sorted({region for listed in shipped["regions"].values() for region in listed})
    return {
        "regions": {_ANY: dict.fromkeys(regions)},
        "views": {
            "frontal": dict.fromkeys(views["frontal"]),
            "lateral": None,
            "special": dict.fromkeys(views["special"]),
        },
        "copies": dict.fromkeys(shipped["copies"]),
        **dict.fromkeys(("nothing", "asides", "neutral")),
    }


def _problems(tree: Any, shape: Shape, place: str) -> Iterator[str]:
    if shape is None:
        yield from problems_of_words(tree, place)
        return
    keys = "a name of your own" if _ANY in shape else ", ".join(shape)
    if not isinstance(tree, dict):
        yield f"{place} must hold keys with lists of words; the keys are: {keys}"
        return
    for key, inner in tree.items():
        where = f"{place}.{key}" if place else str(key)
        if _ANY in shape:
            yield from _problems(inner, shape[_ANY], where)
        elif key in shape:
            yield from _problems(inner, shape[key], where)
        else:
            yield f"there is no {where}; in its place may be: {keys}"
