"""A Python that has imported everything and starts processes by forking: most of the agent's start-up time is
imports.

    warm_server.py SOCKET     started by `tests.support.warm_python`

Each connection asks for one process: a Python command line with its folder, environment and descriptors
(standard input, output and error). The answer is the process id and, once it has ended, its wait status.
A connection that sends nothing only keeps the server alive: it ends when it has no more connections.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from tests.support import warm_python

LARGEST_REQUEST = 200_000
# All of these are imported, with all that they import: what the agent runs, and what trains its network.
PACKAGES = (
    "agent",
    "dicom_sr",
    "model.drafts",
    "model.findings",
    "model.phantom",
    "model.reporting",
    "model.train",
)


def fork(
    arguments: list[str],
    streams: Sequence[int],
    folder: str | None,
    environment: dict[str, str] | None,
    *,
    new_session: bool,
) -> int:
    """Start `python ARGUMENTS` as a fork of this process; return its process id.

    streams: the descriptors that become its standard input, output and error.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    begun, beginning = os.pipe()
    child = os.fork()
    if child == 0:
        _become(arguments, streams, folder, environment, new_session=new_session)
    # Its end of the pipe closes once its session and its streams are set up.
    os.close(beginning)
    os.read(begun, 1)
    os.close(begun)
    return child


def _become(
    arguments: list[str],
    streams: Sequence[int],
    folder: str | None,
    environment: dict[str, str] | None,
    *,
    new_session: bool,
) -> NoReturn:
    """Behave like a Python that has just started, and end like one."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if new_session:
        os.setsid()
    copies = [os.dup(one) for one in streams]
    for standard, copy in enumerate(copies):
        os.dup2(copy, standard)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    if folder is not None:
        os.chdir(folder)
    if environment is not None:
        os.environ.clear()
        os.environ.update(environment)
    warm_python.forks = warm_python.VARIABLE in os.environ
    warm_python.fork_here = fork
    # It is read once, at the start of a process.
    importlib.reload(importlib.import_module("agent.foundation.failpoints"))
    status = _status_of(lambda: _run(arguments))
    for finish in (threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):  # type: ignore[attr-defined]
        _status_of(finish)
    os._exit(status)


def _run(arguments: list[str]) -> None:
    kind, *others = [one for one in arguments if one != "-u"]
    if kind == "-m":
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *others[1:]]
        exec(others[0], {"__name__": "__main__"})
    else:
        sys.argv = [kind, *others]
        runpy.run_path(kind, run_name="__main__")


def _status_of(action: Callable[[], object]) -> int:
    """Act as the interpreter does at its outermost level; return the exit status."""
    try:
        action()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - outermost of a process
        traceback.print_exc()
        return 1
    return 0


def _import_everything() -> None:
    # Before anything takes the name from there: what a fork starts is forked too, unless it wants otherwise.
    subprocess.Popen = warm_python.WarmPopen  # type: ignore[misc]
    gc.set_threshold(100_000, 20, 100)
    for name in PACKAGES:
        package = importlib.import_module(name)
        for one in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not one.name.endswith("__main__"):
                importlib.import_module(one.name)


def main(address: str) -> None:
    """Serve until nobody is connected."""
    _import_everything()
    # A fork need not look through what was imported for garbage.
    gc.freeze()
    assert len(os.listdir("/proc/self/task")) == 1
    woken, wake = os.pipe2(os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(64)
    open_connections = {listener.accept()[0]}
    started: dict[int, socket.socket] = {}
    while open_connections or started:
        ready, _, _ = select.select([listener, woken, *open_connections], [], [])
        if woken in ready:
            os.read(woken, 4096)
        while started and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with started.pop(ended[0]) as connection, contextlib.suppress(BrokenPipeError):
                connection.send(str(ended[1]).encode())
        for connection in open_connections & set(ready):
            open_connections.remove(connection)
            child = _serve(connection)
            if child:
                started[child] = connection
            else:
                connection.close()
        if listener in ready:
            open_connections.add(listener.accept()[0])
    # The session that started it may have deleted the folder first.
    shutil.rmtree(Path(address).parent, ignore_errors=True)


def _serve(connection: socket.socket) -> int:
    """Start the requested process, and answer with the process id; 0 if the connection has closed."""
    request, streams, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 3)
    if not request:
        return 0
    wanted = json.loads(request)
    child = fork(
        wanted["arguments"],
        streams,
        wanted["folder"],
        wanted["environment"],
        new_session=wanted["new_session"],
    )
    for one in streams:
        os.close(one)
    with contextlib.suppress(BrokenPipeError):
        connection.send(str(child).encode())
    return child


if __name__ == "__main__":
    main(*sys.argv[1:])
