"""Destinations are probed together, and one that does not answer does not hide the others."""

from __future__ import annotations

import threading

from agent.foundation.errors import DeliveryFailed
from agent.foundation.settings.tree import DestinationSettings
from agent.operations.probe import Watch, ask_all

HERE, GONE = (
    DestinationSettings(name=name, host="127.0.0.1", port=1, ae_title="PACS") for name in ("here", "gone")
)


def ask(destination: DestinationSettings) -> None:
    """Answer for one of the destinations."""
    if destination is GONE:
        raise DeliveryFailed("it is not there")


def test_ask_all_tells_each_by_its_name() -> None:
    """The result states which destinations answer and which do not, with the reason."""
    found = ask_all((HERE, GONE), ask)
    assert {name: (one.reachable, one.words) for name, one in found.items()} == {
        "here": (True, "answers"),
        "gone": (False, "it is not there"),
    }


def test_ask_all_asks_at_the_same_time() -> None:
    """Each probe waits until the other has started: one after the other they would never end."""
    both = threading.Barrier(2, timeout=30)
    assert set(ask_all((HERE, GONE), lambda _one: both.wait() and None)) == {"here", "gone"}


def test_watch_leaves_the_last_answers_with_the_sign_of_life() -> None:
    """The status can read their form; before the first answers there are none."""
    asked = threading.Event()

    def slowly(_destination: DestinationSettings) -> None:
        asked.wait(30)

    watch = Watch((HERE,), slowly)
    assert watch.about() == {"destinations": ["here"], "answers": {}}
    with watch:
        asked.set()
        while not watch.about()["answers"]:
            threading.Event().wait(0.01)
    assert watch.about()["answers"]["here"]["reachable"] is True
