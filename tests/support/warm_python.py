"""Starts processes of the agent as forks of a Python that has imported everything (`warm_server`).

A start takes 3 to 15 s of processor time, nearly all of it for imports; a fork takes a tenth of that. Tests
of the start itself, of the installation and of the demo start the program as its users do.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The folder with the server's socket: the processes of a test session have one server together.
VARIABLE = "ECHO_TEST_WARM_START"
STARTS_WITHIN_S = 240.0
_ROOT = Path(__file__).resolve().parent.parent.parent
# Set in a process that is a fork itself: how it forks. Its children are of its session and group, as of any
# process, unless it has threads that may hold locks; then the server forks for it.
fork_here: Callable[..., int] | None = None
# False in a fork whose own processes are started as always.
forks = True
_HOLD_NO_LOCKS = {"MainThread", "signals"}


@functools.cache
def _address() -> Path:
    """Start the server unless another process has; return its socket. A connection stays open to keep it."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = tempfile.mkdtemp(prefix="echo-agent-warm-")
    folder = Path(os.environ[VARIABLE])
    address = folder / "socket"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            kept = _connected(address)
        except OSError:
            kept = _started(address)
    atexit.register(kept.close)
    return address


def _started(address: Path) -> socket.socket:
    address.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH")))),
        # A single thread: locks held by other threads when a process forks are never released in the fork.
        "OMP_NUM_THREADS": "1",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
    # In its own session, because it outlives the first of several test processes; nobody waits for it.
    command = [sys.executable, "-m", "tests.support.warm_server", str(address)]
    server = os.posix_spawn(sys.executable, command, environment, setsid=True)
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and os.waitpid(server, os.WNOHANG) == (0, 0):
        try:
            return _connected(address)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the process that forks did not start; standard error says why")


def _connected(address: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(str(address))
    except OSError:
        connection.close()
        raise
    return connection


class WarmPopen(subprocess.Popen[Any]):
    """`subprocess.Popen`, which does not start a Python anew: a command that begins with `sys.executable`."""

    _connection: socket.socket | None = None

    def _execute_child(self, args: Any, executable: Any, *rest: Any) -> None:
        # The parameters are those of the standard library's method of this name.
        if not forks or isinstance(args, str) or args[0] != sys.executable or executable is not None:
            super()._execute_child(args, executable, *rest)  # type: ignore[misc]
            return
        cwd, environment = rest[3:5]
        pipes, new_session = rest[8:14], rest[-2]
        reading, _, _, writing, _, error = pipes
        streams = [mine if mine != -1 else std for std, mine in enumerate((reading, writing, error))]
        request = {
            "arguments": [str(one) for one in args[1:]],
            "folder": str(cwd or Path.cwd()),
            "environment": dict(os.environ if environment is None else environment),
            "new_session": new_session,
        }
        if fork_here is not None and {one.name for one in threading.enumerate()} <= _HOLD_NO_LOCKS:
            self.pid = fork_here(streams=streams, **request)
        else:
            self._connection = _connected(_address())
            socket.send_fds(self._connection, [json.dumps(request).encode()], streams)
            answer = self._connection.recv(100)
            assert answer, "the process that forks has ended; standard error says why"
            self.pid = int(answer)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        if self._connection is None:
            return super()._internal_poll(_deadstate)  # type: ignore[misc,no-any-return]
        with self._waitpid_lock:  # type: ignore[attr-defined]
            if self.returncode is None:
                ended, status = self._try_wait(os.WNOHANG)
                if ended:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """As `os.waitpid` for this process, which is no child of ours."""
        if self._connection is None:
            return super()._try_wait(wait_flags)  # type: ignore[misc,no-any-return]
        if wait_flags & os.WNOHANG and not select.select([self._connection], [], [], 0)[0]:
            return 0, 0
        with self._connection:
            status = self._connection.recv(100)
        return self.pid, int(status or signal.SIGKILL)


def warm_run(
    command: list[str], *, timeout: float, capture_output: bool = True, **options: Any
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run`."""
    pipe = subprocess.PIPE if capture_output else None
    with WarmPopen(command, stdout=pipe, stderr=pipe, **options) as process:
        try:
            output, error = process.communicate(timeout=timeout)
        finally:
            process.kill()
    return subprocess.CompletedProcess(command, process.returncode, output, error)
