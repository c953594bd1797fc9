"""Reads text with an undeclared character set: every reading that fits the bytes, the likeliest first. Pure.

DICOM's default repertoire is ASCII (PS3.5 6.1.2.1); devices still write their own code page without declaring
it. UTF-8 is recognised with near certainty. The other code pages are compared by how well their readings look
like words: frequent letters of one script, upper case at the beginning of words, no symbols inside words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from dicom_sr import common_letters as common

_UTF8, _LAST = "utf_8", "latin_1"
# Scores by character; those of an alphabet's letters lie between _FREQUENT and _RARE.
_FREQUENT, _RARE, _FOREIGN, _NO_LETTER = 1.5, -0.5, -1.0, -2.5
# The same for characters of two bytes: listed ones, kana, those in the rows that hold a standard's everyday
# characters, and others.
_WELL_KNOWN, _KANA, _EVERYDAY, _UNUSUAL, _HALFWIDTH = 3.0, 2.0, 0.2, -2.5, 0.6
# Letters of two scripts side by side (of the same shape: _ALIKE), a capital inside a word, and three vowels
# or three consonants in a row.
_MIXED, _ALIKE, _CAPITAL_WITHIN, _UNPRONOUNCEABLE = -2.5, -0.7, -1.5, -0.8
_AMONG_LATIN = -1.5
_VOWELS = frozenset("aeiouyøæœıØÆ")
# Latin letters that people type for Cyrillic and Greek ones of the same shape.
_LOOKALIKES = frozenset("aceopxyiABCEHIKMOPTXYZN")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """A code page. letters: score by letter. everyday: first bytes of its everyday characters, if it has
    characters of two bytes."""

    encoding: str
    letters: dict[str, float]
    everyday: range | None = None


def _alphabet(letters: str, *encodings: str) -> tuple[_Page, ...]:
    step = (_FREQUENT - _RARE) / len(letters)
    scores = {letter: _FREQUENT - place * step for place, letter in enumerate(letters)}
    return tuple(_Page(encoding=one, letters=scores) for one in encodings)


def _characters(letters: str, encoding: str, everyday: range) -> _Page:
    return _Page(encoding=encoding, letters=dict.fromkeys(letters, _WELL_KNOWN), everyday=everyday)


_PAGES = (
    *_alphabet(common.WESTERN, "cp1252"),
    *_alphabet(common.CENTRAL, "cp1250", "iso8859_2"),
    *_alphabet(common.TURKISH, "cp1254"),
    *_alphabet(common.CYRILLIC, "cp1251", "iso8859_5", "koi8_r"),
    *_alphabet(common.GREEK, "iso8859_7", "cp1253"),
    *_alphabet(common.HEBREW, "iso8859_8", "cp1255"),
    *_alphabet(common.ARABIC, "cp1256", "iso8859_6"),
    *_alphabet(common.THAI, "tis_620"),
    _characters(common.HAN_JAPANESE + common.KANA, "cp932", range(0x88, 0x98)),
    _characters(common.HAN_SIMPLIFIED, "gb18030", range(0xB0, 0xD8)),
    _characters(common.HANGUL, "cp949", range(0xB0, 0xC9)),
    _characters(common.HAN_TRADITIONAL, "big5", range(0xA4, 0xC7)),
)


def readings(raw: bytes) -> Iterator[tuple[str, str]]:
    """Yield (encoding, text) for each code page that the bytes are valid in; ASCII bytes have one reading."""
    for encoding in _ordered((raw,)):
        yield encoding, raw.decode(encoding)


def likeliest(raw: bytes) -> tuple[str, str]:
    """Return the first of `readings`."""
    return next(readings(raw))


def common_encoding(values: Iterable[bytes]) -> str:
    """Return the code page in which the texts of one image, taken together, read best.

    Empty if all of them are ASCII or UTF-8.
    """
    foreign = tuple(value for value in dict.fromkeys(values) if _decoded(value, _UTF8) is None)
    return _ordered(foreign)[0] if foreign else ""


def read_as(raw: bytes, encoding: str) -> tuple[str, str]:
    """Return (encoding, text): as UTF-8 if it is valid, else in the image's code page, else judged by
    itself.
    """
    for candidate in ("ascii", _UTF8, encoding):
        if candidate and (text := _decoded(raw, candidate)) is not None:
            return candidate, text
    return likeliest(raw)


@lru_cache(maxsize=1024)
def _ordered(values: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return the encodings that all values are valid in, the likeliest first; Latin-1 fits any."""
    if all(value.isascii() for value in values):
        return ("ascii",)
    # If two code pages give the same text, the more common one is named.
    found: dict[tuple[str | None, ...], tuple[float, str]] = {}
    for page in _PAGES:
        texts = tuple(_decoded(value, page.encoding) for value in values)
        if None in texts:
            continue
        score = sum(_score(page, text, raw) for text, raw in zip(texts, values, strict=True) if text)
        before = found.get(texts, (score, page.encoding))
        found[texts] = (max(score, before[0]), before[1])
    ordered = tuple(encoding for _sum, encoding in sorted(found.values(), key=lambda one: -one[0]))
    utf8 = all(_decoded(value, _UTF8) is not None for value in values)
    return (*((_UTF8,) if utf8 else ()), *ordered, _LAST)


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except (LookupError, UnicodeDecodeError):
        return None


