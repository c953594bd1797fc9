"""Normalisation of free text to comparable words. Pure.

NFKC, case, accents, ligatures and punctuation are folded: "TÓRAX_p.a." and "Torax P-A" are the same words.
Letters, digits and scripts are separated; a run of Han, kana, Hangul or Thai stays one word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Letters without a Unicode decomposition.
_LETTERS = str.maketrans(
    {
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "ł": "l",
        "ı": "i",
        "æ": "ae",
        "œ": "oe",
        "ß": "ss",
        "ñ": "n",
        "ة": "ه",
        "ى": "ي",
    }
    | {"ك": "ك", "ی": "ي", "ک": "ك", "־": " ", "׳": "", "״": "", "ʼ": "", "'": "", '"': "", "’": "", "`": ""}
)
# "P→A" and "P->A" are read as "P to A".
_ARROW = re.compile(r"[→⇒➔➡]|[-=]+>|(?<=[A-Za-z])\s?>\s?(?=[A-Za-z])")
# A trailing one stands for any ending, in vocabularies only.
WILDCARD = "*"


@lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text, folded, in order; empty for a text of punctuation only."""
    found: list[str] = []
    before = ""
    for character in _folded(text):
        if character == WILDCARD:
            if before:
                found[-1] += WILDCARD
            before = ""
            continue
        kind = _kind(character)
        if kind and kind == before:
            found[-1] += character
        elif kind:
            found.append(character)
        before = kind
    return tuple(_without_article(word) for word in found)


def is_unspaced(word: str) -> bool:
    """Whether a word is of a script that is written without spaces (Han, kana, Hangul, Thai)."""
    return bool(word) and _kind(word[0]) == "unspaced"


def _folded(text: str) -> str:
    lowered = _ARROW.sub(" to ", unicodedata.normalize("NFKC", text)).casefold().translate(_LETTERS)
    parts = unicodedata.normalize("NFD", lowered)
    # Hangul is recomposed; kana keep their voicing marks, which are not accents.
    plain = "".join(one for one in parts if unicodedata.category(one) != "Mn" or one in "\u3099\u309a")
    return unicodedata.normalize("NFC", plain).translate(_LETTERS)


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    if character.isdigit():
        return "digits"
    if not character.isalpha():
        return ""
    number = ord(character)
    if (
        0x0E00 <= number <= 0x0E7F
        or 0x2E80 <= number <= 0x9FFF
        or 0xAC00 <= number <= 0xD7AF
        or 0xF900 <= number <= 0xFAFF
    ):
        return "unspaced"
    for name, first, last in _SCRIPTS:
        if first <= number <= last:
            return name
    return "letters"


_SCRIPTS = (
    ("greek", 0x0370, 0x03FF),
    ("cyrillic", 0x0400, 0x052F),
    ("hebrew", 0x0590, 0x05FF),
    ("arabic", 0x0600, 0x06FF),
)
_ARABIC_PREFIXES = ("وال", "بال", "لل", "ال", "و")


def _without_article(word: str) -> str:
    """Arabic and Hebrew write the article and "and" as part of the word."""
    kind = _kind(word[0])
    if kind == "arabic":
        for prefix in _ARABIC_PREFIXES:
            if word.startswith(prefix) and len(word) - len(prefix) >= 3:
                return word[len(prefix) :]
    if kind == "hebrew" and word[0] in "הוב" and len(word) >= 4:
        return word[1:]
    return word
