"""Text whose character set is not declared: every reading that fits the bytes, the likeliest first. Pure.

DICOM's default repertoire is ASCII (PS3.5 6.1.2.1); devices still write their own code page without declaring
it. UTF-8 is recognised with near certainty, the others only by the plausibility of the text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

# Multi-byte code pages, then those of one byte, as devices of a country use them.
_MULTI_BYTE = ("cp932", "gb18030", "cp949", "big5")
_OTHER_SCRIPTS = ("cp1251", "iso8859_5", "koi8_r", "iso8859_7", "cp1255", "cp1256", "iso8859_6")
_LATIN = ("cp1252", "cp1250", "iso8859_2", "cp1254", "cp1258", "latin_1")


def readings(raw: bytes) -> Iterator[tuple[str, str]]:
    """Yield (encoding, text) for each code page that the bytes are valid in; ASCII bytes have one reading."""
    if raw.isascii():
        yield "ascii", raw.decode("ascii")
        return
    if (text := _decoded(raw, "utf_8")) is not None:
        yield "utf_8", text
    for encoding in _ordered(raw):
        text = _decoded(raw, encoding)
        if text is not None and _plausible(text):
            yield encoding, text
    yield "latin_1", raw.decode("latin_1")


def likeliest(raw: bytes) -> tuple[str, str]:
    """Return the first of `readings`."""
    return next(readings(raw))


def _ordered(raw: bytes) -> tuple[str, ...]:
    """Text in Latin letters has few high bytes; in other scripts nearly all letters are high bytes."""
    letters = sum(byte > 0x40 for byte in raw) or 1
    high = sum(byte >= 0x80 for byte in raw)
    if high / letters < 0.4:
        return (*_LATIN, *_OTHER_SCRIPTS, *_MULTI_BYTE)
    return (*_MULTI_BYTE, *_OTHER_SCRIPTS, *_LATIN)


def _decoded(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _plausible(text: str) -> bool:
    """Whether every character beyond ASCII is a letter or a mark of one, as in words."""
    beyond = [one for one in text if ord(one) > 0x7F]
    return all(unicodedata.category(one)[0] in "LMZ" or one in "·–’ー・º°ª" for one in beyond)
