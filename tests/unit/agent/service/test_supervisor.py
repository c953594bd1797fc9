"""The supervisor starts, restarts and ends its children."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.foundation.errors import ProcessFailed
from agent.service.lifecycle import Lifecycle
from agent.service.supervisor import ChildSpec, Supervisor, pause_s

# A child that reports readiness, writes its process id to a file, and ends in order when asked.
CHILD = """
import os, pathlib, signal, socket, sys, threading
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with pathlib.Path(sys.argv[1]).open("a") as file:
    file.write(f"{os.getpid()}\\n")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
stop.wait(30)
"""


def child(role: str, file: Path, code: str = CHILD) -> ChildSpec:
    """Describe a child that runs this code."""
    return ChildSpec(role=role, command=(sys.executable, "-S", "-c", code, str(file)))


def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> bool:
    """Wait for a condition."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def pids(file: Path) -> list[int]:
    """Return the ids of the processes that have started, oldest first."""
    return [int(line) for line in file.read_text().split()] if file.exists() else []


@contextmanager
def running(*specs: ChildSpec) -> Iterator[threading.Event]:
    """Run a supervisor in a thread until the block ends; the event is set when all children are ready."""
    lifecycle, ready = Lifecycle("supervisor", lambda: None), threading.Event()
    supervisor = Supervisor(specs, lifecycle, drain_s=10, on_ready=ready.set)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield ready
    finally:
        lifecycle.stop.set()
        thread.join()


def test_supervisor_is_ready_when_all_its_children_are(tmp_path: Path) -> None:
    """Readiness is reported when each child has started."""
    with running(child("a", tmp_path / "a"), child("b", tmp_path / "b")) as ready:
        assert ready.wait(60)
        assert (len(pids(tmp_path / "a")), len(pids(tmp_path / "b"))) == (1, 1)


def test_supervisor_ends_its_child(tmp_path: Path) -> None:
    """After the end the child is not alive."""
    with running(child("a", tmp_path / "a")) as ready:
        assert ready.wait(60)
        (pid,) = pids(tmp_path / "a")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_supervisor_restarts_a_child_that_was_killed(tmp_path: Path) -> None:
    """A worker that dies is restarted after a short pause; the other children keep running."""
    with running(child("a", tmp_path / "a"), child("b", tmp_path / "b")) as ready:
        assert ready.wait(60)
        os.kill(pids(tmp_path / "a")[0], signal.SIGKILL)
        assert eventually(lambda: len(pids(tmp_path / "a")) == 2)
        assert len(pids(tmp_path / "b")) == 1


def test_supervisor_kills_a_child_that_feeds_the_watchdog_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that hangs is restarted; one that never fed the watchdog keeps running."""
    monkeypatch.setattr("agent.service.supervisor.SILENT_AFTER_S", 0.1)
    fed = CHILD.replace("READY=1", "READY=1\\nWATCHDOG=1")
    with running(child("hangs", tmp_path / "a", fed), child("b", tmp_path / "b")) as ready:
        assert ready.wait(60)
        assert eventually(lambda: len(pids(tmp_path / "a")) > 1)
        assert len(pids(tmp_path / "b")) == 1


def test_supervisor_stops_when_a_child_cannot_start(tmp_path: Path) -> None:
    """A child that ends before it is ready has a cause that a restart cannot remedy: the supervisor ends."""
    broken = child("broken", tmp_path / "x", "raise SystemExit(2)")
    supervisor = Supervisor([broken, child("a", tmp_path / "a")], Lifecycle("supervisor", lambda: None))
    with pytest.raises(ProcessFailed, match="broken did not start"):
        supervisor.run()


@pytest.mark.parametrize(("failures", "expected"), [(1, 0.5), (2, 1.0), (3, 2.0), (20, 30.0), (5000, 30.0)])
def test_pause_grows_to_a_limit(failures: int, expected: float) -> None:
    """A child that dies again and again does not overload the machine, however often it dies."""
    assert pause_s(failures) == expected
