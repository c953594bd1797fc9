"""`echo-agent serve`: listener, worker and deliverer as child processes of one, restarted when they die.

A child reports readiness as it would to systemd, over its own socket. If a child ends before it was ever
ready, a restart would not help: everything stops, and that child's reason is on standard error. A child that
dies later is restarted after an increasing pause, and one that feeds the watchdog no more is killed first.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.foundation.errors import ProcessFailed
from agent.foundation.failure import RetryPolicy
from agent.foundation.log import get_logger
from agent.service.lifecycle import Lifecycle

_RESTARTS = RetryPolicy(first_s=0.5, longest_s=30.0)
# A child that has run this long counts as healthy: its next pause is short again.
HEALTHY_AFTER_S = 60.0
# A child that has fed the watchdog for no longer than this (s) hangs; systemd's units have the same limit.
SILENT_AFTER_S = 60.0
POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """A child process: its role and its command."""

    role: str
    command: tuple[str, ...]


def pause_s(failures: int) -> float:
    """Return the pause (s) before the restart after `failures` consecutive deaths."""
    return _RESTARTS.ceiling_s(failures)


class Child:
    """One child process and the socket on which it reports readiness."""

    def __init__(self, spec: ChildSpec, folder: Path) -> None:
        self.spec = spec
        self.ready = False
        self.was_ready = False
        self.failures = 0
        self.start_at = 0.0
        self.started_at = 0.0
        # When it last fed the watchdog; None until it has begun to.
        self.fed_at: float | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self._address = str(folder / spec.role)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(self._address)

    def start(self) -> None:
        """Start the process; its standard input is a pipe that closes when we die."""
        environment = {**os.environ, "NOTIFY_SOCKET": self._address}
        self.ready, self.fed_at = False, None
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(self.spec.command, stdin=subprocess.PIPE, env=environment)

    def read(self) -> None:
        """Read the child's notifications."""
        while True:
            try:
                said = self.socket.recv(4096)
            except BlockingIOError:
                return
            if b"READY=1" in said:
                self.ready = self.was_ready = True
            if b"WATCHDOG=1" in said:
                self.fed_at = time.monotonic()
            if b"RELOADING=1" in said or b"STOPPING=1" in said:
                self.fed_at = None

    def send(self, number: signal.Signals) -> None:
        """Send a signal if the process is alive."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


class Supervisor:
    """Keeps the children running until `lifecycle.stop` is set, then stops them in order."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        lifecycle: Lifecycle,
        *,
        drain_s: float = 60.0,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._specs = specs
        self._lifecycle = lifecycle
        self._drain_s = drain_s
        self._on_ready = on_ready
        self._log = get_logger("supervisor")
        self._children: list[Child] = []

    def run(self) -> None:
        """Run until stopped.

        Raises:
            ProcessFailed: a child ended before it was ever ready; all others have been stopped.
        """
        with (
            tempfile.TemporaryDirectory(prefix="echo-agent-") as folder,
            selectors.DefaultSelector() as sockets,
        ):
            self._children = [Child(spec, Path(folder)) for spec in self._specs]
            for child in self._children:
                sockets.register(child.socket, selectors.EVENT_READ, child)
                child.start()
            try:
                self._keep_alive(sockets)
            finally:
                self._end_all()
                for child in self._children:
                    child.socket.close()

    def hang_up(self) -> None:
        """Tell every child to check the configuration and to restart with it."""
        for child in self._children:
            child.send(signal.SIGHUP)

    def _keep_alive(self, sockets: selectors.BaseSelector) -> None:
        announced = False
        while not self._lifecycle.stop.is_set():
            for key, _ in sockets.select(POLL_S):
                key.data.read()
            for child in self._children:
                self._look_after(child)
            if not announced and all(child.ready for child in self._children):
                announced = True
                self._lifecycle.ready()
                self._on_ready()

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                child.start()
            return
        status = child.process.poll()
        if status is None:
            if child.fed_at is not None and now - child.fed_at > SILENT_AFTER_S:
                self._log.error("child_silent", role=child.spec.role, seconds=SILENT_AFTER_S)
                child.fed_at = None
                child.send(signal.SIGKILL)
            if child.failures and now - child.started_at > HEALTHY_AFTER_S:
                child.failures = 0
            return
        _close_pipe(child.process)
        child.read()  # it may have been ready for a moment since the last look
        if not child.was_ready:
            raise ProcessFailed(
                f"the {child.spec.role} did not start (exit status {status}); its reason is above"
            )
        child.failures += 1
        child.process, child.ready = None, False
        child.start_at = now + pause_s(child.failures)
        self._log.error("child_died", role=child.spec.role, status=status, attempts=child.failures)

    def _end_all(self) -> None:
        for child in self._children:
            child.send(signal.SIGTERM)
        deadline = time.monotonic() + self._drain_s
        for child in self._children:
            if child.process is None:
                continue
            try:
                child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.error("child_killed", role=child.spec.role)
                child.process.kill()
                child.process.wait()
            _close_pipe(child.process)


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
