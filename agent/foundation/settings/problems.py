"""Problems of the settings, in words: where, what is wrong, and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from agent.foundation.settings.shape import Place, field_at, section_at, shown_place

# Pydantic's kinds of problems, in the words of a person who edits a file.
_WORDS = {
    "string_type": "this must be text; put the value in quotes",
    "int_parsing": "this must be a whole number",
    "int_type": "this must be a whole number",
    "int_from_float": "this must be a whole number",
    "float_parsing": "this must be a number",
    "float_type": "this must be a number",
    "finite_number": "this must be a finite number",
    "bool_parsing": "this must be true or false",
    "bool_type": "this must be true or false",
    "tuple_type": "this must be a list: [one, two], or one line `- one` for each",
    "dict_type": "this must be a section of `key: value` lines",
    "model_type": "this must be a section of `key: value` lines",
    "model_attributes_type": "this must be a section of `key: value` lines",
    "path_type": "this must be a path",
    "invalid_key": "a key must be text; put it in quotes",
}


def lines_of(
    found: Iterable[Mapping[str, Any]], root: type[BaseModel], lines: Mapping[Place, int]
) -> list[str]:
    """Return pydantic's problems (`ValidationError.errors()`) as lines, in the order of the file.

    lines: the line of each place in the file; a place that has none came from the environment.
    """
    described = [(_line(one["loc"], lines), _described(one, root, lines)) for one in found]
    return [text for _line_number, text in sorted(described, key=lambda pair: pair[0] or 0)]


def unknown_key(place: Place, root: type[BaseModel], line: int | None) -> str:
    """Return the text about an unknown key."""
    section = section_at(root, place[:-1])
    keys = [] if section is None else list(section.model_fields)
    return f"{_where(place, line)}: there is no such key; {suggestion(str(place[-1]), keys)}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "did you mean X?" if a known name is similar, otherwise all known names."""
    names = list(known)
    near = get_close_matches(word.lower(), names, 1, 0.6) or get_close_matches(
        word.lower().replace("_", ""), names, 1, 0.5
    )
    if near:
        return f"did you mean `{near[0]}`?"
    return f"remove it, or take one of {', '.join(sorted(names))}" if names else "remove it"


def _described(problem: Mapping[str, Any], root: type[BaseModel], lines: Mapping[Place, int]) -> str:
    place, kind = tuple(problem["loc"]), str(problem["type"])
    line = _line(place, lines)
    if kind == "extra_forbidden":
        return unknown_key(place, root, line)
    field = field_at(root, place)
    about = "" if field is None or not field.description else f" [{field.description}]"
    where = _where(place, line)
    if kind == "missing":
        return f"{where}: this key is needed; add it{about}"
    words = str(problem["msg"]).removeprefix("Value error, ")
    if kind == "literal_error":
        allowed = str(problem.get("ctx", {}).get("expected", ""))
        value, names = (
            problem.get("input"),
            [one.strip("' ") for one in allowed.replace(" or ", ",").split(",")],
        )
        words = f"this must be one of {allowed}"
        near = get_close_matches(value.lower(), names, 1, 0.6) if isinstance(value, str) else []
        words += f"; did you mean `{near[0]}`?" if near else ""
    return f"{where}: {_WORDS.get(kind, words)}{about}"


def _line(place: Place, lines: Mapping[Place, int]) -> int | None:
    """Return the line of a place, or of the innermost enclosing place that is in the file."""
    at = tuple(place)
    while at and at not in lines:
        at = at[:-1]
    return lines.get(at) if at else None


def _where(place: Place, line: int | None) -> str:
    name = shown_place(place) or "the file"
    return name if line is None else f"{name} (line {line})"
