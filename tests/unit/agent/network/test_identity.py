"""The identity that we send: our implementation, in every association that we open."""

from __future__ import annotations

import ast
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from pynetdicom.pdu import A_ASSOCIATE_RQ

from agent.commands.doctor_destination import document_trouble
from agent.foundation.errors import AgentError
from agent.foundation.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from agent.foundation.settings.tree import ArchiveSettings, DestinationSettings, MwlSettings
from agent.network.archive import connect_archive
from agent.network.commitment_scu import ask, look_up
from agent.network.commitment_terms import CommitmentItem, CommitmentRequest
from agent.network.incoming import Incoming
from agent.network.port_probe import probe_dicom
from agent.network.query_scu import open_archive
from agent.network.store_scu import echo, open_connection
from agent.network.worklist_scu import worklist_entries
from agent.ris.ups.scu import open_manager

ITEM = CommitmentItem(
    delivery_id=1,
    transaction_uid="1.2.9",
    attempts=1,
    study_instance_uid="1.2",
    series_instance_uid="1.2.3",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.88.11",
    sop_instance_uid="1.2.3.4",
)


def destination(port: int) -> DestinationSettings:
    """A PACS on this machine."""
    return DestinationSettings(name="pacs", host="127.0.0.1", port=port, ae_title="PACS", timeout_s=5)


def store(port: int) -> None:
    """Send a document."""
    with open_connection(destination(port), ["1.2.840.10008.5.1.4.1.1.88.11"]):
        pass


def archive(port: int) -> None:
    """Ask an archive for earlier studies."""
    peer = ArchiveSettings(host="127.0.0.1", port=port, ae_title="ARCHIVE", timeout_s=5)
    with open_archive(peer, 5.0):
        pass


def commit(port: int) -> None:
    """Ask for storage commitment."""
    request = CommitmentRequest(transaction_uid="1.2.9", items=(ITEM,))
    ask(destination(port), request, wait_s=1, on_report=lambda event: (0, None))


def worklist(port: int) -> None:
    """Query a modality worklist."""
    worklist_entries(MwlSettings(host="127.0.0.1", port=port, timeout_s=5), "A1")


def retrieval(port: int) -> None:
    """Have an archive send studies over an association that we open."""
    peer = ArchiveSettings(host="127.0.0.1", port=port, ae_title="ARCHIVE", timeout_s=5)
    incoming = Incoming(ae_title="ECHO", take=lambda file: None, longest=1)
    with connect_archive(peer, 5.0, incoming, by_get=True):
        pass


def workitems(port: int) -> None:
    """Search another system's worklist for workitems."""
    with open_manager(destination(port)):
        pass


def port_probe(port: int) -> None:
    """Probe a port without opening an association."""
    probe_dicom("127.0.0.1", port, calling="ECHO", called="PACS", timeout_s=5)


CALLS: dict[str, Callable[[int], object]] = {
    "C-STORE": store,
    "C-ECHO": lambda port: echo(destination(port)),
    "C-FIND and C-MOVE": archive,
    "C-FIND in a modality worklist": worklist,
    "C-FIND and C-GET": retrieval,
    "C-ECHO of `doctor`, port": port_probe,
    "C-ECHO of `doctor`, documents": lambda port: document_trouble(destination(port)),
    "UPS Pull and Watch": workitems,
    "N-ACTION": commit,
    "C-FIND of a document": lambda port: look_up(destination(port), [ITEM]),
}


@pytest.fixture
def request_of() -> Iterator[Callable[[Callable[[int], object]], A_ASSOCIATE_RQ]]:
    """Make a call, and return the A-ASSOCIATE-RQ that arrived, byte for byte as it was sent."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def read(heard: Future[bytes]) -> None:
        peer, _address = server.accept()
        with peer, peer.makefile("rb") as stream:
            head = stream.read(6)
            heard.set_result(head + stream.read(int.from_bytes(head[2:], "big")))

    def hear(call: Callable[[int], object]) -> A_ASSOCIATE_RQ:
        heard: Future[bytes] = Future()
        thread = threading.Thread(target=read, args=(heard,))
        thread.start()
        with contextlib.suppress(AgentError):  # the test closes the connection instead of answering
            call(port)
        thread.join(30)
        pdu = A_ASSOCIATE_RQ()
        pdu.decode(heard.result(0))
        return pdu

    yield hear
    server.close()


@pytest.mark.parametrize("service", CALLS)
def test_every_call_names_our_implementation(
    service: str, request_of: Callable[[Callable[[int], object]], A_ASSOCIATE_RQ]
) -> None:
    """The conformance statement promises our class UID and version name in both directions."""
    information = request_of(CALLS[service]).user_information
    assert information is not None
    named = (information.implementation_class_uid, information.implementation_version_name)
    assert named == (IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)


def test_every_call_goes_through_one_entity(repository: Path) -> None:
    """No file creates an application entity of its own, which would state pynetdicom's identity.

    `commands/demo` plays the other side.
    """
    makers = set()
    for path in (repository / "agent").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            bases = node.bases if isinstance(node, ast.ClassDef) else []
            if any(isinstance(one, ast.Name) and one.id == "AE" for one in (called, *bases)):
                makers.add(str(path.relative_to(repository / "agent")))
    assert {"network/scu.py"} == {one for one in makers if not one.startswith("commands/demo/")}
