"""Characters of HL7 v2: delimiters, escape sequences, and the character set that MSH-18 names. Pure.

Source: HL7 v2.5.1 chapter 2, sections 2.5.4, 2.7 and table 0211.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.messages.hl7.iso2022 import ESCAPE, decode_switched, switches, written_as_bytes

# Codecs by the value of MSH-18, in upper case and without spaces, hyphens and slashes. Of several sets, the
# first is used where there is no escape sequence.
_CODECS = {
    "ASCII": "ascii",
    "UNICODEUTF8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "GB180302000": "gb18030",
    "GB18030": "gb18030",
    "BIG5": "big5",
    "CNS116431992": "utf-8",
    "ISOIR6": "ascii",
    "ISOIR14": "shift_jis",
    "ISOIR13": "shift_jis",
    "ISOIR58": "gb18030",
    "ISOIR87": "iso2022_jp",
    "ISOIR100": "iso8859-1",
    "ISOIR149": "cp949",
    "ISOIR159": "iso2022_jp_1",
    "ISOIR166": "iso8859-11",
    "ISOIR192": "utf-8",
    "KSX1001": "cp949",
    "KSC5601": "cp949",
    # Names that systems send although they are not in the table.
    "CP949": "cp949",
    "EUCKR": "cp949",
    "GB2312": "gb18030",
    "GBK": "gb18030",
    "EUCJP": "euc_jp",
    "TIS620": "iso8859-11",
    "KOI8R": "koi8-r",
    "LATIN1": "iso8859-1",
    "SHIFTJIS": "shift_jis",
    "SJIS": "shift_jis",
    **{f"{name}125{part}": f"cp125{part}" for name in ("WINDOWS", "CP") for part in range(9)},
    **{f"8859{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)},
}
# Codecs to try without a usable MSH-18, or if the bytes do not fit it: text in another set is hardly ever
# valid UTF-8, and the last codec accepts every byte.
_FALLBACK = ("utf-8", "cp1252", "latin-1")
# Read in one of these sets, valid UTF-8 has symbols after letters, which occur in no name.
_WESTERN = ("iso8859-1", "iso8859-9", "iso8859-15")
# ISO 8859 has no characters in this range; UTF-8 and the Windows code pages use these bytes.
_CONTROLS = re.compile(r"[\x80-\x9f]")
_BREAKS = re.compile(r"\.(?:br|sp|ce)\s*\+?(\d{0,2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delimiters:
    """MSH-1 and MSH-2; an escape or subcomponent character that is not stated is empty."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


STANDARD = Delimiters()


def codec_of(stated: str) -> str | None:
    """Return the codec for a value of MSH-18, or None if it is empty or unknown."""
    first = re.split(r"[~^]", stated)[0]
    return _CODECS.get(re.sub(r"[ /_-]", "", first).upper().removeprefix("ISO8859").strip() or "-") or (
        _CODECS.get("8859" + first.rsplit("-", 1)[-1]) if first.upper().startswith("ISO") else None
    )


def decode(raw: bytes, stated: str, marks: Delimiters = STANDARD) -> tuple[str, str]:
    """Return the text of a message, and the codec used to read it.

    stated: MSH-18 with its repetitions. Bytes that do not fit it are read with another codec rather than
    refused.
    """
    named = [codec for one in stated.split("~") if (codec := codec_of(one)) is not None]
    content = written_as_bytes(raw, marks.escape.encode("latin-1"))
    if switches(content):
        return decode_switched(content, next((one for one in named if one != "ascii"), "utf-8"))
    # Senders that declare ASCII send umlauts nevertheless.
    for codec in (*named, *_FALLBACK):
        try:
            text = raw.decode(codec)
        except (UnicodeDecodeError, LookupError):
            continue
        if not _is_another(raw, codec, text):
            return text, codec
    return raw.decode("latin-1"), "latin-1"


def _is_another(raw: bytes, codec: str, text: str) -> bool:
    """Return whether bytes that are readable as ISO 8859 are in fact UTF-8 or a Windows code page."""
    if not codec.startswith("iso8859") or raw.isascii():
        return False
    return (codec in _WESTERN and _fits(raw, "utf-8")) or _CONTROLS.search(text) is not None


def escaped(text: str, marks: Delimiters = STANDARD) -> str:
    r"""Return text as written in a field: delimiters escaped, breaks as `\.br\`, no control characters."""
    table = {
        marks.field: "F",
        marks.component: "S",
        marks.subcomponent: "T",
        marks.repetition: "R",
        marks.escape: "E",
    }
    lines = re.split(r"\r\n|\r|\n|\v|\f|\x85|\u2028|\u2029", text)
    esc = marks.escape
    parts = []
    for line in lines:
        plain = "".join(char if char == "\t" or ord(char) >= 32 else " " for char in line)
        plain = plain.replace("\x7f", " ").replace("\t", " ")
        parts.append("".join(f"{esc}{table[char]}{esc}" if char in table else char for char in plain))
    return f"{esc}.br{esc}".join(parts)


def unescaped(text: str, marks: Delimiters = STANDARD, codec: str = "utf-8") -> str:
    """Return the text of a field; an unknown or unclosed escape sequence is left unchanged."""
    esc = marks.escape
    if not esc or esc not in text:
        return text
    found = []
    at = 0
    while (start := text.find(esc, at)) >= 0:
        end = text.find(esc, start + 1)
        if end < 0:
            break
        meaning = _meaning(text[start + 1 : end], marks, codec)
        found.append(text[at:start])
        if meaning is None:
            # The closing character may open the next sequence.
            found.append(text[start:end])
            at = end
        else:
            found.append(meaning)
            at = end + 1
    found.append(text[at:])
    return "".join(found)


def _meaning(body: str, marks: Delimiters, codec: str) -> str | None:
    plain = {
        "F": marks.field,
        "S": marks.component,
        "T": marks.subcomponent,
        "R": marks.repetition,
        "E": marks.escape,
        "H": "",
        "N": "",
    }.get(body)
    if plain is not None:
        return plain
    if body[:1] == "X" and re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", body[1:]):
        raw = bytes.fromhex(body[1:])
        return decode(raw, "")[0] if ESCAPE in raw or not _fits(raw, codec) else raw.decode(codec)
    breaks = _BREAKS.fullmatch(body)
    if breaks is not None:
        return "\n" * max(1, min(int(breaks[1] or 1), 20))
    if re.fullmatch(r"\.(?:fi|nf|(?:in|ti|sk)\s*[+-]?\d{0,3})", body):
        return " " if body.startswith(".sk") else ""
    if re.fullmatch(r"[CM][0-9A-Fa-f]{4,6}|Z[0-9A-Za-z]{1,16}", body):
        return ""
    return None


def _fits(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError:
        return False
    return True
