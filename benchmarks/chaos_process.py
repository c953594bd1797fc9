"""The processes of the chaos run: started with a failpoint or without, killed, and started again."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

from agent.commands.demo.service import own_environment
from agent.foundation.failpoints import DRAFTING, PERFORMING, RECEIVING, SENDING, VARIABLE

COMMANDS = {
    "listener": ("listen",),
    "worker": ("work",),
    "deliverer": ("deliver",),
    "worklist": ("ups", "serve"),
}
FAILPOINTS = {"listener": RECEIVING, "worker": DRAFTING, "deliverer": SENDING, "worklist": PERFORMING}
READY_WITHIN_S = 300.0
# If nothing passes a failpoint for this long (s) after readiness, the process is killed anyway.
PATIENCE_S = 20.0
ROOT = Path(__file__).resolve().parent.parent


class Victim:
    """One role of the agent: its process, and how often and where it was killed."""

    def __init__(self, role: str, config: Path, folder: Path, seed: int) -> None:
        self.role = role
        self.kills: dict[str, int] = {}
        # It ended by itself: the database was down at its start, or it has a defect; its log says which.
        self.ends = 0
        self._config = config
        self._log = folder / f"{role}.log"
        self._address = folder / f"{role}.notify"
        self._chance = Random(f"{seed}-{role}")
        self._round = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._address))

    @property
    def killed(self) -> int:
        """How often it was killed."""
        return sum(self.kills.values())

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, failpoint: str = "", **changes: str) -> None:
        """Start the process; `changes` are environment variables, such as those that override settings."""
        environment = {**own_environment(), **changes}
        if failpoint:
            environment[VARIABLE] = failpoint
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agent", *COMMANDS[self.role], "--config", str(self._config)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def round(self) -> None:
        """Start it, let it be killed at a failpoint or at a random moment, and count the kill."""
        # Every failpoint in turn, and then a random moment.
        places = (*FAILPOINTS[self.role], "")
        place = places[self._round % len(places)]
        self._round += 1
        passes = self._chance.choice((1, 1, 2, 3))
        self._forget()
        # Only here: a notification that nobody reads would block its sender in the end.
        self.start(f"{place}:{passes}" if place else "", NOTIFY_SOCKET=str(self._address))
        if place:
            if self._ready() and self._ended(PATIENCE_S):
                self._count(place)
                return
        elif self._chance.random() < 0.25:
            self._ended(self._chance.uniform(0.1, 3.0))  # in the middle of its start
        else:
            self._ready()
            self._ended(self._chance.uniform(0.0, 2.0))
        self.kill()

    def kill(self) -> None:
        """Kill it with SIGKILL, wherever it is."""
        if self._process is not None and self.alive:
            self._process.kill()
        self._count("random moment")

    def stop(self) -> None:
        """Shut it down, without counting."""
        if self._process is None or not self.alive:
            return
        self._process.terminate()
        if not self._ended(60.0):
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop it and release its resources."""
        self.stop()
        self._socket.close()
        self._address.unlink(missing_ok=True)

    def _count(self, place: str) -> None:
        process = self._process
        if process is None:
            return
        if process.wait() == -signal.SIGKILL:
            self.kills[place] = self.kills.get(place, 0) + 1
        else:
            self.ends += 1
            time.sleep(1.0)

    def _ended(self, within_s: float) -> bool:
        assert self._process is not None
        try:
            self._process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _forget(self) -> None:
        """Discard the output of earlier processes."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(4096)
        except BlockingIOError:
            return

    def _ready(self) -> bool:
        """Wait until it reports readiness; False if it ended first (which may be its failpoint)."""
        assert self._process is not None
        deadline = time.monotonic() + READY_WITHIN_S
        self._socket.settimeout(0.1)
        while time.monotonic() < deadline:
            try:
                if b"READY=1" in self._socket.recv(4096):
                    return True
            except TimeoutError:
                if self._process.poll() is not None:
                    return True
        return False


class Hunt(threading.Thread):
    """Kills one process repeatedly until its share of kills is used up, then leaves it running."""

    def __init__(self, victim: Victim, kills: int) -> None:
        super().__init__(name=f"hunt-{victim.role}", daemon=True)
        self._victim = victim
        self._kills = kills
        self.off = threading.Event()
        # Held while the process is being stopped or started.
        self.paused = threading.Lock()

    def run(self) -> None:
        """Kill until the share is used up."""
        while self._victim.killed < self._kills and not self.off.is_set():
            with self.paused:
                self._victim.round()
            time.sleep(0.05)  # a lock is not fair: a waiting thread gets it now
        with self.paused:
            if not self._victim.alive and not self.off.is_set():
                self._victim.start()
