"""Checks a hospital's own maps of words to words: abbreviations, and letters that stand for a word.

A report is read with the words that an abbreviation stands for, so a wrong entry turns statements round
silently: YAML reads an unquoted `no` as False, and a full stop in a value parts the sentence.
"""

from __future__ import annotations

from model.findings.text.characters import plain
from model.findings.text.signs import with_signs
from model.findings.text.tokens import Shorthand, Token, expanded, tokens_of, words_of

UNQUOTED = "is not text: put it in quotation marks, as YAML reads no, on, yes and numbers in its own way"
_OTHER = "otherword"  # stands around a key when it is tried
_SPOKEN = frozenset((".", ","))  # a language pack may have signs dictated as words: {full stop: "."}


def abbreviation_problems(place: str, table: object, *, spoken: bool = False) -> list[str]:
    """Every problem of a table of abbreviations; spoken: whether a value may be a sign alone."""
    texts, problems = _texts(place, table)
    spelt: dict[str, str] = {}
    for key, value in texts.items():
        first = spelt.setdefault(key.lower(), key)
        if first != key:
            problems.append(f"{place}.{key}: is {first!r} in other capitals, which do not count: keep one")
        if not (spoken and value in _SPOKEN) and (wrong := _wrong_value(value)):
            problems.append(f"{place}.{key}: {value!r} {wrong}")
        elif not _is_found(key, value):
            problems.append(f"{place}.{key}: is never found in a text: write it in plain letters")
    return problems


def letter_problems(place: str, table: object) -> list[str]:
    """Every problem of a table of letters, which count as capitals or not as they are written here."""
    texts, problems = _texts(place, table)
    for key, value in texts.items():
        if len(key) != 1 or not key.isalpha():
            problems.append(f"{place}.{key}: must be one letter; longer ones belong to `abbreviations`")
        if words_of(value) != (value,) or not value.isalpha():
            problems.append(f"{place}.{key}: {value!r} must be one word in small letters")
    return problems


def _texts(place: str, table: object) -> tuple[dict[str, str], list[str]]:
    """The entries of a table whose two sides are text, and a problem for each of the others."""
    if not isinstance(table, dict):
        return {}, [f"{place}: must map words to words"]
    texts, problems = {}, []
    for key, value in table.items():
        if not isinstance(key, str) or not key.strip():
            problems.append(f"{place}: the key {key!r} {UNQUOTED}")
        elif not isinstance(value, str):
            problems.append(f"{place}.{key}: {value!r} {UNQUOTED}")
        else:
            texts[key] = value
    return texts, problems


def _wrong_value(value: str) -> str:
    words = words_of(value)
    if not any(_is_word(word) for word in words):
        return "has no words: name what the abbreviation stands for"
    if (
        all(_is_word(word) or word == "/" for word in words)
        and "\n" not in value
        and plain(value).text == value
    ):
        return ""
    return "has signs, which would part or turn round a sentence: write words only"


def _is_word(word: str) -> bool:
    return any(character.isalnum() for character in word)


def _is_found(key: str, value: str) -> bool:
    """Whether the key, written in the middle of a text, becomes exactly the value.

    Typographic characters of a text are made plain before it is looked up, some signs get another meaning,
    and what has no letters at all has no words.
    """

    def around(text: str) -> list[Token]:
        return tokens_of(f"{_OTHER} {text} {_OTHER}")

    found = around(plain(key).text)
    if any(token.word == "+" for token in found):
        found = with_signs(found, "no")
    read = [token.word for token in expanded(found, Shorthand([(key, value)]))]
    return any(_is_word(word) for word in words_of(key)) and read == [_OTHER, *words_of(value), _OTHER]
