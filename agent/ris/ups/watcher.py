"""A reading station's view of a worklist: subscribes, opens the channel, searches; searches again after a
break.

It uses only UPS-RS and its WebSocket, like any other system, so it also runs on another machine.

Source: PS3.18 section 11, IHE RAD AIW-I (watcher).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from agent.foundation.errors import ArchiveUnavailable
from agent.foundation.settings.delivery import ClientTlsSettings
from agent.network.tls import web_context
from agent.ris.ups.terms import GLOBAL_SUBSCRIPTION, StepState

# The states that are shown, in this order.
SHOWN = (StepState.IN_PROGRESS, StepState.SCHEDULED, StepState.COMPLETED, StepState.CANCELED)
_TIMEOUT_S = 10.0
_AGAIN_AFTER_S = 2.0
# A burst of events leads to one search.
_BURST_S = 0.2
_LOST = (httpx2.HTTPError, OSError, WebSocketException, TimeoutError, ArchiveUnavailable)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistLine:
    """One workitem as a reading station shows it; `percent` is empty if no progress was reported."""

    uid: str
    state: str
    priority: str
    readiness: str
    percent: str
    doing: str
    label: str


class Watcher:
    """Watches the worklist at a URL."""

    def __init__(
        self,
        url: str,
        ae_title: str,
        *,
        authorization: str = "",
        tls: ClientTlsSettings | None = None,
        limit: int = 50,
        again_after_s: float = _AGAIN_AFTER_S,
    ) -> None:
        """Be ready.

        url: of the worklist, such as `https://host:8043`.
        authorization: the header of this name. tls: of an https address; the authorities that other HTTP
        clients trust when None.
        ae_title: ours, to which the events go.
        limit: workitems of each state.
        again_after_s: pause before another attempt when the worklist cannot be reached.
        """
        self._url, self._ae_title, self._limit = url.rstrip("/"), ae_title, limit
        self._again_after_s = again_after_s
        self._headers = {"Authorization": authorization} if authorization else {}
        self._context = web_context(tls) if self._url.startswith("https:") else None
        self._server_name = None if tls is None else tls.server_name

    def watch(self, show: Callable[[Sequence[WorklistLine] | None], None], stop: threading.Event) -> None:
        """Show the worklist, and again after every change, until asked to stop.

        show: called with the lines, urgent ones first within a state, or None while the worklist cannot be
        reached.
        """
        while not stop.is_set():
            try:
                self._watch_until_broken(show, stop)
            except _LOST:
                show(None)
                stop.wait(self._again_after_s)

    def _watch_until_broken(
        self, show: Callable[[Sequence[WorklistLine]], None], stop: threading.Event
    ) -> None:
        with httpx2.Client(
            base_url=self._url,
            headers=self._headers,
            timeout=_TIMEOUT_S,
            verify=True if self._context is None else self._context,
            event_hooks={"request": [self._name_server]},
        ) as client:
            _expect(client.post(f"/workitems/{GLOBAL_SUBSCRIPTION}/subscribers/{self._ae_title}"), 201)
            where = f"{self._url.replace('http', 'ws', 1)}/subscribers/{self._ae_title}"
            with connect(
                where,
                additional_headers=self._headers,
                open_timeout=_TIMEOUT_S,
                ssl=self._context,
                server_hostname=self._server_name if self._context is not None else None,
            ) as channel:
                show(list(self._search(client)))
                while not stop.is_set():
                    with suppress(TimeoutError):
                        channel.recv(timeout=_TIMEOUT_S / 20)
                        stop.wait(_BURST_S)
                        with suppress(TimeoutError):
                            while True:
                                channel.recv(timeout=0)
                        show(list(self._search(client)))

    def _name_server(self, request: httpx2.Request) -> None:
        """Expect the name that the settings give to the certificate."""
        if self._server_name is not None:
            request.extensions = {**request.extensions, "sni_hostname": self._server_name}

    def _search(self, client: httpx2.Client) -> Iterator[WorklistLine]:
        for state in SHOWN:
            parameters = {"ProcedureStepState": state.value, "limit": str(self._limit)}
            answer = client.get("/workitems", params=parameters)
            if answer.status_code != 204:
                _expect(answer, 200)
                yield from (line_of(one) for one in answer.json())


def line_of(item: Mapping[str, Any]) -> WorklistLine:
    """Return a workitem, in DICOM JSON, as a line."""
    said = _first(item, "00741002") or {}
    percent = _first(said, "00741004")
    return WorklistLine(
        uid=str(_first(item, "00080018") or ""),
        state=str(_first(item, "00741000") or ""),
        priority=str(_first(item, "00741200") or ""),
        readiness=str(_first(item, "00404041") or ""),
        percent="" if percent is None else f"{float(percent):.0f}",
        doing=str(_first(said, "00741006") or _first(said, "00741238") or ""),
        label=str(_first(item, "00741204") or ""),
    )


def _first(item: Mapping[str, Any], tag: str) -> Any:
    values = (item.get(tag) or {}).get("Value") or [None]
    return values[0]


def _expect(answer: httpx2.Response, status: int) -> None:
    if answer.status_code != status:
        raise ArchiveUnavailable(f"the worklist answered {answer.status_code}")
