"""No log line and no counter of the receive path ever contains a patient's attribute."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import structlog
from sqlalchemy import select

from agent.database.tables import Job, JobEvent, Quarantined, Study
from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.log import configure_logging
from agent.foundation.settings.tree import LogSettings
from agent.network.contexts import CR_IMAGE
from agent.receive.intake import Intake
from tests.integration.receive.peer import (
    Listener,
    data_pdus,
    read_pdu,
    request_pdu,
    status_of,
    store_command,
)
from tests.support.films import bare_film, dataset_bytes

pytestmark = pytest.mark.integration
CANARY = "CANARYBIRD"


@pytest.fixture(autouse=True)
def _logging(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Set up the service's own logging on the captured standard error, and reset it afterwards."""
    configure_logging(LogSettings(level="debug"))
    yield
    structlog.reset_defaults()


def test_marked_patient_is_seen_in_no_output(
    start: Callable[..., Listener], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After success and every failure with a marked patient, the mark is in `studies` and nowhere else."""
    listener = start()
    marked = bare_film(PatientName=f"{CANARY}^ANA", PatientID=CANARY, AccessionNumber=CANARY)
    good = dataset_bytes(marked)
    other_patient = dataset_bytes(bare_film(SOPInstanceUID="1.2.3.1.2", PatientID=f"{CANARY}2"))
    command = store_command(CR_IMAGE.encode(), b"1.2.3.1.1")

    def send(connection_command: bytes, dataset: bytes) -> None:
        connection = listener.connect()
        connection.sendall(request_pdu())
        assert read_pdu(connection)[0] == 2
        connection.sendall(data_pdus(1, True, connection_command) + data_pdus(1, False, dataset))
        read_pdu(connection)
        connection.close()

    send(command, good)
    send(command, good)
    send(command, good[:-5])
    send(command, good.replace(b"UI", b"??", 1))
    send(command, good.replace(b"1.2.3.1.1", b"CANARYBRD"))
    send(store_command(CR_IMAGE.encode(), CANARY.encode()), good)
    send(store_command(CANARY.encode(), b"1.2.3.1.1"), good)
    send(store_command(CR_IMAGE.encode(), b"1.2.3.1.2"), other_patient)
    send(command[:30] + CANARY.encode() + command[40:], good)

    def broken(*_: object, **__: object) -> None:
        raise ValueError(f"{CANARY} in a foreign error")

    with monkeypatch.context() as patch:
        patch.setattr(Intake, "receive", broken)
        send(command, dataset_bytes(bare_film(PatientName=CANARY)))
    rejected = listener.connect()
    rejected.sendall(request_pdu(called="WRONG"))
    assert read_pdu(rejected)[0] == 3
    listener.until(lambda: listener.scp.about()["connections"] == 0)
    listener.scp.stop(1)
    output = "".join(capfd.readouterr())
    assert "object" in output
    assert CANARY not in output
    assert CANARY not in repr(listener.scp.about())
    with listener.database.transaction() as session:
        for table in (Job, JobEvent, Quarantined):
            rows = session.execute(select(*table.__table__.columns)).all()
            assert CANARY not in repr(rows)
        assert session.scalars(select(Study.patient_id)).one() == CANARY


def test_marked_patient_is_seen_in_no_output_of_a_full_disk_or_a_dead_database(
    start: Callable[..., Listener], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Senders are asked to retry, and the output names no patient."""
    listener = start(min_free_mb=1e12)
    good = dataset_bytes(bare_film(PatientName=f"{CANARY}^ANA", PatientID=CANARY, AccessionNumber=CANARY))
    command = store_command(CR_IMAGE.encode(), b"1.2.3.1.1")

    def send(to: Listener) -> int:
        connection = to.connect()
        connection.sendall(request_pdu())
        assert read_pdu(connection)[0] == 2
        connection.sendall(data_pdus(1, True, command) + data_pdus(1, False, good))
        status = status_of(read_pdu(connection)[1])
        connection.close()
        return status

    assert send(listener) == 0xA700
    other = start()

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable(f"the database quotes {CANARY}")

    with monkeypatch.context() as patch:
        patch.setattr(Intake, "receive", away)
        assert send(other) == 0xA700
    for one in (listener, other):
        one.scp.stop(1)
        assert CANARY not in repr(one.scp.about())
    output = "".join(capfd.readouterr())
    assert ("storage-full" in output, "database-unavailable" in output, CANARY in output) == (
        True,
        True,
        False,
    )
