"""Where objects go that we retrieve from an archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Takes one whole Part 10 file; what it raises ends the retrieval.
Take = Callable[[bytearray], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """Where retrieved objects go.

    ae_title: the destination of a C-MOVE. take: is given what C-GET and WADO-RS bring.
    longest: bytes of one file.
    """

    ae_title: str
    take: Take
    longest: int
