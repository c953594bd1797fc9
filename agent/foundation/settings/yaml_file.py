"""A configuration file: its values and their lines, and the mistakes that YAML itself would accept."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from agent.foundation.errors import SettingsError
from agent.foundation.settings.shape import Place, shown_place

LARGEST_BYTES = 1_000_000
# No setting is nested deeper; an alias may point to its own parent.
_DEEPEST = 12
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without dates: no setting is a date, and 2026-02-31 would raise a Python error."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlFile:
    """What a file says; `lines` has the line (from 1) of each place, `twice` the keys that occur twice."""

    values: Mapping[Hashable, Any]
    lines: Mapping[Place, int]
    twice: tuple[str, ...]


def read_yaml(path: Path) -> YamlFile:
    """Read a configuration file.

    Raises:
        SettingsError: it cannot be read, is not UTF-8, is not valid YAML, or holds no sections.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, _Loader)
        values = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {_problem(error)}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError) as error:
        what = "it holds a character or a value that YAML does not allow"
        where = f" near character {error.position}" if isinstance(error, yaml.reader.ReaderError) else ""
        raise SettingsError(f"{path} is not valid YAML: {what}{where}") from None
    if values is None:
        return YamlFile(values={}, lines={}, twice=())
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold sections such as 'listener:' at its top level")
    lines: dict[Place, int] = {}
    twice = () if node is None else tuple(_walk(node, (), lines))
    return YamlFile(values=values, lines=lines, twice=twice)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise SettingsError(f"{path} is not UTF-8 text: save it as UTF-8") from None
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else "the path is malformed"
        raise SettingsError(f"{path} cannot be read: {why}") from error
    if len(content) > LARGEST_BYTES:
        raise SettingsError(f"{path} is larger than any configuration: is it the right file?")
    return text


def _problem(error: yaml.MarkedYAMLError) -> str:
    """Return what is wrong and where, without the line itself: it may hold a password."""
    mark = error.problem_mark or error.context_mark
    where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
    return f"{where}{error.problem or error.context or 'it cannot be read'}"


def _walk(node: Node, place: Place, lines: dict[Place, int]) -> Iterator[str]:
    """Fill `lines`, and yield each key that occurs twice in a mapping: YAML would silently take the last."""
    if len(place) > _DEEPEST:
        return
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, SequenceNode):
        for number, one in enumerate(node.value):
            yield from _walk(one, (*place, number), lines)
    elif isinstance(node, MappingNode):
        seen: dict[str, int] = {}
        for key, one in node.value:
            if not isinstance(key, ScalarNode):
                continue
            line = key.start_mark.line + 1
            where = (*place, key.value)
            if key.value in seen:
                yield (
                    f"{shown_place(where)} (line {line}): the key is already in line {seen[key.value]}; "
                    "join the two, or remove one"
                )
            seen.setdefault(key.value, line)
            lines[where] = line
            yield from _walk(one, where, lines)
