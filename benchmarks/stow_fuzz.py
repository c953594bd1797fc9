"""Mutates STOW-RS requests: every one must be answered in time, and complete objects before the damage must
be stored.

    python -m benchmarks.stow_fuzz [--count 10000] [--seed 7] [--folder var]

Each request has an intact object, then a damaged one: damaged in the multipart body, the file header or the
data set, or truncated. Prints one JSON object; status 1 if a request was not answered within 10 s, the server
died, or an intact object was lost.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from sqlalchemy import select

from agent.database import migrate
from agent.database.session import Database, open_engine
from agent.database.tables import Instance
from agent.foundation.log import configure_logging
from agent.foundation.settings.tree import ListenerSettings, LogSettings, Settings, StowSettings
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from agent.service.http_server import HttpServer, stow_server
from benchmarks.receive_stow_client import BOUNDARY, MEDIA_TYPE, part10

HANG_S = 10.0
_MARKS = b'\r\n-:;=" ' + BOUNDARY.encode()
_SMALL = 2_000


@dataclass(slots=True, kw_only=True)
class FuzzOutcome:
    """How the requests ended, by HTTP status; what was lost; and the longest answer (s)."""

    ends: Counter[str] = field(default_factory=Counter)
    lost: list[int] = field(default_factory=list)
    worst_s: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing hung, nothing broke and nothing was lost."""
        return not self.lost and set(self.ends) <= {"200", "202", "400", "409", "413", "415"}


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Return bytes with one to ten of them set, runs cut out, runs doubled, or the end cut off."""
    raw = bytearray(content)
    for _ in range(chance.randint(1, 10)):
        at, kind = chance.randrange(len(raw)), chance.random()
        if kind < 0.5:
            raw[at] = chance.choice(_MARKS) if chance.random() < 0.5 else chance.randrange(256)
        elif kind < 0.75 and len(raw) > 60:
            del raw[at : at + chance.randint(1, 40)]
        elif kind < 0.95:
            raw[at:at] = raw[max(0, at - 50) : at]
        else:
            del raw[max(at, 1) :]
    return bytes(raw)


def request_body(number: int, chance: random.Random) -> bytes:
    """Return a sound part of the UID `part10` makes of the number, its boundary, and then a damaged rest."""
    sound = part10(_SMALL, number)
    head = b"--%s\r\nContent-Type: application/dicom\r\n\r\n" % BOUNDARY.encode()
    before = head + sound + b"\r\n" + b"--%s\r\n" % BOUNDARY.encode()
    victim = part10(_SMALL, 500_000_000 + number)
    if chance.random() < 0.5:
        victim = victim[:128] + mutated(victim[128:900], chance) + victim[900:]
    rest = b"Content-Type: application/dicom\r\n\r\n" + victim + b"\r\n--%s--\r\n" % BOUNDARY.encode()
    return before + (mutated(rest, chance) if chance.random() < 0.6 else rest)


def fuzz(server: HttpServer, database: Database, numbers: range, chance: random.Random) -> FuzzOutcome:
    """Send a request for each number; afterwards check for each intact object."""
    outcome = FuzzOutcome()
    for number in numbers:
        body, began = request_body(number, chance), monotonic()
        outcome.ends[_post(server.port, body, cut=chance.random() < 0.03)] += 1
        outcome.worst_s = max(outcome.worst_s, monotonic() - began)
    with database.reading() as session:
        kept = set(session.scalars(select(Instance.sop_instance_uid)))
    outcome.lost = [number for number in numbers if f"2.25.{number:032d}" not in kept]
    outcome.ends.pop("cut", None)
    return outcome


def _post(port: int, body: bytes, *, cut: bool) -> str:
    """Return the status of the answer; `cut` for a request that we broke off before its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    try:
        declared = str(len(body) + (1000 if cut else 0))
        connection.request("POST", "/studies", body, {"Content-Type": MEDIA_TYPE, "Content-Length": declared})
        return "cut" if cut else str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {type(error).__name__}"
    finally:
        connection.close()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[HttpServer, Database]]:
    """Serve STOW-RS with a database and a store in a folder."""
    database = Database(open_engine(f"sqlite:///{folder / 'agent.db'}"))
    migrate.upgrade(database)
    store = InstanceStore(folder / "instances", 0)
    settings = ListenerSettings(stow=StowSettings(port=0), maximum_object_mb=1)
    server = stow_server(settings, store, Intake(database, Settings().studies), lambda event: None)
    if server is None:
        raise RuntimeError("the settings name no STOW-RS")
    server.start()
    try:
        yield server, database
    finally:
        server.stop()
        database.close()


def main() -> int:
    """Run, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=None, help="where the server writes")
    wanted = parser.parse_args()
    configure_logging(LogSettings(level="error"))
    with (
        tempfile.TemporaryDirectory(dir=wanted.folder) as folder,
        serving(Path(folder)) as (server, database),
    ):
        began = monotonic()
        outcome = fuzz(server, database, range(1, wanted.count + 1), random.Random(wanted.seed))
        seconds = monotonic() - began
    print(
        json.dumps(
            {
                "ends": outcome.ends,
                "lost": len(outcome.lost),
                "worst_ms": round(outcome.worst_s * 1000, 1),
                "seconds": round(seconds, 1),
            }
        )
    )
    return int(not outcome.good)


if __name__ == "__main__":
    sys.exit(main())
