"""The agent's surroundings in the chaos run, which can fail: the PACS, the database, the disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.commands.demo.orthanc import free_ports
from agent.commands.demo.pacs import AE_TITLE
from agent.commands.demo.postgres import PostgresServer, running_postgres
from benchmarks.chaos_pacs import Arrival, read_record
from benchmarks.chaos_ris import AE_TITLE as RIS
from benchmarks.chaos_ris import AGENT_AE_TITLE, Entry, read_entries

DISK_MB = 128
ROOT = Path(__file__).resolve().parent.parent


class PacsProcess:
    """The PACS, as a process on a port that stays the same."""

    host = "127.0.0.1"
    ae_title = AE_TITLE

    def __init__(self, folder: Path, listener: int) -> None:
        self.port = free_ports(1)[0]
        self._listener = listener
        self._record = folder / "pacs.jsonl"
        self._log = folder / "pacs.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        program = str(ROOT / "benchmarks" / "chaos_pacs.py")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, program, str(self.port), str(self._record), str(self._listener)],
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """Kill it: associations break, and new ones are refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def documents(self, study_instance_uid: str) -> tuple[bytes, ...]:
        """It keeps a record but no documents."""
        del study_instance_uid
        return ()

    def arrivals(self) -> list[Arrival]:
        """What it has received, including copies."""
        return read_record(self._record)


class RisProcess:
    """The RIS, as a process: it orders drafts, and watches the agent's worklist at the port `worklist`."""

    def __init__(self, folder: Path) -> None:
        self.port, self.worklist, self._http = free_ports(3)
        self._orders, self._record, self._log = folder / "orders", folder / "ris.jsonl", folder / "ris.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        program = str(ROOT / "benchmarks" / "chaos_ris.py")
        places = [str(self.port), str(self._orders), str(self._record), str(self.worklist)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, program, *places], stdout=log, stderr=log)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def order(self, study_instance_uid: str) -> None:
        """Have it order a draft; the study need not have arrived yet."""
        with self._orders.open("a") as file:
            file.write(study_instance_uid + "\n")

    def entries(self) -> list[Entry]:
        """The outcome of its workitems, and the events of the agent's."""
        return read_entries(self._record)

    def settings(self) -> dict[str, object]:
        """The agent's settings for it, as a manager and as a subscriber."""
        address = {"host": "127.0.0.1", "port": self.port, "ae_title": RIS}
        return {
            "enabled": True,
            "ae_title": AGENT_AE_TITLE,
            "port": self.worklist,
            "http_port": self._http,
            "subscribers": [address],
            "managers": [{"name": "ris", "poll_s": 0.5, **address}],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosDatabase:
    """A database that can be stopped: PostgreSQL as by a power cut, SQLite by holding a lock."""

    url: str
    server: PostgresServer | None
    file: Path

    def outage(self, seconds: float) -> None:
        """Block all writes for a while."""
        if self.server is not None:
            self.server.stop("immediate")
            time.sleep(seconds)
            self.server.start()
            return
        connection = sqlite3.connect(self.file, timeout=30.0, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def chaos_database(kind: str, folder: Path) -> Iterator[ChaosDatabase]:
    """Make an empty database of a kind: `sqlite` or `postgresql`."""
    file = folder / "agent.db"
    if kind == "sqlite":
        yield ChaosDatabase(url=f"sqlite:///{file}", server=None, file=file)
        return
    # A killed server keeps what it wrote: `fsync` matters only if the machine itself fails.
    with running_postgres(durable=False) as server:
        yield ChaosDatabase(url=server.url(server.create()), server=server, file=file)


class Disk:
    """The disk of `storage.path`: a small tmpfs where mounting is allowed, else the folder it is in."""

    def __init__(self, path: Path, *, small: bool) -> None:
        self.path = path
        self.small = small
        self._filler = path / "filler"

    @property
    def words(self) -> str:
        """How a full disk is produced."""
        return f"a full tmpfs of {DISK_MB} MB" if self.small else "simulated by storage.min_free_mb"

    def fill(self) -> None:
        """Take all the space that is left, to the last byte."""
        with suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65536))

    def empty(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def chaos_disk(path: Path) -> Iterator[Disk]:
    """Mount a small file system, or take the folder `path` where that is not allowed.

    The mount is outside `path`: if this process is killed, nobody who deletes that folder meets a busy mount.
    """
    own = Path(tempfile.mkdtemp(prefix="echo-agent-chaos-disk-"))
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(own)],
            capture_output=True,
            check=False,
        )
        small = mounted.returncode == 0
    except FileNotFoundError:
        small = False
    if not small:
        path.mkdir()
    try:
        yield Disk(own if small else path, small=small)
    finally:
        if small:
            subprocess.run(["umount", "--lazy", str(own)], check=True)
        own.rmdir()
