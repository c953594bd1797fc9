"""How long the first answer and the first page of a search take, over UPS-RS and over C-FIND.

The C-FIND client is a process of its own, as a real peer is: `python benchmarks/ups_page.py PORT ROUNDS`
reads the keys as JSON, one search a line, and answers with the times.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

if __name__ == "__main__":
    sys.path[:] = [str(Path(__file__).resolve().parent.parent), *sys.path[1:]]

from pynetdicom import AE, _config
from sqlalchemy import text
from starlette.testclient import TestClient

from agent.database import migrate
from agent.database.session import Database, open_engine
from agent.foundation.settings.tree import ListenerSettings
from agent.ris.ups.channel import Channel
from agent.ris.ups.manager import Manager
from agent.ris.ups.permissions import Permissions
from agent.ris.ups.query_string import read_query
from agent.ris.ups.rs import ups_app
from agent.ris.ups.scp import UpsScp
from agent.ris.ups.terms import PULL
from benchmarks.databases import durable_database
from benchmarks.figures import percentile
from benchmarks.ups_fill import fill

PAGE = 50
TOKEN = "benchmark"
# No index helps, so that every workitem is looked at: measured once, and over UPS-RS alone.
NOTHING = "no such code"


def searches(count: int) -> Mapping[str, dict[str, str]]:
    """The searches of a reading station, by what they ask for."""
    middle = count // 2
    return {
        "everything": {},
        "scheduled": {"ProcedureStepState": "SCHEDULED"},
        "in progress": {"ProcedureStepState": "IN PROGRESS"},
        "scheduled and urgent": {"ProcedureStepState": "SCHEDULED", "ScheduledProcedureStepPriority": "HIGH"},
        "one patient": {"PatientID": f"P{middle}"},
        "one order": {"ReferencedRequestSequence.AccessionNumber": f"A{middle}"},
        "one study": {"InputInformationSequence.StudyInstanceUID": f"2.25.77.{middle}"},
        "a name's beginning": {"PatientName": "meyer77*"},
        "our station": {"ScheduledStationNameCodeSequence.CodeValue": "ECHO_AGENT"},
        NOTHING: {"ScheduledWorkitemCodeSequence.CodeValue": "nothing"},
    }


def measure(kind: str, count: int, rounds: int) -> list[dict[str, object]]:
    """Fill a database of a kind; return one row a search, times in ms."""
    with tempfile.TemporaryDirectory() as folder, durable_database(kind, folder) as url:
        database = Database(open_engine(url))
        try:
            migrate.upgrade(database)
            fill(database, count)
            with database.engine.connect() as connection:
                connection.execute(text("ANALYZE"))
                connection.commit()
            return _measured(kind, database, count, rounds)
        finally:
            database.close()


def _measured(kind: str, database: Database, count: int, rounds: int) -> list[dict[str, object]]:
    manager, permissions = Manager(database), Permissions(token=TOKEN)
    app = ups_app(manager, Channel(database, permissions=permissions), permissions=permissions)
    scp = UpsScp(ListenerSettings(ae_title="ECHO_UPS", port=0), manager)
    port = scp.start()
    rows: list[dict[str, object]] = []
    try:
        with (
            TestClient(app, headers={"authorization": f"Bearer {TOKEN}"}) as client,
            _dimse_client(port, rounds) as dimse,
        ):
            for name, keys in searches(count).items():
                once = name == NOTHING
                over_http = [_over_http(client, keys) for _ in range(1 if once else rounds)]
                first, page = ([], []) if once else _over_dimse(dimse, keys)
                rows.append(
                    {
                        "database": kind,
                        "items": count,
                        "search": name,
                        "found": over_http[0][0],
                        "UPS-RS ms": percentile([one for _, one in over_http], 0.5, 1),
                        "UPS-RS worst": percentile([one for _, one in over_http], 1.0, 1),
                        "C-FIND first ms": percentile(first, 0.5, 1) if first else "",
                        "C-FIND ms": percentile(page, 0.5, 1) if page else "",
                        "C-FIND worst": percentile(page, 1.0, 1) if page else "",
                    }
                )
    finally:
        scp.stop()
    return rows


def _over_http(client: TestClient, keys: dict[str, str]) -> tuple[int, float]:
    began = time.perf_counter()
    answer = client.get("/workitems", params={**keys, "limit": str(PAGE)})
    took = 1000 * (time.perf_counter() - began)
    return (len(answer.json()) if answer.status_code == 200 else 0), took


@contextmanager
def _dimse_client(port: int, rounds: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, str(port), str(rounds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.communicate()


def _over_dimse(client: subprocess.Popen[str], keys: dict[str, str]) -> tuple[list[float], list[float]]:
    """Return the times (ms) to the first answer and to the last one of the page, of each round."""
    if client.stdin is None or client.stdout is None:
        raise RuntimeError("the client has no pipes")
    client.stdin.write(json.dumps(keys) + "\n")
    client.stdin.flush()
    first, page = json.loads(client.stdout.readline())
    return first, page


def answer_searches(lines: IO[str], port: int, rounds: int) -> None:
    """Be the C-FIND client: one search a line, its times on a line."""
    # As in the service: what nobody logs is not formatted either.
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    for line in lines:
        identifier = read_query(json.loads(line).items()).keys
        firsts, pages = [], []
        for _ in range(rounds):
            entity = AE(ae_title="BENCHMARK")
            entity.add_requested_context(PULL)
            association = entity.associate("127.0.0.1", port, ae_title="ECHO_UPS")
            began = time.perf_counter()
            at = [
                1000 * (time.perf_counter() - began)
                for _ in islice(association.send_c_find(identifier, PULL), PAGE)
            ]
            firsts.append(at[0])
            pages.append(at[-1])
            association.abort()
        print(json.dumps([firsts, pages]), flush=True)


if __name__ == "__main__":
    answer_searches(sys.stdin, int(sys.argv[1]), int(sys.argv[2]))
