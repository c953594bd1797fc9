"""The status of a result at a receiver of messages, and the status of a study's next message. Pure.

A receiver keeps one result for a study and replaces it with each later message. A result that a radiologist
has verified must therefore never be followed by a message from the software: neither by a new draft nor by
the notice that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ResultStatus(StrEnum):
    """The status of a result, as a message states it."""

    # Written by software and not yet read: HL7 table 0123 `R`, FHIR `preliminary`.
    UNVERIFIED = "unverified"
    FINAL = "final"
    CORRECTED = "corrected"
    WITHDRAWN = "withdrawn"


_VERIFIED = (ResultStatus.FINAL, ResultStatus.CORRECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentResult:
    """The last message about a study that a receiver was sent.

    draft_id: the draft or verdict that the message reported. on_basis: that is the one before the new one.
    was_final: the receiver has been sent a verified result at some time.
    """

    status: ResultStatus
    draft_id: int
    on_basis: bool
    was_final: bool


def next_status(outcome: str, sent: SentResult | None) -> ResultStatus | None:
    """Return the status of the message for a draft with this outcome; None if no message may be sent.

    outcome: `drafts.outcome`. A rejection, or the notice that there is no draft, only withdraws what the
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
