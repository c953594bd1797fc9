"""The table of states, and the diagram generated from it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from agent.database.states import DeliveryState, JobState
from agent.foundation.errors import InvalidTransition
from agent.queue.states import DELIVERY_TRANSITIONS, TRANSITIONS, check_delivery_step, check_job_step, diagram


def reachable(transitions: tuple[tuple[str | None, str], ...]) -> set[str]:
    """The states that can be reached from the initial one."""
    found: set[str | None] = {None}
    for _ in transitions:
        found |= {after for before, after in transitions if before in found}
    return {state for state in found if state is not None}


def test_states_are_all_reachable() -> None:
    """No state is dead code."""
    assert reachable(tuple((step.before, step.after) for step in TRANSITIONS)) == set(JobState)
    # COMMITTED is reached from STORED by storage commitment.
    assert reachable(tuple((step.before, step.after) for step in DELIVERY_TRANSITIONS)) == set(DeliveryState)


def test_states_delivered_ends_unless_a_document_is_lost() -> None:
    """Only a loss leads out of DELIVERED: a new image makes a new revision with its own job."""
    assert [step.after for step in TRANSITIONS if step.before == JobState.DELIVERED] == [JobState.DELIVERING]


def test_states_every_stop_can_be_undone_by_a_person() -> None:
    """SKIPPED, FAILED, DEAD and CANCELED lead back into the queue."""
    back = {step.before for step in TRANSITIONS if step.after == JobState.QUEUED}
    assert {JobState.SKIPPED, JobState.FAILED, JobState.DEAD, JobState.CANCELED} <= back


def test_states_steps_outside_the_table_are_refused() -> None:
    """Exactly the pairs of the table are allowed."""
    allowed = {(step.before, step.after) for step in TRANSITIONS}
    for before, after in itertools.product([None, *JobState], JobState):
        if (before, after) in allowed:
            check_job_step(before, after)
        else:
            with pytest.raises(InvalidTransition):
                check_job_step(before, after)


def test_states_delivery_steps_outside_the_table_are_refused() -> None:
    """A stored document is not sent again automatically."""
    check_delivery_step("PENDING", "SENDING")
    with pytest.raises(InvalidTransition):
        check_delivery_step("STORED", "SENDING")


def test_states_diagram_has_each_step_with_its_letter() -> None:
    """The diagram has one lettered line for each transition, in the order of the table."""
    lines = diagram().splitlines()
    assert lines[0] == "Job"
    assert lines[1].startswith("(a)")
    assert lines[1].split()[1:4] == ["*", "->", "RECEIVING"]
    assert len(lines) == len(TRANSITIONS) + len(DELIVERY_TRANSITIONS) + 3
    assert all(step.why in line for step, line in zip(TRANSITIONS, lines[1:], strict=False))


def test_states_diagram_in_the_documentation_is_the_present_one(repository: Path) -> None:
    """`docs/queue.md` shows the current state table."""
    page = repository / "docs" / "queue.md"
    text = page.read_text(encoding="utf-8")
    assert diagram() in text, "copy the output of agent.queue.states.diagram() into docs/queue.md"
