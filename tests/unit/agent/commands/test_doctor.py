"""The doctor reports what is wrong, and how to correct it."""

from __future__ import annotations

import gc
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from agent.commands.demo.pacs import running_pacs
from agent.commands.doctor import Check, CheckResult, examine
from agent.database.session import Database, open_engine
from agent.foundation.settings.hl7 import Hl7Settings
from agent.foundation.settings.tree import (
    AllowedPeer,
    ArchiveSettings,
    DatabaseSettings,
    DestinationSettings,
    ListenerSettings,
    Settings,
    StorageSettings,
    WebSettings,
)
from agent.operations.heartbeat import Heartbeat
from agent.ris.inbox import Inbox
from model.errors import CheckpointError
from tests.support.hl7_messages import hl7, msh, order, pid

# pynetdicom leaves closing the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demonstration model that loads at once."""
    identity = SimpleNamespace(name="m", version="1", stage="echo", block_size=8, demonstration=True)
    monkeypatch.setattr(
        "agent.service.wiring.load_reporter", lambda _settings: SimpleNamespace(identity=identity)
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Valid settings, on a free port, with the test's database."""
    return Settings(
        database=DatabaseSettings(url=f"sqlite:///{tmp_path / 'agent.db'}"),
        storage=StorageSettings(path=tmp_path / "instances", min_free_mb=0),
        listener=ListenerSettings(port=0),
    )


def checks_of(settings: Settings) -> dict[str, Check]:
    """Run all checks; assert that each problem comes with a remedy."""
    found = list(examine(settings, lambda: Database(open_engine(settings.database.url))))
    gc.collect(1)
    assert [one.name for one in found if one.verdict is not CheckResult.RIGHT and not one.remedy] == []
    return {one.name: one for one in found}


def test_doctor_finds_nothing_wrong_on_a_right_machine(database: Database, settings: Settings) -> None:
    """Only the demonstration model and the missing destination are worth a look."""
    found = checks_of(settings)
    assert {one.name for one in found.values() if one.verdict is CheckResult.WRONG} == set()
    assert {one.name for one in found.values() if one.verdict is CheckResult.LOOK} == {
        "model",
        "destinations",
    }


def test_doctor_names_the_command_for_a_database_without_tables(settings: Settings) -> None:
    """A new machine needs `db upgrade`; the other checks still run."""
    found = checks_of(settings)
    assert found["database"].verdict is CheckResult.WRONG
    assert "echo-agent db upgrade" in found["database"].remedy
    assert found["storage"].verdict is CheckResult.RIGHT


def test_doctor_sees_a_full_disk(database: Database, settings: Settings, tmp_path: Path) -> None:
    """Less free space than the reserve is wrong."""
    full = settings.model_copy(update={"storage": StorageSettings(path=tmp_path, min_free_mb=1e12)})
    assert checks_of(full)["storage"].verdict is CheckResult.WRONG


def test_doctor_sees_another_program_on_the_port(database: Database, settings: Settings) -> None:
    """A port taken by a program that does not answer C-ECHO is wrong."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        taken = settings.model_copy(update={"listener": ListenerSettings(port=other.getsockname()[1])})
        found = checks_of(taken)["listener"]
    assert (found.verdict, "listener.port" in found.remedy) == (CheckResult.WRONG, True)


def test_doctor_knows_the_listener_that_runs(database: Database, settings: Settings, tmp_path: Path) -> None:
    """A port where something answers C-ECHO under the listener's AE title is right."""
    with running_pacs(tmp_path / "pacs") as pacs:
        ours = ListenerSettings(port=pacs.port, ae_title=pacs.ae_title)
        found = checks_of(settings.model_copy(update={"listener": ours}))["listener"]
    assert (found.verdict, found.found.endswith("runs and answers")) == (CheckResult.RIGHT, True)


def test_doctor_asks_a_listener_that_has_a_heartbeat_nothing(database: Database, settings: Settings) -> None:
    """A C-ECHO could be refused because of `listener.allow`, and be recorded as a refusal."""
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        ours.setblocking(False)
        port = ours.getsockname()[1]
        listener = ListenerSettings(port=port, allow=(AllowedPeer(ae_title="PACS", address="192.0.2.20"),))
        with Heartbeat(database, "listener", "listener@here:1", lambda: {"port": port}):
            found = checks_of(settings.model_copy(update={"listener": listener}))["listener"]
        with pytest.raises(BlockingIOError):
            ours.accept()
    assert (found.verdict, found.found.endswith(" runs")) == (CheckResult.RIGHT, True)


def test_doctor_asks_each_destination(database: Database, settings: Settings, tmp_path: Path) -> None:
    """One PACS answers C-ECHO, the other cannot be reached."""
    with running_pacs(tmp_path / "pacs") as pacs:
        there = DestinationSettings(name="there", host=pacs.host, port=pacs.port, ae_title=pacs.ae_title)
        gone = DestinationSettings(name="gone", host="127.0.0.1", port=1, ae_title="GONE")
        found = checks_of(settings.model_copy(update={"destinations": (there, gone)}))
    assert found["destination there"].verdict is CheckResult.RIGHT
    assert found["destination gone"].verdict is CheckResult.WRONG


def test_doctor_asks_the_archive(database: Database, settings: Settings, tmp_path: Path) -> None:
    """The archive that is queried for prior studies must answer C-ECHO too."""
    with running_pacs(tmp_path / "pacs") as pacs:
        there = ArchiveSettings(host=pacs.host, port=pacs.port, ae_title=pacs.ae_title)
        gone = there.model_copy(update={"port": 1, "ae_title": "GONE"})
        found = [checks_of(settings.model_copy(update={"archive": one}))["archive"] for one in (there, gone)]
    assert [one.verdict for one in found] == [CheckResult.RIGHT, CheckResult.WRONG]


def test_doctor_sees_that_a_demonstration_model_cannot_deliver(
    database: Database, settings: Settings
) -> None:
    """A PACS on another machine would not be sent its drafts."""
    outside = DestinationSettings(name="pacs", host="192.0.2.1", port=1, ae_title="P", timeout_s=0.1)
    asked = settings.model_copy(update={"destinations": (outside,)})
    found = next(one for one in examine(asked, lambda: database) if one.name == "model")
    assert (found.verdict, "allow_demonstration" in found.remedy) == (CheckResult.WRONG, True)


def test_doctor_passes_on_what_is_wrong_with_a_checkpoint(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The problems of the checkpoint are shown."""

    def refuse(_settings: Settings) -> None:
        raise CheckpointError("here", ["no tokenizer"])

    monkeypatch.setattr("agent.service.wiring.load_reporter", refuse)
    found = checks_of(settings)["model"]
    assert (found.verdict, "no tokenizer" in found.found) == (CheckResult.WRONG, True)


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        (ListenerSettings(port=0), CheckResult.RIGHT),
        (ListenerSettings(port=0, host="0.0.0.0"), CheckResult.LOOK),
        (ListenerSettings(port=0, allow=(AllowedPeer(ae_title="A"),)), CheckResult.LOOK),
        (
            ListenerSettings(port=0, allow=(AllowedPeer(ae_title="A", address="127.0.0.1"),)),
            CheckResult.RIGHT,
        ),
        (ListenerSettings(port=0, host="0.0.0.0", allow=(AllowedPeer(ae_title="A"),)), CheckResult.RIGHT),
    ],
)
def test_doctor_compares_peers_and_address(
    database: Database, settings: Settings, listener: ListenerSettings, expected: CheckResult
) -> None:
    """Allowing peers that cannot reach the listener, or listening without an allow list, is worth a look."""
    assert checks_of(settings.model_copy(update={"listener": listener}))["peers"].verdict is expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [(400, CheckResult.RIGHT), (10, CheckResult.LOOK), (-2, CheckResult.WRONG), (None, CheckResult.WRONG)],
)
def test_doctor_reads_when_certificates_end(
    database: Database, settings: Settings, tmp_path: Path, days: int | None, expected: CheckResult
) -> None:
    """A certificate that ends soon is worth a look; one that has ended or cannot be read is wrong."""
    path = tmp_path / "agent.pem"
    path.write_bytes(b"no certificate" if days is None else certificate(days))
    web = WebSettings(tls_certificate=path, tls_key=path)
    assert checks_of(settings.model_copy(update={"web": web}))["certificate agent.pem"].verdict is expected


def test_doctor_sees_an_open_worklist(database: Database, settings: Settings) -> None:
    """A worklist open to other machines without users or TLS is wrong; one on loopback is right."""
    opened = settings.model_copy(update={"web": WebSettings(host="0.0.0.0")})
    assert checks_of(opened)["worklist"].verdict is CheckResult.WRONG
    assert checks_of(settings)["worklist"].verdict is CheckResult.RIGHT


def certificate(days: int) -> bytes:
    """Make a certificate that ends in this number of days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=9))
    # Half a day more, so that a slow test does not change the number of days.
    signed = builder.not_valid_after(now + timedelta(days=days, hours=12)).sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


