"""The values of storage commitment: requests, answers, and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.foundation.failure import Failure, RetryPolicy


class CommitmentResult(StrEnum):
    """A destination's answer about one document that it has stored."""

    COMMITTED = "committed"  # it takes responsibility
    LOST = "lost"  # it does not have it: send it again
    LATER = "later"  # it cannot say at the moment: ask again
    SILENT = "silent"  # it will not answer: a person should check
    REFUSED = "refused"  # it will not keep it: DEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentAnswer:
    """An answer, and the reason if there is one."""

    word: CommitmentResult
    why: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRule:
    """A destination's limits: requests, resends, and seconds until a document is given up."""

    attempts: int
    resends: int
    give_up_after_s: float
    policy: RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentItem:
    """A stored document; `transaction_uid` is its latest request's, None before the first."""

    delivery_id: int
    transaction_uid: str | None
    attempts: int
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """One request for commitment, stored and ready to be sent."""

    transaction_uid: str
    items: Sequence[CommitmentItem]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentReport:
    """The answers of a report, by (SOP Class UID, SOP Instance UID)."""

    transaction_uid: str
    answers: Mapping[tuple[str, str], CommitmentAnswer]


class Reception(StrEnum):
    """The outcome of processing a report."""

    TAKEN = "taken"
    REPEATED = "repeated"
    UNKNOWN = "unknown-transaction"
    WRONG_PEER = "wrong-peer"
