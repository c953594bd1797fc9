"""The account of a chaos run's workitems finds what it must find."""

from __future__ import annotations

import pytest

from benchmarks.chaos_pacs import Arrival
from benchmarks.chaos_ris import RIVAL, Entry
from benchmarks.chaos_ups_account import UpsAccount, ups_account

OURS = "2.25.7"
HELD = [Arrival(study="1", sop_class=one, sop_instance=f"1.{one}") for one in "AB"]
COMPLETED = {"1": ["9.1"]}
HEARD = [Entry(kind="heard", uid="9.1", state=one) for one in ("SCHEDULED", "IN PROGRESS", "COMPLETED")]


def item(state: str, transaction: str = "", outputs: tuple[str, ...] = ()) -> Entry:
    """A change of the only workitem of the RIS."""
    return Entry(kind="item", uid="5", study="1", state=state, transaction=transaction, outputs=outputs)


PERFORMED = [
    item("SCHEDULED"),
    item("IN PROGRESS", OURS),
    item("COMPLETED", OURS, ("1.A", "1.B")),
]


def account(entries: list[Entry], completed: dict[str, list[str]] | None = None) -> UpsAccount:
    """The account of one acknowledged study."""
    return ups_account({"1"}, entries, COMPLETED if completed is None else completed, HELD)


def test_workitem_that_was_performed_and_watched_counts_nowhere() -> None:
    """An event that is reported twice is not a fault."""
    assert account([*PERFORMED, *HEARD, HEARD[-1]]) == UpsAccount(
        items=1, ups_lost=0, ups_twice=0, ups_wrong_outputs=0, ups_unheard=0
    )


def test_another_performers_outputs_are_its_own() -> None:
    """A workitem completed by another performer needs no outputs from us."""
    rival = [item("SCHEDULED"), item("IN PROGRESS", RIVAL), item("COMPLETED", RIVAL)]
    assert account([*rival, *HEARD]).ups_wrong_outputs == 0


@pytest.mark.parametrize(
    ("entries", "completed", "fault"),
    [
        ([*PERFORMED[:2], *HEARD], None, "ups_lost"),
        ([*PERFORMED, *HEARD], {}, "ups_lost"),
        ([*PERFORMED, item("IN PROGRESS", RIVAL), *HEARD], None, "ups_twice"),
        ([*PERFORMED, *HEARD], {"1": ["9.1", "9.2"]}, "ups_twice"),
        ([*PERFORMED[:2], item("COMPLETED", OURS, ("1.A",)), *HEARD], None, "ups_wrong_outputs"),
        ([*PERFORMED, *HEARD[:2]], None, "ups_unheard"),
        ([*PERFORMED, HEARD[0], HEARD[2]], None, "ups_unheard"),
    ],
)
def test_each_fault_is_counted(
    entries: list[Entry], completed: dict[str, list[str]] | None, fault: str
) -> None:
    """Workitems that are lost, performed twice, with wrong outputs or without an event are counted."""
    assert getattr(account(entries, completed), fault) > 0
