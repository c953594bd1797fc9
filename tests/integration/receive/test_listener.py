"""The listener and well-behaved peers: statuses, files, rows and the stop."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import func, select, update

from agent.database.session import database_now
from agent.database.tables import Instance, Job, Quarantined, Study
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.settings.tree import AllowedPeer, Settings
from agent.network.contexts import CR_IMAGE, SECONDARY_CAPTURE
from agent.receive.complete_study import complete_due_studies
from agent.receive.intake import Intake
from tests.integration.receive.peer import (
    Listener,
    associate,
    data_pdus,
    echo_works,
    read_pdu,
    request_pdu,
    status_of,
    store_command,
)
from tests.support.films import bare_film, dataset_bytes

pytestmark = pytest.mark.integration
Start = Callable[..., Listener]
Program = Callable[[str], str]


def send(listener: Listener, *datasets: Dataset) -> list[int]:
    """Send datasets over one association; return the statuses."""
    association = associate(listener)
    assert association.is_established
    statuses = []
    for dataset in datasets:
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        statuses.append(int(association.send_c_store(dataset).Status))
    association.release()
    return statuses


def send_raw(
    listener: Listener, command: bytes, dataset: bytes, classes: tuple[str, ...] = (CR_IMAGE,)
) -> int:
    """Send one C-STORE built by hand; return its status."""
    connection = listener.connect()
    connection.sendall(request_pdu(classes=classes))
    assert read_pdu(connection)[0] == 2
    connection.sendall(data_pdus(1, True, command) + data_pdus(1, False, dataset))
    kind, body = read_pdu(connection)
    assert kind == 4
    return status_of(body)


def test_stored_object_is_the_bytes_that_were_sent(start: Start) -> None:
    """After success, file, row and job exist, and the dataset's bytes are unchanged."""
    listener = start()
    assert send(listener, bare_film()) == [0x0000]
    with listener.database.transaction() as session:
        instance = session.scalars(select(Instance)).one()
    path = listener.store.open(instance.sha256)
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == instance.sha256
    assert content.endswith(dataset_bytes(bare_film()))
    assert str(dcmread(path).file_meta.TransferSyntaxUID) == "1.2.840.10008.1.2.1"
    assert listener.job_states() == ["RECEIVING"]


def test_identical_repeat_succeeds_without_work(start: Start) -> None:
    """A repeated object is answered with success, and nothing is stored twice."""
    listener = start()
    assert send(listener, bare_film(), bare_film()) == [0x0000, 0x0000]
    assert send(listener, bare_film()) == [0x0000]
    assert (listener.instances(), listener.count("duplicate")) == (1, 2)


def test_dataset_of_another_class_or_instance_is_a_mismatch(start: Start) -> None:
    """The dataset must have the class and instance named in the command; otherwise it is quarantined."""
    listener = start()
    other_instance = send_raw(
        listener, store_command(CR_IMAGE.encode(), b"1.2.3.9"), dataset_bytes(bare_film())
    )
    other_class = send_raw(
        listener,
        store_command(CR_IMAGE.encode(), b"1.2.3.1.1"),
        dataset_bytes(bare_film(SOPClassUID=SECONDARY_CAPTURE)),
    )
    assert (other_instance, other_class) == (0xA900, 0xA900)
    assert (listener.instances(), listener.quarantined()) == (0, 2)


def test_class_that_was_not_negotiated_for_the_context_is_not_supported(start: Start) -> None:
    """A Structured Report in a CR context is refused, and nothing is kept."""
    listener = start()
    report = "1.2.840.10008.5.1.4.1.1.88.11"
    command = store_command(report.encode(), b"1.2.3.1.1")
    assert send_raw(listener, command, dataset_bytes(bare_film(SOPClassUID=report))) == 0x0122
    assert (listener.instances(), listener.quarantined()) == (0, 0)


