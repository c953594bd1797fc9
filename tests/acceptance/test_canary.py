"""A marked patient goes through success and failures; the mark appears nowhere that it should not."""

from __future__ import annotations

import os
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom import Dataset
from sqlalchemy import text

from agent.commands.demo.orthanc import free_ports
from agent.commands.demo.pacs import running_pacs
from agent.commands.demo.phantom_study import phantom_study
from agent.commands.demo.sending import Sent, parcel_of, send
from agent.commands.demo.service import start_service, stop_service, wait_until_ready, write_config
from agent.database.session import Database, open_engine
from agent.network.contexts import CR_IMAGE
from tests.acceptance.conftest import Agent
from tests.acceptance.quoting_peers import failing_archive, refusing_pacs
from tests.integration.receive.peer import data_pdus, read_pdu, request_pdu, status_of, store_command
from tests.support.films import bare_film, dataset_bytes
from tests.support.waiting import wait_for
from tests.support.warm_python import WarmPopen

MARKS = ("CANARYNAME", "CANARYID", "19010203", "CANARYACC", "CANARYPHYSICIAN", "CANARYDESCRIPTION")
# These hold the patient's attributes by design (the worklist's sort and search keys are derived from them);
# the documents and the files hold them too.
BY_DESIGN = {"studies", "listings"}
LONG_S = 900.0
QUOTED = "CANARYNAME^X (CANARYID) is not known here"


def marked(seed: int) -> Dataset:
    """Return an image of the marked patient, in a study of its own."""
    dataset = phantom_study(seed, number=0, taken=datetime.now(UTC), size=256).instances[0]
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "CANARYNAME^X", "CANARYID", "19010203"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "CANARYACC", "CANARYPHYSICIAN"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.AdditionalPatientHistory = "CANARYDESCRIPTION"
    return dataset


def spoil(seed: int, how: str) -> Dataset:
    """Return an image of the marked patient that cannot be drafted."""
    dataset = marked(seed)
    if how == "not chest":
        dataset.BodyPartExamined = "FOOT"
        dataset.AnatomicRegionSequence[0].CodeValue = "56459004"
        dataset.StudyDescription = dataset.SeriesDescription = "CANARYDESCRIPTION"
    elif how == "short pixels":
        dataset.PixelData = dataset.PixelData[:1000]
    elif how == "bad numbers":
        dataset.BitsStored, dataset.HighBit = 77, 3
    elif how == "two patients":
        dataset.PatientID = "CANARYID2"
    return dataset


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Agent]:
    """An agent whose archive fails; of its destinations, one cannot commit, one refuses, one is down."""
    folder = tmp_path_factory.mktemp("troubled")
    with (
        running_pacs(folder / "pacs") as pacs,
        refusing_pacs(QUOTED) as refusing,
        failing_archive(QUOTED) as archive,
    ):
        port, web, nobody = free_ports(3)
        changes: dict[str, dict[str, Any]] = {
            "archive": {"host": "127.0.0.1", "port": archive, "ae_title": "FAILING"},
            "priors": {"enabled": True, "time_budget_s": 2},
            "delivery": {"first_retry_s": 0.2, "longest_retry_s": 0.5, "give_up_after_s": 5},
            "web": {"enabled": True, "port": web},
            "retention": {"skipped_keep_days": 1},
            "worker": {"lease_s": 10},  # what the killed worker had claimed waits until its lease ends
            "audit": {"file": str(folder / "audit.xml")},
        }
        config = write_config(folder, pacs, port=port, checkpoint=checkpoint, changes=changes)
        values = yaml.safe_load(config.read_text(encoding="utf-8"))
        first = values["destinations"][0] | {"commitment": True, "commitment_attempts": 1}
        second = {"name": "refusing", "host": "127.0.0.1", "port": refusing, "ae_title": "REFUSING"}
        values["destinations"] = [first, second, second | {"name": "down", "port": nobody}]
        config.write_text(yaml.safe_dump(values), encoding="utf-8")
        service = start_service(config, folder / "agent.log", WarmPopen)
        agent = Agent(folder=folder, config=config, pacs=pacs, service=service, start_process=WarmPopen)
        try:
            wait_until_ready(service, within_s=LONG_S)
            yield agent
        finally:
            stop_service(agent.service)


