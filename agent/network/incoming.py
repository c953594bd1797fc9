"""The destination of objects that we retrieve from an archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Receives one complete Part 10 file; an exception from it ends the retrieval.
Take = Callable[[bytearray], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """Where retrieved objects go.

    ae_title: the destination of a C-MOVE. take: receives the files of C-GET and WADO-RS. longest: maximum
    size (bytes) of one file.
    """

    ae_title: str
    take: Take
    longest: int
