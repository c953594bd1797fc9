"""How every process handles signals and the end of its parent."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from agent.foundation.errors import SettingsError
from agent.foundation.log import get_logger
from agent.service.lifecycle import Lifecycle
from tests.support.waiting import wait_for


@pytest.fixture
def _signals() -> object:
    """Restore the signal handlers after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
def test_lifecycle_stops_on_sigterm() -> None:
    """SIGTERM requests an orderly end, not a restart."""
    lifecycle = Lifecycle("listener", lambda: None)
    lifecycle.take_signals()
    os.kill(os.getpid(), signal.SIGTERM)
    assert (lifecycle.stop.wait(30), lifecycle.restart) == (True, False)


@pytest.mark.usefixtures("_signals")
def test_lifecycle_restarts_on_sighup_with_a_right_configuration() -> None:
    """SIGHUP ends the process for a restart once the configuration has been checked."""
    lifecycle = Lifecycle("listener", lambda: None)
    lifecycle.take_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    assert (lifecycle.stop.wait(30), lifecycle.restart) == (True, True)


@pytest.mark.usefixtures("_signals")
def test_lifecycle_ignores_sighup_with_a_wrong_configuration() -> None:
    """A typing error in the file never stops a running service."""

    def refuse() -> None:
        raise SettingsError("wrong")

    lifecycle = Lifecycle("listener", refuse)
    lifecycle.take_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    wait_for(lambda: lifecycle.refused == SettingsError.code)
    assert (lifecycle.stop.is_set(), lifecycle.restart) == (False, False)


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_lifecycle_is_signalled_in_the_middle_of_a_log_line(number: signal.Signals) -> None:
    """The log's lock is held at that time; a handler that logs would wait for it for ever."""
    lifecycle = Lifecycle("listener", lambda: None)
    lifecycle.take_signals()
    lines: list[str] = []

    class Interrupted(io.StringIO):
        def write(self, text: str) -> int:
            if not lines:
                lines.append(text)
                os.kill(os.getpid(), number)
            lines.append(text)
            return len(text)

    # An earlier test in this process may have left a level at which nothing is written.
    structlog.reset_defaults()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(Interrupted()))
    try:
        get_logger("test").info("ready")
        assert lines != []
        assert lifecycle.stop.wait(30)
    finally:
        structlog.reset_defaults()
    assert any("stopping" in line or "reloading" in line for line in lines)


def test_lifecycle_ends_with_its_parent() -> None:
    """When standard input closes, however the supervisor ended, the process ends in order."""
    code = (
        "from agent.service.lifecycle import Lifecycle\n"
        "life = Lifecycle('worker', lambda: None)\n"
        "life.end_with_parent()\n"
        "raise SystemExit(0 if life.stop.wait(60) else 1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=30) == 0


def test_lifecycle_tells_systemd_that_it_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness is sent to the socket that the environment names."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        lifecycle = Lifecycle("worker", lambda: None)
        lifecycle.ready()
        assert notify.recv(100) == b"READY=1"
        lifecycle.stop.set()
        lifecycle.finish()
        assert notify.recv(100) == b"STOPPING=1"


@pytest.fixture
def notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of the notification socket, with a watchdog that is fed continuously."""
    monkeypatch.setattr("agent.service.lifecycle.WATCHDOG_EVERY_S", 0.01)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(30)
        yield end


def test_lifecycle_feeds_the_watchdog(notify: socket.socket) -> None:
    """WATCHDOG=1 is sent repeatedly until the process is asked to stop."""
    lifecycle = Lifecycle("worker", lambda: None)
    lifecycle.ready()
    assert [notify.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
    lifecycle.finish()


def test_lifecycle_ends_with_a_fault_when_a_thread_has_died(notify: socket.socket) -> None:
    """A listener whose accepting thread has died would look healthy for ever: it ends, to be restarted."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="accepting", daemon=True)
    thread.start()
    lifecycle = Lifecycle("listener", lambda: None)
    lifecycle.ready("accepting", "never-started")
    assert [notify.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
    end.set()
    thread.join()
    assert lifecycle.stop.wait(30)
    with pytest.raises(SystemExit) as ended:
        lifecycle.finish()
    assert ended.value.code == 1


def test_lifecycle_feeds_the_watchdog_until_it_has_ended(notify: socket.socket) -> None:
    """A worker's last studies may take longer than the watchdog waits; its threads end meanwhile."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="accepting", daemon=True)
    thread.start()
    lifecycle = Lifecycle("worker", lambda: None)
    lifecycle.ready("accepting")
    assert [notify.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
    lifecycle.stop.set()
    end.set()
    thread.join()
    assert [notify.recv(100) for _ in range(2)] == [b"WATCHDOG=1", b"WATCHDOG=1"]
    lifecycle.finish()
    assert not lifecycle.failed
