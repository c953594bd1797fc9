"""Checks whether each destination answers, in the way of its kind: C-ECHO, a connection (MLLP has no request
without side effects), or a small DICOMweb request.

`status` asks directly. The deliverer asks every minute and stores the answers with its heartbeat, so that the
metrics need no connection of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agent.foundation.clock import Clock, SystemClock
from agent.foundation.errors import AgentError
from agent.foundation.settings.tree import DestinationSettings
from agent.network.store_scu import echo
from agent.network.tcp_client import connect
from agent.operations.status import ProbeAnswer

EVERY_S = 60.0
# For a person waiting at the screen, a PACS that needs longer than this (s) for a C-ECHO is down.
PATIENCE_S = 4.0
AT_ONCE = 16

Ask = Callable[[DestinationSettings], None]


def ask(destination: DestinationSettings) -> None:
    """Return if the destination answers.

    Raises:
        AgentError: it does not; the text says why.
    """
    hurried = destination.model_copy(update={"timeout_s": min(destination.timeout_s, PATIENCE_S)})
    if destination.kind == "dicom":
        echo(hurried)
        return
    if destination.kind == "hl7":
        connect(hurried).close()
        return
    if destination.kind == "fhir":
        from agent.network.fhir_client import open_fhir

        with open_fhir(hurried) as connection:
            connection.capabilities()
        return
    from agent.network.stow import check_reachable  # an HTTP client that a DICOM-only site does not load

    check_reachable(hurried)


def ask_all(
    destinations: Sequence[DestinationSettings], ask_one: Ask = ask, clock: Clock | None = None
) -> dict[str, ProbeAnswer]:
    """Ask all destinations at the same time; return the answers by the destinations' names."""
    if not destinations:
        return {}
    clock = clock or SystemClock()

    def one(destination: DestinationSettings) -> ProbeAnswer:
        try:
            ask_one(destination)
        except AgentError as error:
            return ProbeAnswer(reachable=False, words=str(error), at=clock.now())
        except Exception as error:  # noqa: BLE001 - outermost of a probe: the others must have their answers
            words = f"unexpected {type(error).__name__}: report it to the developers"
            return ProbeAnswer(reachable=False, words=words, at=clock.now())
        return ProbeAnswer(reachable=True, words="answers", at=clock.now())

    with ThreadPoolExecutor(min(AT_ONCE, len(destinations)), "probe") as pool:
        return dict(zip((each.name for each in destinations), pool.map(one, destinations), strict=True))


class Watch:
    """Asks the destinations repeatedly, from a thread; `about` returns their latest answers."""

    def __init__(self, destinations: Sequence[DestinationSettings], ask_one: Ask = ask) -> None:
        self._destinations = destinations
        self._ask = ask_one
        self._answers: Mapping[str, ProbeAnswer] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="probe", daemon=True)

    def __enter__(self) -> Watch:
        """Start asking."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop, without waiting for a pending request."""
        self._stop.set()

    def about(self) -> dict[str, Any]:
        """Return the answers in the form of a heartbeat."""
        return {
            "destinations": [each.name for each in self._destinations],
            "answers": {
                name: {"reachable": one.reachable, "words": one.words, "at": one.at.isoformat()}
                for name, one in self._answers.items()
            },
        }

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._answers = ask_all(self._destinations, self._ask)
            self._stop.wait(EVERY_S)
