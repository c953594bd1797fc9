"""Normalises a report's characters, keeping the position of each in the original text.

Reports come out of HL7 messages, web pages and word processors: with escapes and tags for line ends,
typographic quotation marks, full-width letters, ligatures, letters of other scripts that look like
Latin ones, and invisible characters. They are normalised before anything is read. Evidence still refers to
the original text: the origin of every normalised character is kept.

Source: HL7 v2 chapter 2.7 (escape sequences); Unicode Standard Annex 15 (NFKC), Technical Standard 39
(confusable characters).
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

# Passages that need normalising: tags, entities, escapes of HL7 and of doubly encoded text, marked letters.
_SPECIAL = re.compile(
    r"</?(?:br|p|div|li|ul|ol|tr|table|h[1-6]|hr)\b[^<>\n]{0,80}>"
    r"|</?[a-zA-Z][a-zA-Z0-9]{0,9}(?:\s[^<>\n]{0,80})?/?>"
    r"|&(?:[a-zA-Z]{2,8}|\#\d{1,6}|\#x[0-9a-fA-F]{1,5});"
    r"|\\\.(?:br|sp|fi|nf|in|ti|sk|ce)[ +\d-]{0,5}\\|\\X[0-9A-Fa-f]{2,8}\\|\\[HNFSTRE]\\"
    r"|\\u[0-9a-fA-F]{4}|\\[nrt](?![a-z]?\\)|_x000[dD]_|\r\n?"
    r"|[A-Za-z][\u0300-\u036f]{1,4}|[^\x00-\x7f]|[\x00-\x08\x0b-\x1f\x7f]"
)
# Characters that every special passage contains: a text without any of these is plain.
_SUSPECT = re.compile(r"[<&\\_\x00-\x08\x0b-\x1f\x7f-\U0010ffff]")
_HL7 = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "H": "", "N": ""}
_PLAIN = {
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u02bc": "'", "\u0060": "'", "\u00b4": "'",
    "\u2032": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u201f": '"', "\u00ab": '"', "\u00bb": '"',
    "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": " - ", "\u2015": " - ",
    "\u2212": "-", "\ufe63": "-", "\u2028": "\n", "\u2029": "\n", "\u0085": "\n", "\x0b": "\n", "\x0c": "\n",
    "\u3002": ".\n", "\uff0e": ".", "\uff61": ".\n", "\u2026": "...", "\u00a0": " ",
    "\u3000": " ", "\u00d7": "x", "\u2215": "/", "\u2044": "/", "\uff5e": "~",
}  # fmt: skip
# Letters of Greek and Cyrillic that look like Latin ones, for words that mix the scripts.
_LOOKALIKES = str.maketrans(
    "АВЕКМНОРСТХаеорсухіјѕԁΑΒΕΖΗΙΚΜΝΟΡΤΥΧοντ", "ABEKMHOPCTXaeopcyxijsdABEZHIKMNOPTYXovt"
)
_MIXED = re.compile(r"(?=[^\W\d_]{0,30}[A-Za-z])[^\W\d_]{0,30}[\u0370-\u052f][^\W\d_]{0,30}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """`text` as it is read; `text[i]` came from `original[starts[i]:ends[i]]`; identical to it if nothing
    changed.
    """

    text: str
    original: str
    starts: tuple[int, ...] | None = None  # None: no character has moved
    ends: tuple[int, ...] | None = None

    def passage(self, start: int, end: int) -> tuple[int, int]:
        """The places [start, end) of the plain text as places of the original."""
        if self.starts is None or self.ends is None:
            return start, end
        if start >= end:
            place = self.starts[start] if start < len(self.starts) else len(self.original)
            return place, place
        return self.starts[start], self.ends[end - 1]


def plain(original: str) -> Plain:
    """The text with plain characters. Linear in its length; any string is taken."""
    if _SUSPECT.search(original) is None or _SPECIAL.search(original) is None:
        return Plain(text=original, original=original)
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for match in _SPECIAL.finditer(original):
        at, end = match.span()
        pieces.append(original[done:at])
        starts += range(done, at)
        ends += range(done + 1, at + 1)
        new = _replacement(match[0])
        pieces.append(new)
        starts += [at] * len(new)
        ends += [end] * len(new)
        done = end
    pieces.append(original[done:])
    starts += range(done, len(original))
    ends += range(done + 1, len(original) + 1)
    text = _MIXED.sub(lambda word: word[0].translate(_LOOKALIKES), "".join(pieces))
    return Plain(text=text, original=original, starts=tuple(starts), ends=tuple(ends))


def _replacement(found: str) -> str:
    if found.startswith("<"):
        return "\n" if re.match(r"</?(?:br|p|div|li|ul|ol|tr|table|h[1-6]|hr)\b", found, re.I) else ""
    if found.startswith("&"):
        return "".join(_character(c) if ord(c) > 127 else c for c in html.unescape(found))
    if found.startswith("\\"):
        return _unescaped(found)
    if found in ("\r\n", "\r") or found.startswith("_x000"):
        return "\n"
    if len(found) > 1:  # a letter with combining marks
        return unicodedata.normalize("NFC", found)
    return _character(found)


def _unescaped(found: str) -> str:
    if found.startswith("\\."):
        return "\n"
    if found.endswith("\\") and len(found) == 3:
        return _HL7[found[1]]
    if found.startswith("\\X"):
        return "\n" if {"0D", "0A"} & {found[i : i + 2].upper() for i in range(2, len(found) - 1, 2)} else " "
    if found.startswith("\\u"):
        return _character(chr(int(found[2:], 16)))
    return " " if found == "\\t" else "\n"


def _character(character: str) -> str:
    """One character normalised: none for an invisible one, several for a ligature."""
    if character in _PLAIN:
        return _PLAIN[character]
    category = unicodedata.category(character)
    if category in ("Cf", "Cc", "Cs", "Co", "Cn", "Mn", "Me"):
        return "\n" if character == "\n" else " " if category == "Cs" else ""
    if category == "Zs":
        return " "
    folded = unicodedata.normalize("NFKC", character)
    return "".join(_PLAIN.get(one, one) for one in folded)
