"""Parses bytes into messages, whatever the line ends, and unwraps batches. Pure.

Liberal: segments end with CR, LF or both; batches (FHS, BHS) may wrap them; a line that is not a segment is
the continuation of the text before it; unknown segments are kept. Content without a header is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from agent.foundation.errors import MessageUnreadable
from agent.messages.hl7.encoding import Delimiters, decode
from agent.messages.hl7.message import Message, Segment

LONGEST_MESSAGE = 20_000
_WRAPPERS = ("FHS", "BHS", "BTS", "FTS")
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_START = re.compile(rb"(?:^|(?<=[\r\n\x0b\x1c]))[ \t]*(?=MSH[^A-Za-z0-9\s])")


def split_batch(raw: bytes) -> list[bytes]:
    """Return the messages in the content of a frame: one, or those of a batch; none if there is no header."""
    content = raw.removeprefix(b"\xef\xbb\xbf")
    starts = [found.end() for found in _START.finditer(content)]
    return [content[a:b] for a, b in pairwise([*starts, len(content)])]


def parse(raw: bytes) -> Message:
    """Parse one message.

    Raises:
        MessageUnreadable: there is no MSH segment with its delimiters at the start, or far too many segments.
    """
    content = raw.removeprefix(b"\xef\xbb\xbf").strip(b"\x0b\x1c\r\n \t\0")
    if not content.startswith(b"MSH") or len(content) < 8:
        raise MessageUnreadable("it does not begin with an MSH segment")
    marks = _delimiters(content[3:12].decode("latin-1"))
    text, codec = decode(content, _stated_set(content, marks).replace(marks.repetition, "~"), marks)
    lines = list(_lines(text, marks))
    if len(lines) > LONGEST_MESSAGE:
        raise MessageUnreadable("it has too many segments")
    segments = [_segment(line, marks, codec) for line in lines]
    kept = tuple(one for one in segments if one.name not in _WRAPPERS)
    if not kept or kept[0].name != "MSH":
        raise MessageUnreadable("its MSH segment cannot be read in any character set")
    return Message(segments=kept, codec=codec)


def _delimiters(start: str) -> Delimiters:
    """Return MSH-1 and MSH-2; some senders omit the last characters of MSH-2."""
    field = start[0]
    if _is_no_mark(field):
        raise MessageUnreadable("MSH-1 is not a delimiter")
    others = re.split(r"[\r\n]", start[1:].split(field)[0])[0]
    if not others or len(set(others) | {field}) != len(others) + 1 or any(map(_is_no_mark, others)):
        raise MessageUnreadable("MSH-2 states no delimiters, or one twice")
    given = (others + "\0" * 4)[:4]
    component, repetition, escape, subcomponent = ("" if char == "\0" else char for char in given)
    return Delimiters(
        field=field,
        component=component,
        repetition=repetition or "\0",
        escape=escape,
        subcomponent=subcomponent,
    )


def _is_no_mark(char: str) -> bool:
    """Whether a character cannot be a delimiter: a byte beyond ASCII differs between character sets."""
    return char.isalnum() or not 32 < ord(char) < 127


def _stated_set(content: bytes, marks: Delimiters) -> str:
    """Return MSH-18, which is read before the character set is known: the fields before it are ASCII."""
    header = re.split(r"[\r\n]", content[:4000].decode("latin-1"))[0].split(marks.field)
    return header[17] if len(header) > 17 else ""


def _lines(text: str, marks: Delimiters) -> Iterator[str]:
    """Yield the segments; a line that is not a segment continues the text before it."""
    kept = ""
    for line in re.split(r"\r\n|\r|\n", text):
        bare = line.strip("\x0b\x1c\0").lstrip(" \t")
        if _NAME.fullmatch(bare[:3]) and (len(bare) == 3 or bare[3] == marks.field):
            if kept:
                yield kept
            kept = bare
        elif bare and kept:
            kept = f"{kept}\n{bare}"
    if kept:
        yield kept


def _segment(line: str, marks: Delimiters, codec: str) -> Segment:
    fields = line.split(marks.field)
    if fields[0] in ("MSH", "FHS", "BHS"):
        # The delimiter itself is field 1.
        fields = [fields[0], marks.field, *fields[1:]]
    return Segment(name=fields[0], fields=tuple(fields), marks=marks, codec=codec)
