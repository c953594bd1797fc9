"""Each word and each code has one owner: a concept, a part of the body, a place.

A word of two concepts would give whichever comes first, or both, in every report that has it. A few shipped
words do state two (hydropneumothorax); those owners may name them again.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence, Set
from typing import Any

from model.findings.text.tokens import words_of
from model.findings.variants import variants

Words = Mapping[str, Sequence[str]]  # key -> the words that name it
Forms = Callable[[str], Sequence[str]]
_SECTIONS = ("concepts", "structures", "locations")


def owned_elsewhere(base: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """A problem for each word and code that a hospital gives to one owner while another one has it."""
    problems: list[str] = []
    for section in _SECTIONS:
        known = base.get(section, {})
        problems += _owned(
            section, _words(section, known), _words(section, own.get(section, {}), known), _forms
        )
    return problems + list(_owned_codes(base.get("concepts", {}), own.get("concepts", {})))


def pack_words_owned_elsewhere(
    code: str, base: Mapping[str, Any], own: Mapping[str, Any], vocabulary: Mapping[str, Any]
) -> list[str]:
    """The same for the terms of a language pack; an English pack also shares the vocabulary's own words.

    base, own: the shipped pack and a hospital's. Its list `both` names words that may have two owners.
    """
    ours = own.get("terms", {})
    if not ours:
        return []
    forms = _forms if code == "en" else _as_written
    listed = (word for terms in (base.get("terms", {}), ours) for word in terms.get("both", ()))
    both = {form for word in listed for form in forms(word)}
    problems: list[str] = []
    for section in _SECTIONS:
        known: dict[str, list[str]] = {}
        tables = [_pack_words(base.get("terms", {}).get(section, {}))]
        if code == "en":
            tables.append(_words(section, vocabulary.get(section, {})))
        for table in tables:
            for key, words in table.items():
                known[key] = [*known.get(key, ()), *words]
        added = _pack_words(ours.get(section, {}))
        place = f"languages.{code}.terms.{section}"
        problems += _owned(place, known, added, forms, both)
    return problems


def _owned(place: str, base: Words, own: Words, forms: Forms, both: Set[str] = frozenset()) -> Iterator[str]:
    if not own:
        return
    first = _owners(base, forms)
    owners = _owners(own, forms)
    for form, keys in first.items():
        owners.setdefault(form, set()).update(keys)
    for key, words in own.items():
        for word in dict.fromkeys(words):
            for form in forms(word):
                others = sorted(owners[form] - {key})
                if others and key not in first.get(form, ()) and form not in both:
                    yield f"{place}.{key}: {form!r} already belongs to {', '.join(others)}: leave it out here"
                    break


def _owners(table: Words, forms: Forms) -> dict[str, set[str]]:
    owners: dict[str, set[str]] = {}
    for key, words in table.items():
        for form in (form for word in words for form in forms(word)):
            owners.setdefault(form, set()).add(key)
    return owners


def _words(section: str, table: Mapping[str, Any], known: Container[str] = ()) -> Words:
    """The words of each entry; a concept without a name is named by its key, unless it is `known`."""
    found = {}
    for key, entry in table.items():
        unnamed = [key.replace("_", " ")] if section == "concepts" and key not in known else []
        names = [entry["name"]] if "name" in entry else unnamed
        listed = ("synonyms", "weak", "inverse", "terms")
        found[key] = [*names, *(word for name in listed for word in entry.get(name, ()))]
    return found


def _pack_words(table: Mapping[str, Any]) -> Words:
    return {
        key: [word for words in entry.values() for word in words] if isinstance(entry, Mapping) else entry
        for key, entry in table.items()
    }


def _forms(word: str) -> Sequence[str]:
    return tuple(form for variant in variants(word) for form in _as_written(variant))


def _as_written(word: str) -> Sequence[str]:
    """The form in which a text is searched: "Pleural-effusion" is "pleural effusion"; none without words."""
    words = words_of(word.lower())
    return (" ".join(words),) if words else ()


def _owned_codes(base: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[str]:
    ours = {key: entry for key, entry in own.items() if "code" in entry}
    codes = {key: tuple(entry["code"][:2]) for key, entry in {**base, **ours}.items()}
    for key in ours:
        others = ", ".join(other for other, code in codes.items() if other != key and code == codes[key])
        if others:
            yield f"concepts.{key}.code: {' '.join(codes[key])} is the code of {others}: give another"
