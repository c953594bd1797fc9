"""Checks whether a language pack can be used; each problem is reported with its place in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from model.findings.lexicon import STATUSES, WORDS
from model.findings.text.headings import Kind
from model.findings.wording_check import wording_problems

_LISTS = (
    "not_negated",
    "ends",
    "new_statement",
    "exceptions",
    "body_openers",
    "bare_headings",
    "function_words",
    "endings",
)
_TABLES: Mapping[str, tuple[str, ...]] = {
    "states": ("normal", "clear", "enlarged", "widened", "borderline", "prominent", "engorged", "elevated",
               "blunted", "deviated", "fractured", "opacified"),
    "severity": ("mild", "moderate", "severe", "none"),
    "change": ("new", "increased", "decreased", "unchanged", "resolved"),
    "laterality": ("left", "right", "bilateral", "either"),
    "headings": get_args(Kind),
    "heading_words": get_args(Kind),
    "words": WORDS,
}  # fmt: skip
_MAPS = ("abbreviations", "letters")
_TERMS = ("concepts", "locations", "structures", "denials")
_KNOWN = {"language", "name", "version", "terms", "wording", *_LISTS, *_TABLES, *_MAPS, *STATUSES}


def pack_problems(code: str, data: Mapping[str, Any], concepts: Mapping[str, Any]) -> list[str]:
    """Every problem of a language pack; empty if it can be used. concepts: the vocabulary's."""
    return [f"languages.{code}.{problem}" for problem in _problems(data, concepts)]


def _problems(data: Mapping[str, Any], concepts: Mapping[str, Any]) -> Iterator[str]:
    for key in data:
        if key not in _KNOWN:
            yield f"{key}: is not a section of a language pack"
    for key in ("language", "name"):
        if not isinstance(data.get(key), str):
            yield f"{key}: must be text"
    for key in _LISTS:
        yield from _words(key, data.get(key, []))
    for key, allowed in _TABLES.items():
        yield from _table(key, data.get(key, {}), allowed)
    for status in STATUSES:
        yield from _table(status, data.get(status, {}), ("before", "after"))
    for key in _MAPS:
        table = data.get(key, {})
        if not isinstance(table, Mapping) or not all(isinstance(v, str) for v in table.values()):
            yield f"{key}: must map words to words"
    yield from _braces(data)
    yield from _terms(data.get("terms", {}), concepts)
    if "wording" in data:
        yield from wording_problems(data["wording"], concepts)


def _braces(data: Mapping[str, Any]) -> Iterator[str]:
    """Names in braces that are not lists of `words`."""
    listed = data.get("words", {}) if isinstance(data.get("words", {}), Mapping) else {}
    for section in (*STATUSES, "not_negated", "change", "severity", "states", "laterality"):
        for name in re.findall(r"\{([^{}]*)\}", repr(data.get(section, ""))):
            if "'" not in name and name not in listed:
                yield f"{section}: {{{name}}} is not a list of `words`"


def _table(path: str, table: object, allowed: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(table, Mapping):
        yield f"{path}: must be a mapping"
        return
    for key, words in table.items():
        if key not in allowed:
            yield f"{path}.{key}: is none of {', '.join(allowed)}"
        yield from _words(f"{path}.{key}", words)


def _terms(terms: object, concepts: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(terms, Mapping):
        yield "terms: must be a mapping"
        return
    owners: dict[str, str] = {}
    both = terms.get("both", [])  # one word that states two concepts: hydropneumothorax
    for key, entry in terms.get("concepts", {}).items():
        if key not in concepts:
            yield f"terms.concepts.{key}: is not a concept of the vocabulary"
        if not isinstance(entry, Mapping) or set(entry) - {"synonyms", "weak", "inverse"}:
            yield f"terms.concepts.{key}: must have `synonyms`, `weak` or `inverse`"
            continue
        for name, words in entry.items():
            yield from _words(f"terms.concepts.{key}.{name}", words)
            for word in words if isinstance(words, list) else ():
                owner = owners.setdefault(str(word).lower(), str(key))
                if owner != key and name == "synonyms" and word not in both:
                    yield f"terms.concepts.{key}: {word!r} already belongs to {owner}"
    for section in _TERMS[1:]:
        table = terms.get(section, {})
        for key, words in table.items() if isinstance(table, Mapping) else ():
            yield from _words(f"terms.{section}.{key}", words)
    for name in ("ignore", "both"):
        yield from _words(f"terms.{name}", terms.get(name, []))


def _words(path: str, words: object) -> Iterator[str]:
    if not isinstance(words, list):
        yield f"{path}: must be a list of words"
        return
    for word in words:
        if not isinstance(word, str | int | float) or isinstance(word, bool) or not str(word).strip():
            yield f"{path}: {word!r} is not text (quote it)"
