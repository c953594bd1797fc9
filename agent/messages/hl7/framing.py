r"""MLLP frames: VT, a message, FS, CR. Pure.

Liberal: the CR after FS and the VT before a message may be missing; bytes between frames are dropped.
Source: HL7 Minimal Lower Layer Protocol, release 1.
"""

from __future__ import annotations

from agent.foundation.errors import MessageUnreadable

START, END = b"\x0b", b"\x1c\x0d"
_FS = 0x1C


def framed(content: bytes) -> bytes:
    """Return a message as a frame."""
    return START + content + END


class FrameReader:
    """Collects bytes and returns the contents of complete frames."""

    def __init__(self, longest: int) -> None:
        """longest: maximum size (bytes) of one frame."""
        self._longest = longest
        self._buffer = bytearray()
        self._looked = 0

    @property
    def begun(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._buffer.strip(b"\x0b\x1c\r\n \t\0"))

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes; return the messages that are now complete.

        Raises:
            MessageUnreadable: a frame is longer than allowed; the connection can no longer be used.
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
    """Return the content after the last start block; a truncated frame before it is dropped.

    A VT may also occur inside a text, as a word processor's line break: only one before a header starts a
    message.
    """
    for header in (b"\x0bMSH", b"\x0bFHS", b"\x0bBHS"):
        at = content.rfind(header)
        if at >= 0 and (header == b"\x0bMSH" or b"\x0bMSH" not in content[at:]):
            return content[at + 1 :]
    return content.strip(b"\x0b\r\n \t\0")
