"""Processor time of the benchmark's processes, and of everything else on the machine, over its phases."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil

_EVERY_S = 0.5
# The first of these that is a word of a command line, or the name of a file in it, identifies the process's
# role.
_ROLES = {
    "backfill_archive.py": "archive",
    "backfill_worker.py": "worker",
    "Orthanc": "orthanc",
    "backfill": "backfill",
    "listen": "listener",
    "work": "worker",
}
DATABASE = "postgresql"
OTHERS = "other programs"


class ProcessorTime(threading.Thread):
    """Adds up the processor time of all descendants by role, and of this process as `benchmark`."""

    def __init__(self, server_port: int | None) -> None:
        """server_port: of the PostgreSQL server, whose processes are no children of ours."""
        super().__init__(name="processor time", daemon=True)
        self._server = None if server_port is None else _server(server_port)
        self._seen: dict[tuple[str, int], float] = {}
        self._roles: dict[int, str] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> None:
        """Sample until told to end."""
        while not self._ended.wait(_EVERY_S):
            self.totals()

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()

    def totals(self) -> Counter[str]:
        """Return the processor time (s) of each role so far, and of everything else on the machine."""
        ours = psutil.Process()
        with self._lock:
            self._look(ours, "benchmark")
            for process in ours.children(recursive=True):
                self._look(process)
            for process in () if self._server is None else (self._server, *self._server.children()):
                self._look(process, DATABASE)
            found: Counter[str] = Counter()
            for (role, _pid), seconds in self._seen.items():
                found[role] += seconds  # type: ignore[assignment]
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
        found[OTHERS] = busy - sum(found.values())
        return found

    def _look(self, process: psutil.Process, role: str | None = None) -> None:
        try:
            if process.pid not in self._roles:
                self._roles[process.pid] = role or role_of(process.cmdline())
            used = process.cpu_times()
        except psutil.Error:
            return
        self._seen[self._roles[process.pid], process.pid] = used.user + used.system


def role_of(command: Sequence[str]) -> str:
    """Return a process's role from its command line; a process that is not part of the service belongs to
    the benchmark.
    """
    words = {Path(word).name for word in command}
    return next((role for word, role in _ROLES.items() if word in words), "benchmark")


def _server(port: int) -> psutil.Process | None:
    """Return the process of the PostgreSQL server that listens on a port."""
    for one in psutil.process_iter(["name", "cmdline"]):
        words = one.info["cmdline"] or []
        if one.info["name"] == "postgres" and str(port) in words:
            return one
    return None


def shares(parts: dict[bool, Counter[str]], seconds: dict[bool, float]) -> list[dict[str, float | str]]:
    """Return the cores that each role used with and without the backfill, the largest growth first."""
    roles = {role for one in parts.values() for role in one}
    rows: list[dict[str, float | str]] = []
    for role in roles:
        beside, without = (
            round(parts[kind][role] / seconds[kind], 3) if seconds.get(kind) else 0.0
            for kind in (True, False)
        )
        rows.append({"process": role, "without": without, "beside": beside})
    return sorted(rows, key=lambda row: float(row["without"]) - float(row["beside"]))