def _score(page: _Page, text: str, raw: bytes) -> float:
    """Return how much a text looks like words: a sum over its letters beyond ASCII and their neighbours."""
    total, at = _AMONG_LATIN if _is_foreign_among_latin(page, text) else 0.0, 0
    for place, letter in enumerate(text):
        if ord(letter) > 0x7F:
            total += _of_letter(page, letter, raw[at])
        total += _of_neighbours(text[place - 1] if place else " ", letter, text[place + 1 : place + 2])
        at += 1 if page.everyday is None else len(letter.encode(page.encoding))
    return total


def _is_foreign_among_latin(page: _Page, text: str) -> bool:
    """Whether a Latin text contains a few letters of another alphabet."""
    letters = [letter for letter in text if letter.isalpha()]
    beyond = [letter for letter in letters if not letter.isascii()]
    alphabet = page.everyday is None and any(_script(letter) != "latin" for letter in beyond)
    return alphabet and 2 * len(beyond) < len(letters)


def _of_letter(page: _Page, letter: str, first: int) -> float:
    if letter in page.letters:
        return page.letters[letter]
    category = unicodedata.category(letter)[0]
    if page.everyday is None:
        if category not in "LM":
            return 0.0 if letter in "\xa0·ºª" else _NO_LETTER
        return page.letters.get(letter.lower(), _FOREIGN)
    if "\uff61" <= letter <= "\uff9f":
        known = unicodedata.normalize("NFKC", letter) in page.letters or letter in "\uff9e\uff9f\uff70"
        return _HALFWIDTH if known else 0.0
    if "\u3041" <= letter <= "\u30ff" and letter != "・":
        return _KANA
    if category != "L":
        return 0.0 if letter in "\u3000・" else _UNUSUAL
    return _EVERYDAY if first in page.everyday else _UNUSUAL


def _of_neighbours(before: str, letter: str, after: str) -> float:
    if not before.isalpha() or not letter.isalpha() or (before.isascii() and letter.isascii()):
        return 0.0
    scripts = {_script(before), _script(letter)}
    if len(scripts) == 2:
        return _ALIKE if {before, letter} & _LOOKALIKES and scripts & {"cyrillic", "greek"} else _MIXED
    total = _CAPITAL_WITHIN if letter.isupper() and before.islower() else 0.0
    if scripts == {"latin"} and not letter.isascii() and after.isalpha():
        total += _UNPRONOUNCEABLE * (_is_vowel(before) == _is_vowel(letter) == _is_vowel(after))
    return total


def _is_vowel(letter: str) -> bool:
    return letter in _VOWELS or unicodedata.normalize("NFD", letter)[0].lower() in _VOWELS


@lru_cache(maxsize=2048)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "")
    if "HALFWIDTH" in name:
        return "halfwidth"
    first = name.split(" ")[0].lower()
    return "east" if first in ("cjk", "hiragana", "katakana", "katakana-hiragana") else first