@pytest.mark.parametrize(
    "dataset",
    [
        dataset_bytes(bare_film())[:-7],
        dataset_bytes(bare_film())[:3],
        b"",
        bytes(100),
        dataset_bytes(bare_film(StudyInstanceUID="")),
    ],
    ids=["cut-in-pixels", "cut-in-header", "empty", "zeros", "no-study"],
)
def test_unreadable_dataset_is_quarantined(start: Start, dataset: bytes) -> None:
    """A dataset that cannot be parsed or has no study is answered 0xC000 and quarantined."""
    listener = start()
    assert send_raw(listener, store_command(CR_IMAGE.encode(), b"1.2.3.1.1"), dataset) == 0xC000
    with listener.database.transaction() as session:
        row = session.scalars(select(Quarantined)).one()
    assert (row.code, row.calling_ae_title) == ("instance-unreadable", "CR1")
    assert listener.store.open_quarantined(row.sha256).read_bytes().endswith(dataset)
    assert listener.instances() == 0


def test_structured_reports_find_no_context(start: Start, shared_data: Path, program: Program) -> None:
    """An archive that routes our drafts back cannot even negotiate them (loop guard)."""
    listener = start()
    sent = _dcmtk(program, "storescu", listener, sorted((shared_data / "06_sr").iterdir())[0])
    assert sent.returncode != 0
    assert (listener.instances(), listener.quarantined()) == (0, 0)


@pytest.mark.parametrize("client", ["storescu", "dcmsend"])
def test_dcmtk_clients_deliver_the_chest_films(
    start: Start, shared_data: Path, program: Program, client: str
) -> None:
    """JPEG 2000, JPEG baseline and Implicit VR from a second client are kept in their own syntax."""
    listener = start()
    for path in sorted((shared_data / "01_cxr_dicom").iterdir()):
        assert _dcmtk(program, client, listener, path).returncode == 0
    with listener.database.transaction() as session:
        rows = session.execute(select(Instance.transfer_syntax_uid).order_by(Instance.id)).scalars().all()
    assert rows[:2] == ["1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.50"]
    assert len(rows) == 3


def test_unknown_caller_and_wrong_title_are_rejected_for_good(start: Start) -> None:
    """Unknown peers are denied by default; the rejection is counted by its reason."""
    listener = start(allow=(AllowedPeer(ae_title="CR1", address="127.0.0.0/8"),))
    assert associate(listener, "CR2").is_rejected
    assert associate(listener, "CR1", "WRONG").is_rejected
    assert echo_works(listener)
    assert listener.count("rejected-unknown-caller") == 1
    assert listener.count("rejected-unknown-called") == 1


def test_full_house_rejects_for_now_and_takes_the_next(start: Start) -> None:
    """Beyond the limit the rejection is transient; a released association makes room."""
    listener = start(maximum_associations=2)
    first, second = associate(listener), associate(listener)
    connection = listener.connect()
    connection.sendall(request_pdu())
    kind, body = read_pdu(connection)
    assert (kind, body[1:4]) == (3, bytes([2, 3, 2]))
    first.release()
    listener.until(lambda: listener.scp.about()["associations"] == 1)
    assert echo_works(listener)
    second.release()


def test_low_disk_asks_the_sender_to_retry(start: Start) -> None:
    """While space is low: 0xA700, and nothing is kept; the next object succeeds when there is space."""
    listener = start(min_free_mb=1e9)
    assert send(listener, bare_film()) == [0xA700]
    assert (listener.instances(), list(listener.store.files())) == (0, [])
    listener.store._min_free = 0
    assert send(listener, bare_film()) == [0x0000]


