"""The status that a result has at a receiver of messages, and which one a study's next message has. Pure.

A receiver keeps one result of a study and replaces it by each later message. What a radiologist has verified
must therefore never be followed by a message of the software: neither by a new draft nor by the notice that
there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ResultStatus(StrEnum):
    """The status of a result, as a message states it."""

    # Written by software, read by nobody: HL7 table 0123 `R`, FHIR `preliminary`.
    UNVERIFIED = "unverified"
    FINAL = "final"
    CORRECTED = "corrected"
    WITHDRAWN = "withdrawn"


_VERIFIED = (ResultStatus.FINAL, ResultStatus.CORRECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentResult:
    """The last message of a study that a receiver was sent.

    draft_id: the draft or verdict that the message was of. on_basis: that is the one before the new one.
    was_final: the receiver has had a verified result at some time.
    """

    status: ResultStatus
    draft_id: int
    on_basis: bool
    was_final: bool


def next_status(outcome: str, sent: SentResult | None) -> ResultStatus | None:
    """Return the status of the message for a draft of this outcome; None when no message may be sent.

    outcome: `drafts.outcome`. A rejection, or the notice that there is no draft, only takes back what the
    receiver has been sent.
    """
    stands = sent.status if sent is not None else None
    if outcome == "drafted":
        return None if stands in _VERIFIED else ResultStatus.UNVERIFIED
    if outcome == "verified":
        return ResultStatus.CORRECTED if sent is not None and sent.was_final else ResultStatus.FINAL
    if sent is None or stands is ResultStatus.WITHDRAWN:
        return None
    if stands is ResultStatus.UNVERIFIED:
        return ResultStatus.WITHDRAWN
    return ResultStatus.WITHDRAWN if outcome == "rejected" and sent.on_basis else None
