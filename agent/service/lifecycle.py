"""Common behaviour of all long-running processes: signals, readiness, and ending with the parent.

SIGTERM and SIGINT request an orderly shutdown, SIGHUP a restart with a configuration that is checked first.
Readiness and the watchdog use systemd's protocol, with systemd or with our own supervisor.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from types import FrameType
from typing import Any

import sdnotify

from agent.foundation.errors import SettingsError
from agent.foundation.log import get_logger

WATCHDOG_EVERY_S = 5.0
# Threads that every process has which uses them.
_ALWAYS = ("audit", "heartbeat", "signals", "wakeup")


class Lifecycle:
    """The life cycle of this process: `stop` is set when it should end, `restart` if it should start
    again.
    """

    def __init__(self, role: str, check_configuration: Callable[[], object]) -> None:
        self.stop = threading.Event()
        self.restart = False
        # Whether an essential thread has died: the process ends with status 1, to be started again.
        self.failed = False
        # The error code of a rejected reload; None if the last reload was accepted.
        self.refused: str | None = None
        self.id = f"{role}@{socket.gethostname()}:{os.getpid()}"
        self._role = role
        self._check = check_configuration
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._ended = threading.Event()
        self._log = get_logger(role)

    def take_signals(self) -> None:
        """Install the signal handlers; call it in the main thread, before anything slow."""
        threading.Thread(target=self._act_on_signals, name="signals", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)

    def end_with_parent(self) -> None:
        """Shut down when standard input closes: the supervisor holds its other end, so it closes however the
        supervisor ends.
        """
        threading.Thread(target=self._watch_parent, name="parent", daemon=True).start()

    def ready(self, *threads: str) -> None:
        """Report readiness, and notify the watchdog until the process has ended. The named threads are
        essential, each from the moment at which it is first seen. If one of them dies, the process would look
        healthy and do nothing: it ends with status 1, and the watchdog is no longer notified, in case
        something waits for the dead thread. systemd or our supervisor then starts it again.
        """
        gc.freeze()  # everything loaded so far stays until the end: no collection needs to visit it
        _notify("READY=1")
        self._log.info("ready", pid=os.getpid())
        feed = threading.Thread(
            target=self._feed_watchdog, args=({*_ALWAYS, *threads},), name="watchdog", daemon=True
        )
        feed.start()

    def reported(self, about: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
        """Return what a process reports about itself, with the code of a rejected reload."""
        return lambda: {**about(), **({} if self.refused is None else {"reload_refused": self.refused})}

    def finish(self) -> None:
        """Report that the process is stopping; on a restart, replace it with the new process.

        Raises:
            SystemExit: a thread of it has died.
        """
        self._ended.set()
        _notify("RELOADING=1" if self.restart else "STOPPING=1")
        self._log.info("stopped", pid=os.getpid())
        if self.failed:
            raise SystemExit(1)
        if self.restart:
            os.execv(sys.executable, [sys.executable, "-m", "agent", *sys.argv[1:]])

    def _note(self, number: int, _frame: FrameType | None) -> None:
        # The main thread may be interrupted anywhere, even while it holds the lock of the log or of `stop`;
        # waiting for that lock here would deadlock. This queue's `put` is made for signal handlers.
        self._signals.put(number)

    def _act_on_signals(self) -> None:
        while True:
            number = self._signals.get()
            if number == signal.SIGHUP:
                self._reload()
            else:
                self._log.info("stopping", signal=signal.Signals(number).name)
                self.stop.set()

    def _reload(self) -> None:
        try:
            self._check()
        except SettingsError as error:
            self.refused = error.code
            self._log.error("reload_refused", code=error.code)
            return
        except Exception as error:  # noqa: BLE001 - outermost of a reload; the running settings stay in force
            self.refused = SettingsError.code
            self._log.error("reload_refused", code=SettingsError.code, error_type=type(error).__name__)
            return
        self.refused = None
        self._log.info("reloading")
        self.restart = True
        self.stop.set()

    def _watch_parent(self) -> None:
        # Read the descriptor itself: a buffered reader would hold a lock that the interpreter needs at exit.
        while os.read(0, 1024):
            pass
        self.stop.set()

    def _feed_watchdog(self, needed: set[str]) -> None:
        seen: set[str] = set()
        while not self._ended.wait(WATCHDOG_EVERY_S):
            living = {thread.name for thread in threading.enumerate()}
            seen |= needed & living
            gone = sorted(seen - living)
            # At a stop they end one after the other.
            if gone and not self.stop.is_set():
                self._log.error("thread_died", what=",".join(gone))
                self.failed = True
                self.stop.set()
            if self.failed:
                return
            _notify("WATCHDOG=1")


def _notify(state: str) -> None:
    """Notify the service manager, if there is one."""
    if "NOTIFY_SOCKET" not in os.environ:
        return
    notifier = sdnotify.SystemdNotifier()
    notifier.notify(state)
    # The library keeps its socket open; it has none when the supervisor has died.
    if notifier.socket is not None:
        notifier.socket.close()
