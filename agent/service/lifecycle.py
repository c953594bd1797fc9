"""What every long-running process of the service does alike: signals, readiness, and living with its parent.

SIGTERM and SIGINT ask for an orderly end, SIGHUP for a restart with a configuration that has been checked
first. Readiness and the watchdog speak systemd's protocol, to systemd or to our own supervisor.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import sdnotify

from agent.foundation.errors import SettingsError
from agent.foundation.log import get_logger

WATCHDOG_EVERY_S = 5.0


class Lifecycle:
    """The life of this process: `stop` is set when it should end, `restart` says whether to begin anew."""

    def __init__(self, role: str, check_configuration: Callable[[], object]) -> None:
        self.stop = threading.Event()
        self.restart = False
        # The code of the configuration that a reload refused; None when the last one was taken.
        self.refused: str | None = None
        self.id = f"{role}@{socket.gethostname()}:{os.getpid()}"
        self._role = role
        self._check = check_configuration
        self._log = get_logger(role)

    def take_signals(self) -> None:
        """Handle the signals from now on; call it in the main thread, before anything slow."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_hangup)

    def end_with_parent(self) -> None:
        """End in order when standard input closes: the supervisor holds its other end, however it dies."""
        threading.Thread(target=self._watch_parent, name="parent", daemon=True).start()

    def ready(self, *threads: str) -> None:
        """Say that the process does its work now, and keep the watchdog content until it stops.

        The watchdog is fed only while the named threads live, each from the moment at which it is first seen:
        without them the process would look well and do nothing, and systemd starts it anew instead.
        """
        _notify("READY=1")
        self._log.info("ready", pid=os.getpid())
        feed = threading.Thread(
            target=self._feed_watchdog, args=(set(threads),), name="watchdog", daemon=True
        )
        feed.start()

    def told(self, about: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
        """Return what a process says of itself, with the code of a reload that was refused."""
        return lambda: {**about(), **({} if self.refused is None else {"reload_refused": self.refused})}

    def finish(self) -> None:
        """Say that the process stops; where a restart was asked for, become the new process."""
        _notify("RELOADING=1" if self.restart else "STOPPING=1")
        self._log.info("stopped", pid=os.getpid())
        if self.restart:
            os.execv(sys.executable, [sys.executable, "-m", "agent", *sys.argv[1:]])

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        self._log.info("stopping", signal=signal.Signals(number).name)
        self.stop.set()

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        try:
            self._check()
        except SettingsError as error:
            self.refused = error.code
            self._log.error("reload_refused", code=error.code)
            return
        except Exception as error:  # noqa: BLE001 - outermost of a signal; the running settings stay in force
            self.refused = SettingsError.code
            self._log.error("reload_refused", code=SettingsError.code, error_type=type(error).__name__)
            return
        self.refused = None
        self._log.info("reloading")
        self.restart = True
        self.stop.set()

    def _watch_parent(self) -> None:
        # Read the descriptor itself: a buffered reader would hold a lock that the interpreter's end needs.
        while os.read(0, 1024):
            pass
        self.stop.set()

    def _feed_watchdog(self, needed: set[str]) -> None:
        seen: set[str] = set()
        while not self.stop.wait(WATCHDOG_EVERY_S):
            living = {thread.name for thread in threading.enumerate()}
            seen |= needed & living
            gone = sorted(seen - living)
            if gone:
                self._log.error("thread_died", what=",".join(gone))
                return
            _notify("WATCHDOG=1")


def _notify(state: str) -> None:
    """Tell whoever started us; where nobody asked to be told, nothing happens."""
    if "NOTIFY_SOCKET" not in os.environ:
        return
    notifier = sdnotify.SystemdNotifier()
    notifier.notify(state)
    # The library keeps its socket open for ever; it has none when the supervisor has died.
    if notifier.socket is not None:
        notifier.socket.close()
