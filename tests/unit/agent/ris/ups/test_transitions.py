"""The state table of the standard, cell by cell, as both transports must answer it."""

from __future__ import annotations

import pytest

from agent.ris.ups.terms import StepState
from agent.ris.ups.transitions import change_state, request_cancel
from tests.support.ups import CANCEL_TABLE, CELLS, CHANGE_TABLE, Cell

MINE, OTHER = "2.25.1", "2.25.2"


@pytest.mark.parametrize("cell", CHANGE_TABLE, ids=str)
def test_change_of_state_is_answered_as_the_table_says(cell: Cell) -> None:
    """PS3.4 table CC.1.1-2: status and next state for every state and request."""
    claimed = MINE if cell.present not in (None, StepState.SCHEDULED) else None
    given = {"right": MINE, "wrong": OTHER if claimed else "", "none": ""}[cell.transaction]
    change = change_state(cell.present, cell.requested, transaction_uid=given, claimed_with=claimed)
    assert (f"{cell.status:04X}", cell.after) == (
        f"{change.status:04X}",
        change.steps[-1] if change.steps else cell.present,
    )


@pytest.mark.parametrize("cell", CANCEL_TABLE, ids=str)
def test_cancel_request_is_answered_as_the_table_says(cell: Cell) -> None:
    """A scheduled workitem takes both steps; for a claimed one the performer is asked."""
    change = request_cancel(cell.present)
    assert (cell.status, cell.after) == (change.status, change.steps[-1] if change.steps else cell.present)
    assert change.asks_performer == (cell.present is StepState.IN_PROGRESS)


def test_final_requirements_are_asked_for_last() -> None:
    """A requester with no right to end a workitem is not told which attributes it lacks."""
    change = change_state(
        StepState.IN_PROGRESS,
        StepState.COMPLETED,
        transaction_uid=MINE,
        claimed_with=MINE,
        requirements_met=False,
    )
    assert f"{change.status:04X}" == "C304"
    other = change_state(
        StepState.IN_PROGRESS,
        StepState.COMPLETED,
        transaction_uid=OTHER,
        claimed_with=MINE,
        requirements_met=False,
    )
    assert f"{other.status:04X}" == "C301"


def test_table_has_every_cell() -> None:
    """Five states, five kinds of change, two of them with right and wrong Transaction UIDs."""
    assert len(CELLS) == len({str(cell) for cell in CELLS}) == 45
