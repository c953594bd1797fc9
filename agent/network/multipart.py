"""Splits a `multipart/related` body into its parts as they arrive, within limits.

Source: RFC 2387 (multipart/related), RFC 2046 5.1 (boundaries); PS3.18 8.7.4 (media type application/dicom).
"""

from __future__ import annotations

import logging
from email.message import Message

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

# Its log lines contain bytes of the body.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
# RFC 2046 allows 70 characters; Orthanc sends 73.
_LONGEST_BOUNDARY = 200
# Most parts of one request.
MOST_PARTS = 10_000


class BodyRefused(Exception):
    """A body that cannot be accepted: its HTTP status, and what is wrong."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def boundary_of(content_type: str) -> str:
    """Return the boundary of a `multipart/related; type="application/dicom"` body.

    Raises:
        BodyRefused: 415 for another media type, 400 without a usable boundary.
    """
    header = Message()
    header["Content-Type"] = content_type
    if header.get_content_type() != "multipart/related":
        raise BodyRefused(415, 'send multipart/related; type="application/dicom"')
    kind = header.get_param("type")
    if not isinstance(kind, str) or kind.strip('"').lower() != "application/dicom":
        raise BodyRefused(415, "of the media types of PS3.18 only application/dicom is taken")
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii():
        raise BodyRefused(400, "the media type names no boundary")
    return boundary


class Parts:
    """Collects the parts of one body; each is returned as soon as it is complete."""

    def __init__(self, boundary: str, longest: int) -> None:
        """longest: maximum size (bytes) of one part."""
        self._longest = longest
        self._part: bytearray | None = None
        self._name, self._value = bytearray(), bytearray()
        self._media_type = "application/dicom"
        self._whole: list[bytearray] = []
        self._count = 0
        self._refusal: BodyRefused | None = None
        self.ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._all,
            },
        )

    def feed(self, chunk: bytes) -> list[bytearray]:
        """Add bytes of the body; return the parts that are now complete.

        Parts that were complete before an error are returned first; `check` or the next call then raises it.

        Raises:
            BodyRefused: the body is not a multipart body, or a part is too long or of another media type.
        """
        self.check()
        try:
            self._parser.write(chunk)
        except FormParserError:
            self._refusal = BodyRefused(400, "the body does not follow its boundary")
        except BodyRefused as refused:
            self._refusal = refused
        whole, self._whole = self._whole, []
        if not whole:
            self.check()
        return whole

    def check(self) -> None:
        """Raise BodyRefused if the body turned out to be unusable."""
        if self._refusal is not None:
            raise self._refusal

    def _begin(self) -> None:
        self._count += 1
        if self._count > MOST_PARTS:
            raise BodyRefused(413, f"a request has at most {MOST_PARTS} parts")
        self._part, self._media_type = bytearray(), "application/dicom"

    def _header(self) -> None:
        if bytes(self._name).strip().lower() == b"content-type":
            self._media_type = bytes(self._value).decode("latin-1").partition(";")[0].strip().lower()
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part is None:
            return
        if len(self._part) + end - start > self._longest:
            raise BodyRefused(413, "an object is longer than `listener.maximum_object_mb`")
        self._part += memoryview(data)[start:end]

    def _end(self) -> None:
        if self._part is None:
            return
        if self._media_type != "application/dicom":
            raise BodyRefused(415, "a part is not application/dicom")
        self._whole.append(self._part)
        self._part = None

    def _all(self) -> None:
        self.ended = True
