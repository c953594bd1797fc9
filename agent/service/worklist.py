"""The process of the UPS worklist: builds the manager, transports and performers from the settings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

from agent.database.audit.record import Event, Recorder
from agent.database.session import Database
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.log import get_logger
from agent.foundation.settings.tree import Settings
from agent.operations.audit.process import audited
from agent.operations.heartbeat import Heartbeat
from agent.receive.intake import Intake
from agent.receive.retrieved import incoming_of
from agent.ris.ups.channel import Channel
from agent.ris.ups.housekeeping import WorkitemHousekeeper
from agent.ris.ups.manager import Manager
from agent.ris.ups.performer import Performer
from agent.ris.ups.permissions import Permissions
from agent.ris.ups.projection import Projection
from agent.ris.ups.reporting import EventReporter
from agent.ris.ups.retriever import ArchiveRetriever
from agent.ris.ups.rs import ups_app
from agent.ris.ups.scp import UpsScp
from agent.ris.ups.terms import EventType
from agent.ris.ups.wording import Station
from agent.service.http_server import HttpServer
from agent.service.lifecycle import Lifecycle
from agent.service.wiring import open_store

_TICK_S = 0.5
_HOUSEKEEPING_S = 60.0


def run_worklist(settings: Settings, database: Database, lifecycle: Lifecycle) -> None:
    """Serve the worklist over DIMSE and HTTP, and perform for other managers, until told to stop.

    Raises:
        PortUnavailable: an address and port cannot be bound.
    """
    ups = settings.ups
    peers = {one.ae_title.strip(): one for one in ups.subscribers}
    manager = Manager(database, reachable=peers, strict=ups.strict, actor=lifecycle.id)
    station = station_of(settings)
    recorder = Recorder(database, "ups")
    performers = make_performers(settings, database, station, recorder.note)
    listener = settings.listener.model_copy(update={"ae_title": ups.ae_title, "port": ups.port})
    permissions = Permissions(ups.permissions, ups.token)
    scp = UpsScp(listener, manager, permissions=permissions, on_event=_hear(performers), note=recorder.note)
    port = scp.start()
    http = HttpServer(
        ups_app(manager, Channel(database, permissions=permissions), permissions=permissions),
        ups.http_host,
        ups.http_port,
        certificate=ups.tls_certificate,
        key=ups.tls_key,
        name="ups-http",
        graceful_s=2,
    )
    reporter = EventReporter(database, peers)
    ticks: list[tuple[float, Callable[[], object]]] = [
        (_TICK_S, Projection(database, station, peers, ae_titles_of(settings), settings.in_shadow).tick),
        (_TICK_S, reporter.tick),
        (_HOUSEKEEPING_S, WorkitemHousekeeper(database, ups, peers).tick),
    ]
    about = {"ae_title": ups.ae_title, "port": port, "http_port": ups.http_port}

    def status() -> dict[str, object]:
        return {**about, **scp.about()}

    try:
        with ExitStack() as held:
            held.enter_context(audited(database, settings, "ups", lifecycle.id, lambda: lifecycle.restart))
            held.enter_context(recorder)
            held.enter_context(Heartbeat(database, "ups", lifecycle.id, lifecycle.reported(status)))
            http.start()
            manager.announce("RESTARTED")
            threads = [_loop(f"ups-{n}", every, act, lifecycle.stop) for n, (every, act) in enumerate(ticks)]
            threads += [
                _loop(f"ups-for-{name}", every, one.tick, lifecycle.stop, one.woken)
                for name, (every, one) in performers.items()
            ]
            lifecycle.ready("ups", "ups-http", *(one.name for one in threads))
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
    """Return the name of this performer in workitems."""
    return Station(ae_title=settings.listener.ae_title, name="ECHO Agent")


def ae_titles_of(settings: Settings) -> dict[str, str]:
    """Return the AE title of each destination that has one, by its name."""
    return {one.name: title for one in settings.destinations if (title := getattr(one, "ae_title", ""))}


def make_performers(
    settings: Settings, database: Database, station: Station, note: Callable[[Event], None]
) -> dict[str, tuple[float, Performer]]:
    """Return a performer for each manager, by its name, with the pause (s) between its ticks."""
    intake = Intake(database, settings.studies, settings.site_of)
    retriever = ArchiveRetriever(settings, incoming_of(settings, open_store(settings), intake, note))
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
    """Run a tick repeatedly in its own thread, until told to stop."""
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
