"""Destinations are asked together, and one that is silent does not hide the others."""

from __future__ import annotations

import threading

from agent.foundation.errors import DeliveryFailed
from agent.foundation.settings.tree import DestinationSettings
from agent.operations.probe import Watch, ask_all

HERE, GONE = (
    DestinationSettings(name=name, host="127.0.0.1", port=1, ae_title="PACS") for name in ("here", "gone")
)


def ask(destination: DestinationSettings) -> None:
    """Answer for one of them."""
    if destination is GONE:
        raise DeliveryFailed("it is not there")


def test_ask_all_tells_each_by_its_name() -> None:
    """Who answers and who does not, with the reason."""
    found = ask_all((HERE, GONE), ask)
    assert {name: (one.reachable, one.words) for name, one in found.items()} == {
        "here": (True, "answers"),
        "gone": (False, "it is not there"),
    }


def test_ask_all_asks_at_the_same_time() -> None:
    """Each waits until the other has been asked too: one after the other they would wait for ever."""
    both = threading.Barrier(2, timeout=30)
    assert set(ask_all((HERE, GONE), lambda _one: both.wait() and None)) == {"here", "gone"}


def test_watch_leaves_the_last_answers_with_the_sign_of_life() -> None:
    """Its form is what the status reads; before the first answers there are none."""
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