def rows(agent: Agent, statement: str) -> list[Any]:
    """Read or change the agent's database."""
    database = Database(open_engine(agent.service.settings.database.url))
    try:
        with database.transaction() as session:
            answer = session.execute(text(statement))
            return list(answer.all()) if answer.returns_rows else []
    finally:
        database.close()


def browse(agent: Agent, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
    """Request a web page; return the status and the page."""
    body = None if form is None else urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{agent.service.settings.web.port}{path}", data=body)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status), str(answer.read().decode("utf-8", "replace"))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode("utf-8", "replace")


def send_damaged(agent: Agent) -> None:
    """Send a truncated image of the marked patient, and one under another instance's UID."""
    whole = dataset_bytes(
        bare_film(PatientName="CANARYNAME^X", PatientID="CANARYID", AccessionNumber="CANARYACC")
    )
    statuses = []
    for instance, dataset in ((b"1.2.3.1.1", whole[:-5]), (b"1.2.3.1.2", whole)):
        with socket.create_connection(("127.0.0.1", agent.port), timeout=60) as connection:
            connection.sendall(request_pdu())
            assert read_pdu(connection)[0] == 2
            command = store_command(CR_IMAGE.encode(), instance)
            connection.sendall(data_pdus(1, True, command) + data_pdus(1, False, dataset))
            statuses.append(status_of(read_pdu(connection)[1]))
    assert statuses == [0xC000, 0xA900]


def receive(agent: Agent) -> list[str]:
    """Send the marked patient in every way; return the studies that must end."""
    second = spoil(21, "two patients")
    second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = "2.25.4242"
    second.StudyInstanceUID = (conflict := marked(25)).StudyInstanceUID
    ways = ("not chest", "short pixels", "bad numbers")
    datasets = [marked(21), *(spoil(22 + n, how) for n, how in enumerate(ways)), conflict, second]
    sent: list[Sent] = []
    for dataset in datasets:
        sent += send([parcel_of(dataset, "x")], host="127.0.0.1", port=agent.port, called="ECHO_AGENT")
    send_damaged(agent)
    send([parcel_of(marked(28), "x")], host="127.0.0.1", port=agent.port, called="WRONG")
    assert all(one.accepted for one in sent)
    return list(dict.fromkeys(str(dataset.StudyInstanceUID) for dataset in datasets))


def kill_worker(agent: Agent) -> str:
    """Kill the worker while it processes a study of the marked patient; the supervisor starts another."""
    ((pid,),) = rows(agent, "SELECT pid FROM workers WHERE role = 'worker'")
    dataset = marked(27)
    send([parcel_of(dataset, "x")], host="127.0.0.1", port=agent.port, called="ECHO_AGENT")
    os.kill(pid, signal.SIGKILL)
    return str(dataset.StudyInstanceUID)


def fail_on_the_page(agent: Agent) -> list[str]:
    """Open studies, and request what does not exist or is not allowed; return the error pages."""
    assert [browse(agent, path)[0] for path in ("/", "/?q=CANARYNAME", "/studies/1")] == [200, 200, 200]
    wrong = ("/studies/999999", "/studies/CANARYID", "/studies/1/films/999999", "/CANARYNAME%00")
    answers = [browse(agent, path) for path in wrong]
    answers += [
        browse(agent, "/findings", {"findings": "CANARYNAME has an effusion."}),
        browse(agent, "/studies/1/verdict", {"verdict": "accept", "findings": "CANARYNAME"}),
        browse(agent, "/sign-in", {"name": "nobody", "password": "CANARYID"}),
    ]
    assert all(status >= 400 for status, _ in answers)
    return [page for _, page in answers]


def purge(agent: Agent) -> str:
    """Make the skipped study old and purge it; return the command's output."""
    job = "(SELECT study_id FROM jobs WHERE state = 'SKIPPED')"
    rows(agent, f"UPDATE studies SET last_received_at = '2001-01-01 00:00:00' WHERE id IN {job}")
    rows(agent, "UPDATE jobs SET updated_at = '2001-01-01 00:00:00' WHERE state = 'SKIPPED'")
    done = agent.command("purge")
    assert rows(agent, f"SELECT count(purged_at) FROM instances WHERE study_id IN {job}")[0][0] == 1
    return done.stdout + done.stderr


# A busy machine takes minutes to load the network, and it is loaded twice here.
@pytest.mark.timeout(3 * LONG_S)
def test_marked_patient_is_found_in_no_log_output_or_event(troubled: Agent) -> None:
    """Studies fail in every possible way: the mark is in the audit file, and in no other output."""
    agent = troubled
    studies = receive(agent)
    outcomes = agent.wait(studies, LONG_S)
    # Drafted, but permanently refused by one destination.
    assert [outcomes[uid].state for uid in studies] == ["DEAD", "SKIPPED", "FAILED", "FAILED", "FAILED"]
    assert agent.wait([again := kill_worker(agent)], LONG_S)[again].state == "DEAD"
    pages = fail_on_the_page(agent)
    purged = purge(agent)
    wait_for(
        lambda: rows(agent, "SELECT 1 FROM deliveries WHERE commit_attempts > 0 OR state = 'UNCOMMITTED'"),
        "nobody asked for commitment",
    )
    wait_for(lambda: "purge" in str(rows(agent, "SELECT action FROM audit_events")), "no audit")
    audit = agent.folder / "audit.xml"
    wait_for(lambda: "DICOM Study Deleted" in audit.read_text(encoding="utf-8"), "no audit message")

    happened = {
        "association": "association_rejected" in agent.log,
        "quarantine": rows(agent, "SELECT count(*) FROM quarantine")[0][0] == 2,
        "conflict": "patient-conflict" in str(rows(agent, "SELECT code FROM jobs")),
        "undecodable": "image-unreadable" in str(rows(agent, "SELECT code FROM jobs")),
        "refusing": "delivery-refused" in str(rows(agent, "SELECT code FROM deliveries")),
        "down": "destination_unreachable" in agent.log,
        "priors": "archive-" in str(rows(agent, "SELECT code FROM prior_searches")),
        "worker": "child" in agent.log,
    }
    assert happened == dict.fromkeys(happened, True)

    commands = (
        ("status",),
        ("status", "--json"),
        ("queue", "list"),
        ("dead", "list"),
        ("dead", "show", str(rows(agent, "SELECT min(id) FROM jobs WHERE state = 'DEAD'")[0][0])),
        ("doctor",),
        ("metrics",),
        ("purge", "--dry-run"),
        ("config", "show"),
    )
    said = {" ".join(command): _output(agent, *command) for command in commands}
    said |= {table: words for table, words in _tables(agent).items() if table not in BY_DESIGN}
    said |= {"log": agent.log, "purge": purged, "error pages": "".join(pages)}
    found = {
        (where, mark) for where, words in said.items() for mark in MARKS if mark.lower() in words.lower()
    }
    assert found == set()
    written = audit.read_text(encoding="utf-8")
    assert [mark for mark in MARKS if mark in written] == ["CANARYID"]


def _output(agent: Agent, *command: str) -> str:
    done = agent.command(*command)
    return done.stdout + done.stderr


def _tables(agent: Agent) -> dict[str, str]:
    """Return every table of the database as text, without binary values (the documents)."""
    database = Database(open_engine(agent.service.settings.database.url))
    tables = {}
    with database.reading() as session:
        names = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
        for name in names:
            rows = session.execute(text(f'SELECT * FROM "{name}"')).all()
            tables[str(name)] = "\n".join(
                "|".join(str(value) for value in row if not isinstance(value, bytes)) for row in rows
            )
    database.close()
    return tables


def test_names_of_files_hold_nothing_of_the_patient(troubled: Agent) -> None:
    """Received objects are named by their digest."""
    dataset = marked(31)
    (sent,) = send([parcel_of(dataset, "x")], host="127.0.0.1", port=troubled.port, called="ECHO_AGENT")
    assert sent.accepted
    kept = f"SELECT sha256 FROM instances WHERE sop_instance_uid = '{dataset.SOPInstanceUID}'"
    ((digest,),) = rows(troubled, kept)
    names = " ".join(str(path) for path in Path(troubled.service.settings.storage.path).rglob("*"))
    assert digest in names
    assert [mark for mark in (*MARKS, str(dataset.StudyInstanceUID)) if mark in names] == []
