"""The process of the UPS worklist: settings in, manager, transports and performers out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import uvicorn
from starlette.applications import Starlette

from agent.audit.process import audited
from agent.database.audit.record import Recorder
from agent.database.session import Database
from agent.foundation.errors import DatabaseUnavailable, PortUnavailable
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.operations.heartbeat import Presence
from agent.service.lifecycle import Lifecycle
from agent.ups.channel import Channel
from agent.ups.manager import Manager
from agent.ups.performer import Performer
from agent.ups.permissions import Permissions
from agent.ups.projection import Projection
from agent.ups.reporting import EventReporter
from agent.ups.retriever import ArchiveRetriever
from agent.ups.rs import ups_app
from agent.ups.scp import UpsScp
from agent.ups.terms import EventType
from agent.ups.upkeep import Upkeep
from agent.ups.wording import Station
from agent.web.limits import MAXIMUM_HEAD, BoundedProtocol

_TICK_S = 0.5
_UPKEEP_S = 60.0
# Connections over HTTP, WebSockets included, and bytes of a message that a subscriber sends to us.
_MOST_CONNECTIONS, _LONGEST_WORD = 400, 4096


def run_worklist(settings: Settings, database: Database, lifecycle: Lifecycle) -> None:
    """Serve the worklist over DIMSE and HTTP, and perform for other managers, until asked to stop.

    Raises:
        PortUnavailable: an address and port cannot be bound.
    """
    ups = settings.ups
    peers = {one.ae_title.strip(): one for one in ups.subscribers}
    manager = Manager(database, reachable=peers, strict=ups.strict, actor=lifecycle.id)
    station = station_of(settings)
    performers = make_performers(settings, database, station)
    recorder = Recorder(database, "ups")
    listener = settings.listener.model_copy(update={"ae_title": ups.ae_title, "port": ups.port})
    permissions = Permissions(ups.permissions, ups.token)
    scp = UpsScp(listener, manager, permissions=permissions, on_event=_hear(performers), note=recorder.note)
    port = scp.start()
    http = _Http(
        settings, ups_app(manager, Channel(database, permissions=permissions), permissions=permissions)
    )
    reporter = EventReporter(database, peers)
    ticks: list[tuple[float, Callable[[], object]]] = [
        (_TICK_S, Projection(database, station, peers, ae_titles_of(settings), settings.in_shadow).tick),
        (_TICK_S, reporter.tick),
        (_UPKEEP_S, Upkeep(database, ups, peers).tick),
    ]
    about = {"ae_title": ups.ae_title, "port": port, "http_port": ups.http_port}

    def status() -> dict[str, object]:
        return {**about, **scp.about()}

    try:
        with ExitStack() as held:
            held.enter_context(audited(database, settings, "ups", lifecycle.id, lambda: lifecycle.restart))
            held.enter_context(recorder)
            held.enter_context(Presence(database, "ups", lifecycle.id, lifecycle.told(status)))
            http.start()
            manager.announce("RESTARTED")
            threads = [_loop(f"ups-{n}", every, act, lifecycle.stop) for n, (every, act) in enumerate(ticks)]
            threads += [
                _loop(f"ups-for-{name}", every, one.tick, lifecycle.stop, one.woken)
                for name, (every, one) in performers.items()
            ]
            lifecycle.ready(*(one.name for one in threads))
            lifecycle.stop.wait()
            manager.announce("GOING DOWN")
            for thread in threads:
                thread.join(10)
    finally:
        http.stop()
        scp.stop()
        reporter.close()
        database.close()


def station_of(settings: Settings) -> Station:
    """Return what this performer is called in workitems."""
    return Station(ae_title=settings.listener.ae_title, name="ECHO Agent")


def ae_titles_of(settings: Settings) -> dict[str, str]:
    """Return the AE title of each destination that has one, by its name."""
    return {one.name: title for one in settings.destinations if (title := getattr(one, "ae_title", ""))}


def make_performers(
    settings: Settings, database: Database, station: Station
) -> dict[str, tuple[float, Performer]]:
    """Return a performer for each manager, by its name, with the pause (s) between its ticks."""
    retriever = ArchiveRetriever(settings)
    return {
        one.name: (
            one.poll_s,
            Performer(
                database,
                one,
                station,
                retriever,
                ae_titles=ae_titles_of(settings),
                receiving_ae_title=settings.ups.ae_title,
            ),
        )
        for one in settings.ups.managers
    }


def _hear(performers: dict[str, tuple[float, Performer]]) -> Callable[[str, int], None]:
    def hear(uid: str, kind: int) -> None:
        for _, performer in performers.values():
            if kind == EventType.CANCEL_REQUESTED:
                performer.cancel(uid)
            performer.woken.set()

    return hear


def _loop(
    name: str,
    every_s: float,
    act: Callable[[], object],
    stop: threading.Event,
    woken: threading.Event | None = None,
) -> threading.Thread:
    """Run a tick again and again in a thread of its own, until asked to stop."""
    log = get_logger("ups")

    def run() -> None:
        while not stop.is_set():
            try:
                act()
            except DatabaseUnavailable as error:
                log.warning("database_unavailable", code=error.code)
            except Exception as error:  # noqa: BLE001 - outermost: one tick must not end the ones to come
                log.critical("unexpected", error_type=type(error).__name__, where=name)
            left = every_s
            while left > 0 and not stop.wait(min(left, 0.2)):
                left -= 0.2
                if woken is not None and woken.is_set():
                    break

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


class _Http:
    """UPS-RS in a thread of its own."""

    def __init__(self, settings: Settings, app: Starlette) -> None:
        ups = settings.ups
        self._where = f"{ups.http_host}:{ups.http_port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=ups.http_host,
                port=ups.http_port,
                log_config=None,
                access_log=False,  # addresses would hold what was searched for
                server_header=False,
                ssl_certfile=ups.tls_certificate,
                ssl_keyfile=ups.tls_key,
                timeout_graceful_shutdown=2,
                http=BoundedProtocol,
                limit_concurrency=_MOST_CONNECTIONS,
                h11_max_incomplete_event_size=MAXIMUM_HEAD,
                ws_max_size=_LONGEST_WORD,
            )
        )
        self._thread = threading.Thread(target=self._server.run, name="ups-http", daemon=True)

    def start(self) -> None:
        """Serve.

        Raises:
            PortUnavailable: the address and port cannot be bound.
        """
        self._thread.start()
        pause = threading.Event()
        while not self._server.started:
            if not self._thread.is_alive():
                raise PortUnavailable(f"UPS-RS cannot bind {self._where}: change `ups.http_port`")
            pause.wait(0.05)

    def stop(self) -> None:
        """End after the requests that are being served."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(10)
