"""Kills the agent between send and ACK, and between receive and ACK, and accounts for every message.

    python benchmarks/hl7_kills.py [--kills N] [--seconds S] [--seed N] [--json]

Separate processes (`echo-agent listen`, `echo-agent deliver`) on SQLite. Half of the kills hit the listener,
while a RIS sends orders and signed reports, each until it is acknowledged; half hit the deliverer, while it
sends drafts and verdicts, which were written beforehand without the network. Each is killed with SIGKILL at
every failpoint in turn, and at random moments. With `--json` the last line is `{kills, places, in_sent,
in_acknowledged, out_written, out_received, in_lost, in_twice, out_lost, out_changed, out_disordered,
out_unsettled, seconds}`. The exit status is 1 unless all faults are 0.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from random import Random
from select import select as wait_for
from time import monotonic, sleep

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import yaml
from sqlalchemy import func, select

from agent.commands.demo.orthanc import free_ports
from agent.commands.demo.service import own_environment
from agent.database import migrate
from agent.database.session import Database, open_engine
from agent.database.states import DeliveryState
from agent.database.tables import Delivery
from agent.foundation.failpoints import HL7_RECEIVING, HL7_SENDING
from agent.foundation.log import configure_logging
from agent.foundation.settings.tree import LogSettings, Settings
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from benchmarks.hl7_kills_account import Account, of_incoming, of_outgoing
from benchmarks.hl7_kills_peers import Receiver, Sender
from tests.support.course import StudyCourse
from tests.support.hl7_messages import order, report
from tests.support.house import House

ROOT = Path(__file__).resolve().parent.parent
# Where each role is killed; the empty name is a random moment.
PLACES = {
    "listen": (*HL7_RECEIVING, ""),
    "deliver": ("delivery.before-send", *HL7_SENDING, "delivery.before-row", "delivery.after-row", ""),
}
# If nothing passes a failpoint for this long (s), the process is killed anyway.
PATIENCE_S = 60.0
DONE_WITHIN_S = 300.0


class Starter:
    """Starts and ends the agent's processes, one at a time (`benchmarks/hl7_kills_fork.py`)."""

    def __init__(self, folder: Path) -> None:
        program = str(ROOT / "benchmarks" / "hl7_kills_fork.py")
        self._process = subprocess.Popen(
            [sys.executable, program, str(folder / "config.yaml"), str(folder / "agent.log")],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=own_environment(),
        )
        assert self._said(DONE_WITHIN_S) == "ready"
        self._child = 0

    def start(self, role: str, place: str = "") -> None:
        """Start a role; with a failpoint it will kill itself there."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{role} {place or '-'}\n".encode())
        self._child = int(self._said(DONE_WITHIN_S) or 0)

    def ended(self, within_s: float) -> int | None:
        """Wait for the end; return its exit status, or None if it is still running."""
        said = self._said(within_s)
        return None if said is None else int(said)

    def signal(self, number: int) -> int:
        """Send it a signal and wait for its end; return its exit status."""
        os.kill(self._child, number)
        status = self.ended(DONE_WITHIN_S)
        assert status is not None
        return status

    def close(self) -> None:
        """End, once no role is running any more."""
        self._process.communicate()

    def _said(self, within_s: float) -> str | None:
        assert self._process.stdout is not None
        readable, _, _ = wait_for([self._process.stdout], [], [], within_s)
        return self._process.stdout.readline().decode().strip() if readable else None


def kill(
    starter: Starter,
    role: str,
    times: int,
    chance: Random,
    *,
    until: float,
    prepare: Callable[[], None] = lambda: None,
) -> Counter[str]:
    """Start a role repeatedly, to be killed each time; return how often it died where.

    until: no new start after this moment (s, monotonic). prepare: called before each start.
    """
    places: Counter[str] = Counter()
    for number in range(times):
        if monotonic() > until:
            break
        prepare()
        place = PLACES[role][number % len(PLACES[role])]
        starter.start(role, f"{place}:{chance.choice((1, 1, 2))}" if place else "")
        status = starter.ended(PATIENCE_S if place else chance.uniform(0.2, 3.0))
        if status is None:
            starter.signal(signal.SIGKILL)
            places["random moment"] += 1
        else:
            # If it was not killed, it ended by itself: its log says why.
            places[place if status == -signal.SIGKILL else f"ended with {status}"] += 1
    return places


def configuration(folder: Path, receiver: int) -> tuple[Settings, int]:
    """Write the settings of both roles; return them and the HL7 port."""
    dicom, mllp = free_ports(2)
    values = {
        "database": {"url": f"sqlite:///{folder / 'agent.db'}"},
        "storage": {"path": str(folder / "instances")},
        "listener": {"port": dicom},
        "hl7": {"enabled": True, "port": mllp},
        "delivery": {"lease_s": 1, "first_retry_s": 0.05, "longest_retry_s": 0.2, "poll_s": 0.1, "batch": 4},
        "destinations": [
            {
                "name": "ris",
                "kind": "hl7",
                "host": "127.0.0.1",
                "port": receiver,
                "hl7": {"acknowledgement": "enhanced"},
            }
        ],
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return Settings.model_validate(values), mllp


def incoming() -> Iterator[bytes]:
    """Yield, for one accession number after another, an order, its change, and the signed report."""
    for number in count():
        name = f"A{number // 3}"
        made = (
            order(f"N{number}", accession=name, question="Cough?"),
            order(f"N{number}", accession=name, question="Rib fracture?", priority="S"),
            report(f"N{number}", accession=name),
        )
        yield made[number % 3]


class Outbox:
    """Drafts and verdicts that wait for the deliverer: two messages for each study."""

    def __init__(self, database: Database, settings: Settings) -> None:
        store = InstanceStore(settings.storage.path, 0)
        self._house = House(database=database, store=store, intake=Intake(database, settings.studies))
        self._settings = settings
        self._studies = 0

    def fill(self) -> None:
        """Write studies until enough messages wait for the next kill."""
        while unsettled(self._house.database) < 6:
            self._studies += 1
            study = StudyCourse(self._house, self._settings, self._studies)
            study.draft()
            study.judge()


def unsettled(database: Database) -> int:
    """Return how many messages have not reached a final state."""
    with database.relaxed() as session:
        waiting = Delivery.state != DeliveryState.STORED.value
        return session.scalar(select(func.count()).select_from(Delivery).where(waiting)) or 0


def run(kills: int, seconds: float, seed: int, folder: Path) -> dict[str, object]:
    """Kill, let all work finish, and return the counts."""
    began, chance, receiver = monotonic(), Random(seed), Receiver()
    settings, port = configuration(folder, receiver.port)
    database = Database(open_engine(settings.database.url))
    migrate.upgrade(database)
    share = {"deliver": kills - kills // 2, "listen": kills // 2}
    starter = Starter(folder)
    outbox = Outbox(database, settings)
    half, whole = began + seconds / 2, began + seconds
    places = kill(starter, "deliver", share["deliver"], chance, until=half, prepare=outbox.fill)
    _finish(starter, "deliver", lambda: unsettled(database) == 0)
    receiver.close()
    sender = Sender(port, incoming())
    sender.start()
    places += kill(starter, "listen", share["listen"], chance, until=whole)
    sender.enough.set()
    _finish(starter, "listen", lambda: not sender.is_alive())
    starter.close()
    told = len(sender.acknowledged)
    orders, reports = (told + 2) // 3, told // 3
    account = _account(database, sender, receiver, orders, reports)
    database.close()
    return {
        "kills": places.total(),
        "places": dict(places),
        "in_sent": sender.sent,
        "in_acknowledged": told,
        "out_written": len({one.control_id for one in receiver.received}),
        "out_received": len(receiver.received),
        **{name: getattr(account, name) for name in Account.__slots__},
        "seconds": round(monotonic() - began, 1),
    }


def _account(database: Database, sender: Sender, receiver: Receiver, orders: int, reports: int) -> Account:
    in_lost, in_twice = of_incoming(database, sender.acknowledged, orders, reports)
    lost, changed, disordered, open_ = of_outgoing(database, receiver.received)
    return Account(
        in_lost=in_lost + len(sender.wrong),
        in_twice=in_twice,
        out_lost=lost,
        out_changed=changed,
        out_disordered=disordered,
        out_unsettled=open_,
    )


def _finish(starter: Starter, role: str, done: Callable[[], bool]) -> None:
    """Let the role run undisturbed until nothing is left to do."""
    deadline = monotonic() + DONE_WITHIN_S
    starter.start(role)
    while not done() and monotonic() < deadline:
        sleep(0.1)
    starter.signal(signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="over both roles")
    parser.add_argument("--seconds", type=float, default=3600, help="no kill after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the last line of the output is JSON")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    wanted = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    configure_logging(LogSettings(level="error"))
    folder = wanted.keep or Path(tempfile.mkdtemp(prefix="echo-agent-hl7-kills-"))
    folder.mkdir(exist_ok=True)
    result = run(wanted.kills, wanted.seconds, wanted.seed, folder)
    right = not any(result[name] for name in Account.__slots__)
    if right and wanted.keep is None:
        shutil.rmtree(folder)
    elif not right:
        print(f"logs and data: {folder}")
    print(json.dumps(result) if wanted.json else "\n".join(f"{k:<18}{v}" for k, v in result.items()))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
