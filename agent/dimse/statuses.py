"""What a PACS's answer to C-STORE means for the delivery, as data.

Source: PS3.4 table B.2-1 (storage service), PS3.7 annex C (general statuses).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What becomes of the delivery."""

    STORED = "stored"
    AGAIN = "again"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """A range of status codes, `first` to `last`, with its meaning in the operator's words."""

    first: int
    last: int
    verdict: Verdict
    meaning: str


# The first range that holds the code counts.
STORE_STATUSES: tuple[StoreStatus, ...] = (
    StoreStatus(first=0x0000, last=0x0000, verdict=Verdict.STORED, meaning="success"),
    StoreStatus(first=0xB000, last=0xB000, verdict=Verdict.STORED, meaning="stored, elements coerced"),
    StoreStatus(first=0xB006, last=0xB006, verdict=Verdict.STORED, meaning="stored, elements discarded"),
    StoreStatus(
        first=0xB007, last=0xB007, verdict=Verdict.STORED, meaning="stored, does not match its class"
    ),
    # The UID is derived from the content, so that what it holds under this UID is this document.
    StoreStatus(first=0x0111, last=0x0111, verdict=Verdict.STORED, meaning="it has this instance already"),
    StoreStatus(first=0x0122, last=0x0122, verdict=Verdict.NEVER, meaning="SOP class not supported"),
    StoreStatus(first=0xA900, last=0xA9FF, verdict=Verdict.NEVER, meaning="does not match the SOP class"),
    StoreStatus(first=0x0124, last=0x0124, verdict=Verdict.AGAIN, meaning="refused: not authorised"),
    StoreStatus(first=0xA700, last=0xA7FF, verdict=Verdict.AGAIN, meaning="refused: out of resources"),
    StoreStatus(first=0xC000, last=0xCFFF, verdict=Verdict.AGAIN, meaning="cannot understand"),
    StoreStatus(first=0x0000, last=0xFFFF, verdict=Verdict.AGAIN, meaning="failure"),
)


def store_status(code: int) -> StoreStatus:
    """Return what a status code means; an unknown one is a failure that is tried again."""
    return next(one for one in STORE_STATUSES if one.first <= code <= one.last or one is STORE_STATUSES[-1])
