"""Measures the time to the first answer and the first page of a search, over UPS-RS and over C-FIND.

Next to the times is the processor time of the server, which depends less on the load of the machine. The last
row is a plain pynetdicom server, which answers each C-FIND with 50 prepared data sets.

The C-FIND client is a separate process, like a real peer: `python benchmarks/ups_page.py PORT ROUNDS`
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
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO

if __name__ == "__main__":
    sys.path[:] = [str(Path(__file__).resolve().parent.parent), *sys.path[1:]]

from pydicom import Dataset
from pynetdicom import AE, _config, evt
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
from agent.ris.ups.terms import PULL, Readiness
from agent.ris.ups.wording import Station, WorkitemSubject, draft_workitem
from benchmarks.databases import durable_database
from benchmarks.figures import percentile
from benchmarks.ups_fill import fill

PAGE = 50
TOKEN = "benchmark"
_PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"
_OUTPUT = f"{_PERFORMED}.OutputInformationSequence.ReferencedSOPSequence.ReferencedSOPInstanceUID"


def searches(count: int) -> Mapping[str, dict[str, str]]:
    """The searches of a reading station, by description; some are for values that no workitem has."""
    middle = count // 2
    return {
        "everything": {},
        "scheduled": {"ProcedureStepState": "SCHEDULED"},
        "in progress": {"ProcedureStepState": "IN PROGRESS"},
        "scheduled and urgent": {"ProcedureStepState": "SCHEDULED", "ScheduledProcedureStepPriority": "HIGH"},
        "one patient": {"PatientID": f"P{middle}"},
        "part of a patient ID": {"PatientID": "*999*"},
        "patient ID of nobody": {"PatientID": "*Q*"},
        "one order": {"ReferencedRequestSequence.AccessionNumber": f"A{middle}"},
        "one study": {"InputInformationSequence.StudyInstanceUID": f"2.25.77.{middle}"},
        "two UIDs": {"SOPInstanceUID": f"2.25.77.{middle}.9,2.25.77.4.9"},
        "a name's beginning": {"PatientName": "meyer77*"},
        "a name's middle": {"PatientName": "*zdemir*"},
        "name of nobody": {"PatientName": "*nobody*"},
        "our station": {"ScheduledStationNameCodeSequence.CodeValue": "ECHO_AGENT"},
        "no such code": {"ScheduledWorkitemCodeSequence.CodeValue": "nothing"},
        "worklist's label": {"WorklistLabel": "AI*"},
        "born in a range": {"PatientBirthDate": "19600101-19800101"},
        "born in the future": {"PatientBirthDate": "21000101-"},
        "starts in the future": {"ScheduledProcedureStepStartDateTime": "21000101-"},
        "one output": {_OUTPUT: f"2.25.77.{middle}.5.1"},
        "no such output": {_OUTPUT: "1.2"},
        "scheduled and performed": {
            "ProcedureStepState": "SCHEDULED",
            f"{_PERFORMED}.PerformedStationNameCodeSequence.CodeValue": "ECHO_AGENT",
        },
    }


def measure(kind: str, count: int, rounds: int) -> list[dict[str, object]]:
    """Fill a database of a kind; return one row per search, times in ms."""
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
                began = time.process_time()
                over_http = [_over_http(client, keys) for _ in range(rounds)]
                rows.append(
                    {
                        "database": kind,
                        "items": count,
                        "search": name,
                        "found": over_http[0][0],
                        "UPS-RS ms": percentile([one for _, one in over_http], 0.5, 1),
                        "UPS-RS CPU": round(1000 * (time.process_time() - began) / rounds, 1),
                        **_over_dimse(dimse, keys, rounds),
                    }
                )
    finally:
        scp.stop()
    return [*rows, {"database": "", "items": PAGE, "search": "pynetdicom alone", **_floor(rounds)}]


def _floor(rounds: int) -> dict[str, float]:
    """The same client with a server that has prepared its answers."""
    station = Station(ae_title="ECHO_AGENT", name="ECHO Agent")
    item = draft_workitem(
        WorkitemSubject(
            study_instance_uid="2.25.77",
            patient_name="Meyer^Anna",
            patient_id="P1",
            issuer_of_patient_id="",
            patient_birth_date="19700101",
            patient_sex="F",
            accession_number="A1",
            images=[],
        ),
        station,
        priority=50,
        starts=datetime.now(UTC),
        readiness=Readiness.READY,
    )

    def answer(_event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        return iter([(0xFF00, item)] * PAGE)

    entity = AE(ae_title="ECHO_UPS")
    entity.add_supported_context(PULL)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    try:
        if server is None:
            raise RuntimeError("the server did not start")
        with _dimse_client(int(server.server_address[1]), rounds) as client:
            return _over_dimse(client, {}, rounds)
    finally:
        entity.shutdown()


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


def _over_dimse(client: subprocess.Popen[str], keys: dict[str, str], rounds: int) -> dict[str, float]:
    """Return the median times (ms) to the first answer and to the last one of the page."""
    if client.stdin is None or client.stdout is None:
        raise RuntimeError("the client has no pipes")
    began = time.process_time()
    client.stdin.write(json.dumps(keys) + "\n")
    client.stdin.flush()
    first, page = json.loads(client.stdout.readline())
    return {
        "C-FIND first ms": percentile(first, 0.5, 1),
        "C-FIND ms": percentile(page, 0.5, 1),
        "C-FIND CPU": round(1000 * (time.process_time() - began) / rounds, 1),
    }


def answer_searches(lines: IO[str], port: int, rounds: int) -> None:
    """Act as the C-FIND client: one search per line, its times on a line."""
    # As in the service: messages that are not logged are not formatted either.
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