def test_dead_database_asks_the_sender_to_retry(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a committed row there is no success; the same object succeeds later."""
    listener = start()
    receive = Intake.receive

    def down(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("down")

    monkeypatch.setattr(Intake, "receive", down)
    assert send(listener, bare_film()) == [0xA700]
    monkeypatch.setattr(Intake, "receive", receive)
    assert send(listener, bare_film()) == [0x0000]
    assert listener.instances() == 1


def test_unforeseen_error_is_a_processing_failure(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any internal error the sender gets a status, and the association stays open."""
    listener = start()

    def broken(*_: object) -> None:
        raise KeyError("DOE^JANE")

    with monkeypatch.context() as patch:
        patch.setattr(Intake, "receive", broken)
        association = associate(listener)
        dataset = bare_film()
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        assert association.send_c_store(dataset).Status == 0x0110
    assert association.send_c_store(dataset).Status == 0x0000
    association.release()


def test_stop_finishes_the_object_that_is_arriving(start: Start) -> None:
    """An object begun before the stop is stored and acknowledged; then the port is closed."""
    listener = start()
    connection = listener.connect()
    connection.sendall(request_pdu())
    assert read_pdu(connection)[0] == 2
    parts = data_pdus(1, False, dataset_bytes(bare_film()), size=100)
    begun, rest = parts[:-20], parts[-20:]  # the last PDU is incomplete
    connection.sendall(data_pdus(1, True, store_command(CR_IMAGE.encode(), b"1.2.3.1.1")) + begun)
    listener.until(lambda: listener.scp.about()["in_flight_bytes"] > 0)
    stopping = threading.Thread(target=listener.scp.stop, args=(5,))
    stopping.start()
    listener.until(lambda: listener.scp._draining_since is not None)
    connection.sendall(rest)
    kind, body = read_pdu(connection)
    assert (kind, status_of(body)) == (4, 0x0000)
    stopping.join(30)
    assert not stopping.is_alive()
    with pytest.raises(ConnectionRefusedError):
        listener.connect()
    assert listener.instances() == 1


def test_stop_cuts_idle_associations_at_once(start: Start) -> None:
    """If nothing is arriving, the stop does not wait."""
    listener = start()
    association = associate(listener)
    before = time.monotonic()
    listener.scp.stop(120)
    assert time.monotonic() - before < 60
    association.join(30)
    assert association.is_aborted


def test_open_association_holds_its_study_open(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a peer that sent an image stays associated, its study does not complete; other studies do."""
    monkeypatch.setattr("agent.receive.scp._HOLD_EVERY_S", (0.05, 0.2))
    listener = start()
    assert send(listener, bare_film(StudyInstanceUID="1.2.4", SOPInstanceUID="1.2.4.1.1")) == [0x0000]
    listener.until(lambda: listener.scp._sending == {})
    association = associate(listener)
    dataset = bare_film()
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    assert int(association.send_c_store(dataset).Status) == 0x0000
    with listener.database.transaction() as session:
        quiet = database_now(session)
        session.execute(update(Job).values(due_at=quiet - timedelta(seconds=1)))

    def is_held() -> bool:
        with listener.database.reading() as session:
            return session.scalar(select(func.count()).where(Job.due_at > quiet)) == 1

    listener.until(is_held)
    assert completed(listener, quiet) == ["1.2.4"]
    association.release()
    listener.until(lambda: completed(listener) == ["1.2.3"])


def completed(listener: Listener, now: datetime | None = None) -> list[str]:
    """Complete what is due; return the studies."""
    done = complete_due_studies(listener.database, Settings(), listener.store, now)
    return [one.study_instance_uid for one in done]


def test_same_study_over_several_associations_is_one_study(start: Start) -> None:
    """Four associations at once make one study, and nothing is lost."""
    listener = start()

    def sender(number: int) -> None:
        send(listener, *(bare_film(SOPInstanceUID=f"1.2.3.{number}.{image}") for image in range(3)))

    threads = [threading.Thread(target=sender, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (listener.instances(), listener.job_states()) == (12, ["RECEIVING"])
    with listener.database.transaction() as session:
        assert session.scalars(select(Study.revision)).all() == [1]


def test_listener_needs_no_torch() -> None:
    """The listener's process loads neither the network's libraries nor the one that builds reports."""
    code = (
        "import sys; import agent.receive.scp, agent.receive.reconcile_files; "
        "print(sorted({'torch', 'transformers', 'highdicom'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "[]"


def _dcmtk(program: Program, client: str, listener: Listener, path: Path) -> subprocess.CompletedProcess[str]:
    proposals = ["-R"] if client == "storescu" else []
    propose = {"c01": ["-xw"], "c06": ["-xy"], "c08": ["-xi"]}.get(path.name[:3], [])
    options = [*proposals, *propose] if client == "storescu" else []
    if client == "storescu" and "sr" in path.parent.name:
        options = []
    return subprocess.run(
        [
            program(client),
            *options,
            "-aet",
            "CR1",
            "-aec",
            "ECHO_AGENT",
            "127.0.0.1",
            str(listener.port),
            path,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
