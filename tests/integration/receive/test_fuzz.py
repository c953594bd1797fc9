"""All odd and crafted sample files in one session: the listener survives, answers and accounts for each."""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from agent.database.session import Database
from agent.database.tables import Instance, Job, Quarantined
from agent.foundation.errors import UnreadableInstance
from agent.foundation.settings.tree import Settings
from agent.network.contexts import CR_IMAGE, TRANSFER_SYNTAXES
from agent.objects.element_walk import scan_file_meta
from agent.objects.header import read_header
from agent.service.ticks import complete_due_studies
from tests.integration.receive.peer import (
    EXPLICIT,
    Listener,
    data_pdus,
    echo_works,
    read_pdu,
    request_pdu,
    status_of,
    store_command,
)
from tests.support.memory import allocated

pytestmark = pytest.mark.integration
Start = Callable[..., Listener]
SAMPLES = ("02_xray_not_chest", "03_charset", "04_odd", "05_transfer_syntax", "06_sr", "07_fuzz_files")
SYNTAXES = tuple(str(syntax) for syntax in TRANSFER_SYNTAXES)
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def samples(shared_data: Path) -> list[tuple[str, str, bytes]]:
    """Name, transfer syntax and dataset of each sample; a file without a preamble is sent as it is."""
    found = []
    for path in sorted(one for folder in SAMPLES for one in (shared_data / folder).rglob("*.dcm")):
        content = path.read_bytes()
        try:
            meta = scan_file_meta(content)
        except UnreadableInstance:
            found.append((path.name, EXPLICIT, content))
            continue
        syntax = meta.transfer_syntax_uid if meta.transfer_syntax_uid in SYNTAXES else EXPLICIT
        found.append((path.name, syntax, content[meta.dataset_at :]))
    return found


def disguised(dataset: bytes) -> bytes:
    """The dataset with CR as its SOP class, so that it passes the negotiation."""
    return dataset.replace(CT_IMAGE.encode() + b"\0", CR_IMAGE.encode() + b"\0")


def instance_of(dataset: bytes, syntax: str) -> bytes:
    """The SOP Instance UID that a sender would read in the dataset, or another one."""
    try:
        return read_header(dataset, syntax).sop_instance_uid.encode()
    except UnreadableInstance:
        return b"1.2.3.1.1"


def store(connection: socket.socket, syntax: str, dataset: bytes, number: int) -> int:
    """Send one object over an open association; return its status."""
    context = 2 * SYNTAXES.index(syntax) + 1
    command = store_command(CR_IMAGE.encode(), instance_of(dataset, syntax), number + 1)
    connection.sendall(data_pdus(context, True, command) + data_pdus(context, False, dataset))
    kind, body = read_pdu(connection)
    assert kind == 4, "the listener gave no answer"
    return status_of(body)


def test_every_sample_is_answered_and_accounted_for(
    start: Start, shared_data: Path, database: Database
) -> None:
    """Each sample is stored, repeated or quarantined, its status says which, and the numbers add up.

    All files three times over one association, each time in another random order; the memory that the first
    pass needed is enough for the others.
    """
    listener = start()
    once = [
        (syntax, make(dataset)) for _, syntax, dataset in samples(shared_data) for make in (bytes, disguised)
    ]
    chance = random.Random(20260102)
    objects = [one for _ in range(3) for one in chance.sample(once, len(once))]
    connection = listener.connect()
    connection.sendall(request_pdu(syntaxes=SYNTAXES))
    assert read_pdu(connection)[0] == 2
    statuses: Counter[int] = Counter()
    memory = []
    for number, (syntax, dataset) in enumerate(objects):
        statuses[store(connection, syntax, dataset, number)] += 1
        memory.append(allocated())
    assert set(statuses) == {0x0000, 0xA900, 0xC000}
    assert statuses[0x0000] == listener.instances() + listener.count("duplicate")
    assert statuses[0xA900] == listener.count("object-mismatch")
    assert statuses[0xC000] == listener.count("instance-unreadable")
    assert statuses.total() == len(objects)
    with database.transaction() as session:
        quarantined = set(session.scalars(select(Quarantined.sha256)))
        stored = set(session.scalars(select(Instance.sha256)))
    assert all(listener.store.open_quarantined(sha256).exists() for sha256 in quarantined)
    assert set(listener.store.files()) == stored
    assert max(memory[len(once) :]) - max(memory[: len(once)]) < 10_000_000
    assert echo_works(listener)


def test_no_sample_becomes_a_draft(start: Start, shared_data: Path, database: Database) -> None:
    """No odd object is queued: each study is skipped by a rule or fails, with its reason."""
    listener = start()
    connection = listener.connect()
    connection.sendall(request_pdu(syntaxes=SYNTAXES))
    assert read_pdu(connection)[0] == 2
    for number, (_, syntax, dataset) in enumerate(samples(shared_data)):
        store(connection, syntax, disguised(dataset), number)
    later = datetime.now(UTC) + timedelta(hours=1)
    done = complete_due_studies(database, Settings(), listener.store, later)
    assert done
    assert {one.state.value for one in done} <= {"SKIPPED", "FAILED"}
    assert all(one.code for one in done)
    with database.transaction() as session:
        states = set(session.scalars(select(Job.state)))
    assert states <= {"SKIPPED", "FAILED", "CANCELED"}


def test_samples_of_other_classes_are_refused_in_the_negotiation(start: Start) -> None:
    """A CT image is offered no context here: the association accepts none."""
    listener = start()
    connection = listener.connect()
    connection.sendall(request_pdu(classes=(CT_IMAGE,)))
    kind, body = read_pdu(connection)
    assert kind == 2
    result_at = body.index(b"\x21\x00") + 6
    assert body[result_at] == 3  # abstract syntax not supported (PS3.8 table 9-18)
