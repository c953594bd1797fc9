"""The result of a request to change a workitem's state: the standard's state table as code. Pure.

Source: PS3.4 table CC.1.1-2 (state transitions), CC.2.1.3 (change state), CC.2.2.3 (request cancel).
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.ris.ups.terms import StepState, UpsStatus, is_uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The answer to a request, and the states that the workitem passes through, in order; empty if it is
    unchanged.
    """

    status: UpsStatus
    steps: tuple[StepState, ...] = ()
    # The performer must be told that the cancellation of the workitem was requested.
    asks_performer: bool = False


def change_state(
    present: StepState | None,
    requested: StepState,
    *,
    transaction_uid: str,
    claimed_with: str | None,
    requirements_met: bool = True,
) -> Change:
    """Return the result of N-ACTION 1 (Change UPS State).

    Args:
        present: the workitem's state; None if there is no such workitem. transaction_uid: the one in the
        request; empty if there is none.
        claimed_with: the Transaction UID of the claim; None while SCHEDULED, or canceled before any claim.
        requirements_met: whether the attributes that the requested final state requires are present.
    """
    if present is None:
        return Change(status=UpsStatus.NO_SUCH_WORKITEM)
    if requested is StepState.SCHEDULED:
        return Change(status=UpsStatus.ONLY_CREATED_SCHEDULED)
    if not is_uid(transaction_uid) or (
        present is not StepState.SCHEDULED and transaction_uid != claimed_with
    ):
        return Change(status=UpsStatus.WRONG_TRANSACTION)
    if requested is StepState.IN_PROGRESS:
        return _claim(present)
    return _finish(present, requested, requirements_met)


def _claim(present: StepState) -> Change:
    if present is StepState.SCHEDULED:
        return Change(status=UpsStatus.SUCCESS, steps=(StepState.IN_PROGRESS,))
    if present is StepState.IN_PROGRESS:
        return Change(status=UpsStatus.ALREADY_IN_PROGRESS)
    return Change(status=UpsStatus.NOT_UPDATABLE)


def _finish(present: StepState, requested: StepState, requirements_met: bool) -> Change:
    if present is StepState.SCHEDULED:
        return Change(status=UpsStatus.NOT_IN_PROGRESS)
    if present is StepState.IN_PROGRESS:
        if not requirements_met:
            return Change(status=UpsStatus.FINAL_REQUIREMENTS)
        return Change(status=UpsStatus.SUCCESS, steps=(requested,))
    if present is requested:
        already = requested is StepState.COMPLETED
        return Change(status=UpsStatus.ALREADY_COMPLETED if already else UpsStatus.ALREADY_CANCELED)
    return Change(status=UpsStatus.NOT_UPDATABLE)


def request_cancel(present: StepState | None) -> Change:
    """Return the result of N-ACTION 2 (Request UPS Cancel).

    A SCHEDULED workitem passes through IN PROGRESS on its way to CANCELED, and both steps are reported: there
    is no direct transition. Only its performer can cancel a claimed one.
    """
    if present is None:
        return Change(status=UpsStatus.NO_SUCH_WORKITEM)
    if present is StepState.SCHEDULED:
        return Change(status=UpsStatus.SUCCESS, steps=(StepState.IN_PROGRESS, StepState.CANCELED))
    if present is StepState.IN_PROGRESS:
        return Change(status=UpsStatus.SUCCESS, asks_performer=True)
    return Change(
        status=UpsStatus.IS_COMPLETED if present is StepState.COMPLETED else UpsStatus.ALREADY_CANCELED
    )
