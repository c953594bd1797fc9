"""Checks whether the parts of a language pack fit together and to the vocabulary.

Each problem is reported with its place in the file. The data has the shape of `schema.PACK`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from model.findings.lexicon import STATUSES
from model.findings.wording_check import wording_problems

_OWNERS = {
    "concepts": "concepts",
    "locations": "locations",
    "structures": "structures",
    "denials": "concepts",
}


def pack_problems(code: str, data: Mapping[str, Any], vocabulary: Mapping[str, Any]) -> list[str]:
    """Every problem of a language pack; empty if it can be used. vocabulary: its data."""
    return [f"languages.{code}.{problem}" for problem in _problems(code, data, vocabulary)]


def _problems(code: str, data: Mapping[str, Any], vocabulary: Mapping[str, Any]) -> Iterator[str]:
    if data["language"] != code:
        yield f"language: must be {code!r} like the key under which the pack stands"
    yield from _braces(data)
    for section, owners in _OWNERS.items():
        for key in data.get("terms", {}).get(section, {}):
            if key not in vocabulary.get(owners, {}):
                yield f"terms.{section}.{key}: is none of the {owners} of the vocabulary"
    if "wording" in data:
        yield from wording_problems(data["wording"], vocabulary.get("concepts", {}))


def _braces(data: Mapping[str, Any]) -> Iterator[str]:
    """Names in braces that are not lists of `words`, and lists of words that have such names themselves."""
    listed = data.get("words", {})
    for section in (*STATUSES, "not_negated", "change", "severity", "states", "laterality"):
        for name in re.findall(r"\{([^{}]*)\}", repr(data.get(section, ""))):
            if "'" not in name and name not in listed:
                yield f"{section}: {{{name}}} is not a list of `words`"
    for key, words in listed.items():
        if any("{" in word for word in words):
            yield f"words.{key}: a word of a list has no braces: write it out"
