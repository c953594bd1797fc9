"""Generates configurations with one mistake each: every setting, every kind of mistake."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_args

import yaml
from pydantic import BaseModel

from agent.foundation.settings.shape import model_of
from agent.foundation.settings.tree import Settings

# A configuration with every section, so that every setting can be broken.
WHOLE: dict[str, Any] = {
    "archive": {"host": "pacs.example"},
    "destinations": [{"name": "pacs", "host": "pacs.example", "tls": {}}],
    "listener": {"allow": [{"ae_title": "A", "address": "192.0.2.1"}]},
    "eligibility": [{"name": "all", "decision": "accept"}],
    "urgency": [{"name": "p", "concept": ["pneumothorax"], "level": "urgent", "priority": 9}],
    "web": {"oidc": {"issuer": "https://id.example", "client_id": "a", "roles": {"a": "admin"}}},
}
# Wrong for every setting: each is tried on every fifth.
NEVER: tuple[Any, ...] = ({"a": {"b": 1}}, [[1]], "a\x00b", "\ud800", float("nan"))
# Wrong for some settings, valid for others.
ODD: tuple[Any, ...] = (
    "", " ", "-1", "\xe4" * 300, "http://x:99999/", "../../..", "%s%n", "'; DROP TABLE", 1e300, -1, 0,
)  # fmt: skip
# Files that break YAML or its reader.
FILES = (
    b"listener: [", b"- a list", b"just words", b"\xff\xfe\x00", b"a: &x [*x]", b"listener: *none",
    b"a: !!python/object/apply:os.system [ls]", b"listener: {port: 1}\nlistener: {port: 2}", b"listener: 5",
    b"log: {level: 2026-02-31}", b"\tlistener: {}", b"listener:\n\tport: 1", b"? [a, b]\n: c", b"1: 2",
    b"null: 1", b"_env_file: /etc/passwd", b"_cli_parse_args: true", b"listener: {port: 0x}",
    b"a" * 2_000_000,
    b"listener: {port: !!int x}", b"database: {url: !!binary x}", b"%YAML 9.9\n---\na: 1", b"a: 1\n---\nb: 2",
    b"{" * 5000, b"listener: {<<: 5}", b"listener: {port: 1_0__, host: }", b"\x00", b"listener: \x07",
    b"studies: {quiet_time_s: 1e999}", b"studies: {quiet_time_s: -.inf}", b"model: {checkpoint: ~/..}: 1",
)  # fmt: skip


def broken() -> Iterator[tuple[str, bytes, bool]]:
    """Yield a name, a file's content, and whether it must be refused."""
    for content in FILES:
        yield repr(content[:40]), content, True
    for number, (place, annotation) in enumerate(_settings(Settings, ())):
        never, odd = NEVER[number % len(NEVER)], ODD[number % len(ODD)]
        if number % 2:
            yield f"{place} = {never!r}", _with(place, never), True
        for value in _of_another_type(annotation, number):
            yield f"{place} = {value!r}", _with(place, value), True
        misspelt = (*place[:-1], f"{place[-1]}x")
        if number % 2 == 0:
            yield f"{misspelt}", _with(misspelt, 1), True
            continue
        yield f"{place} = {odd!r}", _with(place, odd), False


def _settings(model: type[BaseModel], place: tuple[str | int, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for key, field in model.model_fields.items():
        inner = model_of(field.annotation)
        many = "tuple" in str(field.annotation)
        if inner is None:
            yield (*place, key), field.annotation
        else:
            yield from _settings(inner, (*place, key, 0) if many else (*place, key))


def _of_another_type(annotation: Any, number: int) -> Iterator[Any]:
    kinds = {annotation, *get_args(annotation)}
    if kinds & {int, float} and bool not in kinds:
        yield (True, "many", [1])[number % 3]
    elif bool in kinds:
        yield ("perhaps", 7)[number % 2]
    elif str in kinds and "tuple" not in str(annotation):
        yield (7, True, ["a"])[number % 3]


def _with(place: tuple[Any, ...], value: Any) -> bytes:
    tree: Any = copy.deepcopy(WHOLE)
    at = tree
    for part, following in pairwise(place):
        if isinstance(part, int):
            while len(at) <= part:
                at.append({})
            at = at[part]
        else:
            at = at.setdefault(part, [] if isinstance(following, int) else {})
    at[place[-1]] = value
    return yaml.dump(tree, allow_unicode=False).encode("utf-8", "backslashreplace")
