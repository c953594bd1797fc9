"""The meaning of a PACS's statuses for a delivery, as data: for C-STORE and for storage commitment.

Source: PS3.4 table B.2-1 (storage service), J.3.2 and J.3.3 (storage commitment), PS3.3 C.14 (failure
reasons), PS3.7 annex C (general statuses).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from agent.foundation.failure import Failure
from agent.network.commitment_terms import CommitmentAnswer, CommitmentResult


class StoreOutcome(Enum):
    """The consequence for the delivery."""

    STORED = "stored"
    WARNED = "stored-with-warning"
    AGAIN = "again"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """A range of status codes, `first` to `last`, with its meaning worded for the operator."""

    first: int
    last: int
    verdict: StoreOutcome
    meaning: str


# The first range that contains the code counts.
STORE_STATUSES: tuple[StoreStatus, ...] = (
    StoreStatus(first=0x0000, last=0x0000, verdict=StoreOutcome.STORED, meaning="success"),
    # Warnings (PS3.7 annex C.4, PS3.4 B.2.3): the object is stored. Every other 0xBxxx is one too.
    StoreStatus(
        first=0x0001, last=0x0001, verdict=StoreOutcome.WARNED, meaning="requested options not supported"
    ),
    StoreStatus(first=0x0107, last=0x0107, verdict=StoreOutcome.WARNED, meaning="attribute list warning"),
    StoreStatus(
        first=0x0116, last=0x0116, verdict=StoreOutcome.WARNED, meaning="attribute value out of range"
    ),
    StoreStatus(first=0xB000, last=0xB000, verdict=StoreOutcome.WARNED, meaning="elements coerced"),
    StoreStatus(first=0xB006, last=0xB006, verdict=StoreOutcome.WARNED, meaning="elements discarded"),
    StoreStatus(
        first=0xB007, last=0xB007, verdict=StoreOutcome.WARNED, meaning="does not match its SOP class"
    ),
    StoreStatus(first=0xB000, last=0xBFFF, verdict=StoreOutcome.WARNED, meaning="warning"),
    # The UID is derived from the content, so the object that it holds under this UID is this document.
    StoreStatus(
        first=0x0111, last=0x0111, verdict=StoreOutcome.STORED, meaning="it has this instance already"
    ),
    StoreStatus(first=0x0122, last=0x0122, verdict=StoreOutcome.NEVER, meaning="SOP class not supported"),
    StoreStatus(
        first=0xA900, last=0xA9FF, verdict=StoreOutcome.NEVER, meaning="does not match the SOP class"
    ),
    StoreStatus(first=0x0124, last=0x0124, verdict=StoreOutcome.AGAIN, meaning="refused: not authorised"),
    StoreStatus(first=0xA700, last=0xA7FF, verdict=StoreOutcome.AGAIN, meaning="refused: out of resources"),
    StoreStatus(first=0xC000, last=0xCFFF, verdict=StoreOutcome.AGAIN, meaning="cannot understand"),
    StoreStatus(first=0x0000, last=0xFFFF, verdict=StoreOutcome.AGAIN, meaning="failure"),
)


def store_status(code: int) -> StoreStatus:
    """Return the meaning of a status code; an unknown one is a failure that is retried."""
    return next(one for one in STORE_STATUSES if one.first <= code <= one.last or one is STORE_STATUSES[-1])


class ActionVerdict(Enum):
    """The consequence for a request for commitment."""

    TAKEN = "taken"
    UNSUPPORTED = "unsupported"
    LATER = "later"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStatus:
    """A status of N-ACTION, with its meaning worded for the operator; None stands for every other code."""

    code: int | None
    verdict: ActionVerdict
    meaning: str


ACTION_STATUSES: tuple[ActionStatus, ...] = (
    ActionStatus(code=0x0000, verdict=ActionVerdict.TAKEN, meaning="success"),
    ActionStatus(code=0x0118, verdict=ActionVerdict.UNSUPPORTED, meaning="no such SOP class"),
    ActionStatus(code=0x0122, verdict=ActionVerdict.UNSUPPORTED, meaning="SOP class not supported"),
    ActionStatus(code=0x0123, verdict=ActionVerdict.UNSUPPORTED, meaning="no such action type"),
    ActionStatus(code=0x0211, verdict=ActionVerdict.UNSUPPORTED, meaning="unrecognized operation"),
    ActionStatus(code=0x0124, verdict=ActionVerdict.LATER, meaning="refused: not authorised"),
    ActionStatus(code=0x0213, verdict=ActionVerdict.LATER, meaning="resource limitation"),
    ActionStatus(code=None, verdict=ActionVerdict.LATER, meaning="failure"),
)


def action_status(code: int) -> ActionStatus:
    """Return the meaning of a status of N-ACTION; an unknown one is a failure that is retried."""
    return next(one for one in ACTION_STATUSES if one.code in (code, None))


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReason:
    """Why a document is not committed; the reason None stands for every other."""

    reason: int | None
    word: CommitmentResult
    code: str
    meaning: str


FAILURE_REASONS: tuple[FailureReason, ...] = (
    FailureReason(
        reason=0x0112, word=CommitmentResult.LOST, code="commitment-lost", meaning="it has no such object"
    ),
    FailureReason(
        reason=0x0119,
        word=CommitmentResult.REFUSED,
        code="commitment-refused",
        meaning="it holds an object of another SOP class under this UID",
    ),
    FailureReason(
        reason=0x0122,
        word=CommitmentResult.SILENT,
        code="commitment-unsupported",
        meaning="it commits to no object of this SOP class",
    ),
    FailureReason(
        reason=0x0131,
        word=CommitmentResult.LATER,
        code="commitment-failed",
        meaning="duplicate transaction UID",
    ),
    FailureReason(
        reason=0x0213, word=CommitmentResult.LATER, code="commitment-failed", meaning="resource limitation"
    ),
    FailureReason(
        reason=None, word=CommitmentResult.LATER, code="commitment-failed", meaning="processing failure"
    ),
)


def failure_reason(reason: int) -> CommitmentAnswer:
    """Return the meaning of a failure reason of a commitment report; for an unknown one, commitment is
    requested again.
    """
    found = next(one for one in FAILURE_REASONS if one.reason in (reason, None))
    why = Failure(
        code=found.code,
        reason=f"the destination reported 0x{reason:04X}, {found.meaning}",
        retryable=found.word is not CommitmentResult.REFUSED,
    )
    return CommitmentAnswer(word=found.word, why=why)
