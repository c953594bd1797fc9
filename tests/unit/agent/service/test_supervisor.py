"""The supervisor starts, restarts and ends its children."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.foundation.errors import ProcessFailed
from agent.service.lifecycle import Lifecycle
from agent.service.supervisor import Child, ChildSpec, Supervisor, pause_s

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
# One that is ready only when a file exists; one that is ready before it writes its id; one that says how it
# ended; one that does not end when asked.
WAITS = CHILD.replace(
    "with socket.socket", "while not os.path.exists(sys.argv[1] + '-go'): stop.wait(0.02)\nwith socket.socket"
)
FIRST = """
import os, pathlib, socket, sys, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
with pathlib.Path(sys.argv[1]).open("a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(30)
"""
SAYS = CHILD + "pathlib.Path(sys.argv[1] + '-ended').touch()\n"
DEAF = CHILD.replace("lambda *_: stop.set()", "signal.SIG_IGN")
# One that fails as soon as another has started.
FAILS = """
import os, sys, time
while not (os.path.exists(sys.argv[1]) and os.path.getsize(sys.argv[1])): time.sleep(0.02)
raise SystemExit(2)
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


def alive(pid: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Ready(threading.Event):
    """Set when all children are ready; `times` is how often that was announced."""

    times = 0

    def set(self) -> None:
        """Count an announcement."""
        self.times += 1
        super().set()


@contextmanager
def running(*specs: ChildSpec, drain_s: float = 10) -> Iterator[Ready]:
    """Run a supervisor in a thread until the block ends; the event is set when all children are ready."""
    lifecycle, ready = Lifecycle("supervisor", lambda: None), Ready()
    supervisor = Supervisor(specs, lifecycle, drain_s=drain_s, on_ready=ready.set)
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


def test_supervisor_is_ready_once_and_not_before_its_last_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that was ready is restarted while another still starts; later restarts announce nothing."""
    monkeypatch.setattr("agent.service.supervisor.pause_s", lambda failures: 0.0)
    a, b = tmp_path / "a", tmp_path / "b"

    def kill(start: int) -> None:
        assert eventually(lambda: len(pids(a)) == start)
        os.kill(pids(a)[-1], signal.SIGKILL)

    with running(child("a", a, FIRST), child("b", b, WAITS)) as ready:
        kill(1)
        kill(2)
        assert eventually(lambda: len(pids(a)) == 3)
        assert not ready.is_set()
        Path(f"{b}-go").touch()
        assert ready.wait(60)
        kill(3)
        kill(4)
        assert eventually(lambda: len(pids(a)) == 5)
    assert ready.times == 1


@pytest.mark.parametrize("said", [True, False])
def test_child_that_was_ready_for_a_moment_has_started(tmp_path: Path, said: bool) -> None:
    """Its last words count even if it has died when they are read: a restart may help."""
    supervised = Supervisor([], Lifecycle("supervisor", lambda: None))
    one = Child(child("a", tmp_path / "a", "import sys" if said else "raise SystemExit(2)"), tmp_path)
    one.start()
    assert one.process is not None
    one.process.wait()
    if said:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", str(tmp_path / "a"))
        supervised._look_after(one)
        assert (one.failures, one.process) == (1, None)
    else:
        with pytest.raises(ProcessFailed, match="exit status 2"):
            supervised._look_after(one)
    one.socket.close()


def test_supervisor_lets_its_children_end_in_order(tmp_path: Path) -> None:
    """A child ends itself when asked; after the supervisor's end it is not alive."""
    with running(child("a", tmp_path / "a", SAYS)) as ready:
        assert ready.wait(60)
        (pid,) = pids(tmp_path / "a")
    assert (tmp_path / "a-ended").exists()
    assert not alive(pid)


def test_supervisor_kills_a_child_that_does_not_end_in_time(tmp_path: Path) -> None:
    """The supervisor's own end does not wait for a child that ignores the request."""
    with running(child("a", tmp_path / "a", DEAF), drain_s=0.2) as ready:
        assert ready.wait(60)
        (pid,) = pids(tmp_path / "a")
    assert not alive(pid)


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
    """A child that ends before it is ready has a cause that a restart cannot remedy: everything ends."""
    broken, other = child("broken", tmp_path / "a", FAILS), child("a", tmp_path / "a")
    supervisor = Supervisor([broken, other], Lifecycle("supervisor", lambda: None))
    with pytest.raises(ProcessFailed, match="broken did not start"):
        supervisor.run()
    (pid,) = pids(tmp_path / "a")
    assert not alive(pid)


@pytest.mark.parametrize(("failures", "expected"), [(1, 0.5), (2, 1.0), (3, 2.0), (20, 30.0), (5000, 30.0)])
def test_pause_grows_to_a_limit(failures: int, expected: float) -> None:
    """A child that dies again and again does not overload the machine, however often it dies."""
    assert pause_s(failures) == expected
