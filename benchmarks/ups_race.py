"""Two performers race for workitems: ours, and one written on npm's dcmjs-dimse."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from pydicom import Dataset
from sqlalchemy import select

from agent.database import migrate
from agent.database.session import Database, open_engine
from agent.database.tables import UpsClaim
from agent.database.workitems import UpsEvent
from agent.foundation.settings.tree import ListenerSettings
from agent.ris.ups.manager import Manager
from agent.ris.ups.scp import UpsScp
from agent.ris.ups.terms import GLOBAL_SUBSCRIPTION
from tests.integration.ups.node import Node, installed_modules
from tests.integration.ups.test_performer import Site, order

_PREFIX = "2.25.8900"


def race(count: int) -> dict[str, object]:
    """Race for `count` workitems; return how many each performed, and how many were performed once."""
    with tempfile.TemporaryDirectory() as folder:
        databases = [Database(open_engine(f"sqlite:///{folder}/{name}.db")) for name in ("ris", "us")]
        try:
            for database in databases:
                migrate.upgrade(database)
            return _race(count, *databases)
        finally:
            for database in databases:
                database.close()


def _race(count: int, manager_database: Database, own: Database) -> dict[str, object]:
    manager = Manager(manager_database, reachable=["WATCHER"])
    manager.subscribe(str(GLOBAL_SUBSCRIPTION), "WATCHER", keys=Dataset())
    scp = UpsScp(ListenerSettings(ae_title="ECHO_UPS", port=0), manager)
    port = scp.start()
    site = Site(own, port)
    for number in range(count):
        site.go(site.study(f"{_PREFIX}.{number}.1"), "DELIVERED", drafted=True)
        order(manager, f"{_PREFIX}.{number}", f"{_PREFIX}.{number}.1")
    node = Node(_program("node"), installed_modules(_program))
    try:
        with node.running("race", str(port)) as rival:
            assert rival.stdin is not None
            assert rival.stdout is not None
            rival.stdout.readline()
            rival.stdin.write("go\n")
            rival.stdin.flush()
            began, performer = time.monotonic(), site.performer()
            while rival.poll() is None:
                performer.tick()
            seconds = time.monotonic() - began
            performer.tick()
            out, _ = rival.communicate()
    finally:
        scp.stop()
    theirs = set(json.loads(out.splitlines()[-1]))
    with own.reading() as session:
        ours = set(session.scalars(select(UpsClaim.uid).where(UpsClaim.state == "done")))
    with manager_database.reading() as session:
        events = session.scalars(select(UpsEvent).where(UpsEvent.event_type == 1))
        steps = Counter((one.uid, one.content["00741000"]["Value"][0]) for one in events)
    once = sum(
        steps[uid, "IN PROGRESS"] == steps[uid, "COMPLETED"] == 1 and (uid in ours) != (uid in theirs)
        for uid in (f"{_PREFIX}.{number}" for number in range(count))
    )
    return {
        "items": count,
        "ours": len(ours),
        "theirs": len(theirs),
        "once": once,
        "seconds": round(seconds, 1),
    }


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is not installed: apt-get install nodejs npm")
    return str(Path(found))
