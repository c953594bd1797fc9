r"""MLLP frames: VT, a message, FS, CR. Pure.

Liberal: the CR after FS may be missing, the VT before a message too; what stands between frames is dropped.
Source: HL7 Minimal Lower Layer Protocol, release 1.
"""

from __future__ import annotations

from agent.foundation.errors import MessageUnreadable

START, END = b"\x0b", b"\x1c\x0d"
_FS = 0x1C


def framed(content: bytes) -> bytes:
    """Return a message as it is sent."""
    return START + content + END


class FrameReader:
    """Collects bytes and gives out the contents of complete frames."""

    def __init__(self, longest: int) -> None:
        """Longest: bytes of one frame."""
        self._longest = longest
        self._buffer = bytearray()
        self._looked = 0

    @property
    def begun(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._buffer.strip(b"\x0b\x1c\r\n \t\0"))

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the messages that are complete now.

        Raises:
            MessageUnreadable: a frame is longer than allowed; the connection is of no more use.
        """
        self._buffer += data
        found = []
        while (end := self._buffer.find(_FS, self._looked)) >= 0:
            content = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._looked = 0
            if content := _begun(content):
                if len(content) > self._longest:
                    raise MessageUnreadable("the message is longer than `hl7.maximum_message_mb`")
                found.append(content)
        self._looked = len(self._buffer)
        if len(self._buffer) > self._longest:
            raise MessageUnreadable("the message is longer than `hl7.maximum_message_mb`")
        return found


def _begun(content: bytes) -> bytes:
    """Return what the last start block begins; a frame that was broken off before it is dropped.

    A VT may also stand inside a text, as a line break of a word processor: only one before a header starts.
    """
    for header in (b"\x0bMSH", b"\x0bFHS", b"\x0bBHS"):
        at = content.rfind(header)
        if at >= 0 and (header == b"\x0bMSH" or b"\x0bMSH" not in content[at:]):
            return content[at + 1 :]
    return content.strip(b"\x0b\r\n \t\0")
