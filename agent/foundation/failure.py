"""When to retry: exponential backoff with full jitter, and the description of a failed attempt. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed attempt, described for the operator: no attribute of a patient, no text of a foreign
    exception.
    """

    code: str
    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how soon: `first_s` and `longest_s` bound the backoff in seconds."""

    maximum_attempts: int = 3
    first_s: float = 5.0
    longest_s: float = 900.0

    def ceiling_s(self, attempt: int) -> float:
        """Return the longest wait (s) after attempt number `attempt` (1, 2, …) has failed.

        It doubles from `first_s` up to `longest_s`.
        """
        # 2 ** 60 s is beyond any bound, and an exponent of thousands would overflow.
        return min(self.longest_s, self.first_s * 2.0 ** min(max(attempt, 1) - 1, 60))

    def wait_s(self, attempt: int, chance: float) -> float:
        """Return how long (s) to wait, with full jitter; `chance` is uniform in [0, 1).

        So a thousand documents that failed together while a PACS was down are not all retried together.
        """
        return chance * self.ceiling_s(attempt)

    def long_wait_s(self, attempt: int, chance: float) -> float:
        """Return how long (s) to wait where a short wait is useless: at least half of the ceiling."""
        return (1.0 + chance) / 2.0 * self.ceiling_s(attempt)


def describe(error: BaseException) -> Failure:
    """Return the part of an exception that may be stored.

    An exception of our own trees has a `code`, `retryable` and a text for the operator. Of any other
    exception only the type's name is kept, because its text may quote a dataset's values; it counts as
    retryable.
    """
    code, retryable = getattr(error, "code", None), getattr(error, "retryable", None)
    if isinstance(code, str) and isinstance(retryable, bool):
        return Failure(code=code, reason=str(error) or (type(error).__doc__ or ""), retryable=retryable)
    return Failure(
        code="unexpected",
        reason=f"unexpected {type(error).__name__}: see the log of this process",
        retryable=True,
    )
