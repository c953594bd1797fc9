"""A reading station's view: what is scheduled, in progress and completed, live and after a disconnection."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydicom import Dataset

from agent.commands.demo.orthanc import free_ports
from agent.database.session import Database
from agent.foundation.settings.delivery import ClientTlsSettings
from agent.foundation.settings.http import HttpCredentials
from agent.network.web_session import authorization_header
from agent.ris.ups.channel import Channel
from agent.ris.ups.manager import Manager
from agent.ris.ups.permissions import Permissions
from agent.ris.ups.rs import ups_app
from agent.ris.ups.terms import StepState
from agent.ris.ups.watcher import Watcher, WorklistLine
from tests.support.ups import outcome, scheduled
from tests.support.web_peers import authority

TOKEN = Permissions(token="secret")
MINE = "2.25.61"


@contextmanager
def serving(database: Database, manager: Manager, port: int, **options: Any) -> Iterator[None]:
    """Serve UPS-RS within the block; the options are uvicorn's, such as those of TLS."""
    app = ups_app(manager, Channel(database, permissions=TOKEN), permissions=TOKEN)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1, **options
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


class Screen:
    """What was shown, with a method that waits until something is shown."""

    def __init__(self) -> None:
        self.shown: list[Sequence[WorklistLine] | None] = []
        self._changed = threading.Condition()

    def __call__(self, lines: Sequence[WorklistLine] | None) -> None:
        """Record what is shown."""
        with self._changed:
            self.shown.append(lines)
            self._changed.notify_all()

    def until(self, holds: Callable[[Sequence[WorklistLine] | None], bool]) -> None:
        """Wait until what is shown meets the condition."""
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self.shown) and holds(self.shown[-1]), 60), self.shown


def shows(uid: str, state: str, priority: str, percent: str) -> Callable[[object], bool]:
    """Return a condition: the workitem is shown with these values."""

    def holds(lines: object) -> bool:
        found = [one for one in lines or () if one.uid == uid]  # type: ignore[attr-defined]
        return [(one.state, one.priority, one.percent) for one in found] == [(state, priority, percent)]

    return holds


def test_reading_station_sees_drafts_come_and_end(database: Database) -> None:
    """Each change of a draft is shown; what was missed during a disconnection is shown after it."""
    manager, (port,) = Manager(database), free_ports(1)
    uid, screen, stop = "2.25.9600.1", Screen(), threading.Event()
    watcher = Watcher(f"http://127.0.0.1:{port}", "STATION", authorization="Bearer secret", again_after_s=0.2)
    watching = threading.Thread(target=watcher.watch, args=(screen, stop), daemon=True)
    manager.create(uid, scheduled())
    with serving(database, manager, port):
        watching.start()
        screen.until(shows(uid, "SCHEDULED", "MEDIUM", ""))
        changes, step = Dataset(), Dataset()
        changes.ScheduledProcedureStepPriority = "HIGH"
        manager.update(uid, changes)
        manager.change_state(uid, "IN PROGRESS", MINE)
        screen.until(shows(uid, "IN PROGRESS", "HIGH", ""))
        changes = Dataset()
        step.ProcedureStepProgress = "40"
        changes.ProcedureStepProgressInformationSequence = [step]
        manager.update(uid, changes, transaction_uid=MINE)
        screen.until(shows(uid, "IN PROGRESS", "HIGH", "40"))
    screen.until(lambda lines: lines is None)
    manager.update(uid, outcome(StepState.COMPLETED), transaction_uid=MINE)
    assert manager.change_state(uid, "COMPLETED", MINE).status == 0
    with serving(database, manager, port):
        screen.until(shows(uid, "COMPLETED", "HIGH", "40"))
        stop.set()
        watching.join(30)
    assert not watching.is_alive()


@pytest.mark.parametrize("token", ["", "Bearer wrong"])
def test_station_without_the_token_sees_nothing(database: Database, token: str) -> None:
    """The station shows that the worklist cannot be reached, and tries again."""
    manager, (port,) = Manager(database), free_ports(1)
    manager.create("2.25.9600.2", scheduled())
    screen, stop = Screen(), threading.Event()
    watcher = Watcher(f"http://127.0.0.1:{port}", "STATION", authorization=token, again_after_s=0.05)
    with serving(database, manager, port):
        watching = threading.Thread(target=watcher.watch, args=(screen, stop), daemon=True)
        watching.start()
        screen.until(lambda _: len(screen.shown) >= 2)
        stop.set()
        watching.join(30)
    assert set(screen.shown) == {None}


@pytest.mark.parametrize("ours", [True, False], ids=["certificate", "none"])
def test_station_reaches_a_worklist_over_https(database: Database, tmp_path: Path, ours: bool) -> None:
    """With its own authority, another server name, and a client certificate if the server demands one."""
    signs = authority(tmp_path)
    certificate, key = signs.issue("worklist", "worklist.example")
    shown = signs.issue("station") if ours else (None, None)
    tls = ClientTlsSettings(
        authorities=signs.file, certificate=shown[0], key=shown[1], server_name="worklist.example"
    )
    manager, (port,) = Manager(database), free_ports(1)
    manager.create("2.25.9600.3", scheduled())
    screen, stop = Screen(), threading.Event()
    watcher = Watcher(
        f"https://127.0.0.1:{port}", "STATION", authorization="Bearer secret", tls=tls, again_after_s=0.05
    )
    demands = {"ssl_ca_certs": str(signs.file), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    files = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    with serving(database, manager, port, **files, **demands):
        watching = threading.Thread(target=watcher.watch, args=(screen, stop), daemon=True)
        watching.start()
        if ours:
            screen.until(shows("2.25.9600.3", "SCHEDULED", "MEDIUM", ""))
        else:
            screen.until(lambda _: len(screen.shown) >= 2)
            assert set(screen.shown) == {None}
        stop.set()
        watching.join(30)
    assert not watching.is_alive()


def test_station_signs_in_with_the_shared_credentials(tmp_path: Path) -> None:
    """A bearer token or a password is read from a file, as by the other HTTP clients."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    token = HttpCredentials(token_file=secret)
    basic = HttpCredentials(username="me", password_file=secret)
    assert authorization_header(token) == "Bearer s3cret"
    assert authorization_header(basic) == "Basic bWU6czNjcmV0"