def test_doctor_proposes_what_is_delivered(database: Database, settings: Settings, free_port: int) -> None:
    """A PACS that answers C-ECHO but accepts no Structured Report is wrong, and the SOP classes are named."""
    ae = AE("IMAGES_ONLY")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", free_port), block=False)
    try:
        one = DestinationSettings(name="pacs", host="127.0.0.1", port=free_port, ae_title="IMAGES_ONLY")
        found = checks_of(settings.model_copy(update={"destinations": (one,)}))["destination pacs"]
    finally:
        assert server is not None
        server.shutdown()
    assert found.verdict is CheckResult.WRONG
    assert "Comprehensive 3D SR Storage and Basic Text SR Storage" in found.found


def test_doctor_looks_at_hl7_messages_that_were_refused(database: Database, settings: Settings) -> None:
    """An order that lacks a number is answered AE, which nobody at the RIS may notice."""
    hearing = settings.model_copy(update={"hl7": Hl7Settings(enabled=True, port=0)})
    inbox = Inbox(database, hearing.hl7)
    inbox.take(order("O1"), "127.0.0.1")
    assert checks_of(hearing)["hl7 messages"].verdict is CheckResult.RIGHT
    inbox.take(hl7(msh("ORM^O01", "O2"), pid(), "ORC|NW"), "127.0.0.1")
    found = checks_of(hearing)["hl7 messages"]
    assert found.verdict is CheckResult.LOOK
    assert found.found == "2 in the last 24 hours, 1 of them applied, 1 refused (AE)"
