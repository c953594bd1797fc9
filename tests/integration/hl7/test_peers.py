"""Peers of three other stacks, in both directions and both acknowledgement modes, with and without TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import select

from agent.database.orders import Order
from agent.database.session import Database
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.tree import TlsSettings
from agent.messages.hl7.parse import parse
from agent.messages.hl7.result_message import write_result
from agent.messages.result_status import ResultStatus
from agent.network.mllp import open_mllp
from tests.conftest import skip_or_fail
from tests.integration.delivery.certificates import Certificates
from tests.integration.hl7.test_in import listening
from tests.support.hl7_messages import hl7, msh, pid
from tests.support.hl7_peer import NodePeers, Receiving, installed, python_receiving, python_send
from tests.unit.agent.messages.hl7.results import result

pytestmark = pytest.mark.integration
# @medplum/hl7 does not support TLS.
WAYS = [
    ("python", "original", "plain"),
    ("python", "enhanced", "plain"),
    ("python", "original", "tls"),
    ("python", "enhanced", "tls"),
    ("node-hl7", "original", "plain"),
    ("node-hl7", "original", "tls"),
    ("node-hl7", "enhanced", "tls"),
    ("medplum", "original", "plain"),
    ("medplum", "enhanced", "plain"),
]


@dataclass
class Stored:
    """Stored bytes to be sent."""

    content: bytes
    sop_class_uid: str = ""


@pytest.fixture(scope="module")
def node(program: Callable[[str], str]) -> NodePeers:
    """The peers based on npm packages."""
    modules = installed(program("npm"))
    if modules is None:
        skip_or_fail("npm cannot be reached, and the HL7 peers are not in the cache")
    return NodePeers(program("node"), modules)


def _keys(certificates: Certificates, name: str) -> dict[str, str]:
    certificate, key = certificates.of(name)
    return {"cert": certificate, "key": key, "ca": str(certificates.folder / "ca.pem")}


@contextmanager
def _receiving(
    peer: str, mode: str, secured: bool, node: NodePeers, certificates: Certificates
) -> Iterator[Receiving]:
    enhanced = mode == "enhanced"
    if peer == "python":
        with python_receiving(enhanced=enhanced, context=certificates.theirs() if secured else None) as found:
            yield found
        return
    keys = _keys(certificates, "pacs") if secured else None
    with node.receiving(peer, enhanced=enhanced, keys=keys) as found:
        yield found


@pytest.mark.parametrize(("peer", "mode", "way"), WAYS)
def test_results_arrive_at_a_receiver_of_another_stack(
    peer: str, mode: str, way: str, node: NodePeers, certificates: Certificates
) -> None:
    """The receiver reads identifiers, status and name of a draft and its verdict as we wrote them."""
    secured = way == "tls"
    with _receiving(peer, mode, secured, node, certificates) as receiver:
        destination = DestinationSettings(
            name="ris",
            kind="hl7",
            host="127.0.0.1",
            port=receiver.port,
            hl7={"acknowledgement": mode},  # type: ignore[arg-type]
            **({"tls": certificates.ours()} if secured else {}),
        )
        draft = result()
        name = draft.subject.name.split("^")[0]
        verdict = replace(draft, status=ResultStatus.FINAL, verifier="Reader^Rita", uid="2.25.77")
        for one, status in ((draft, "R"), (verdict, "F")):
            ((_role, content),) = write_result(destination, one)
            # One connection for each: node-hl7-server processes a connection's earlier messages again.
            with open_mllp(destination) as connection:
                assert connection.store(Stored(content)) is None
            expected = (parse(content).control_id, status, draft.subject.patient_id, name)
            assert receiver.next() == expected


def _orders(mode: str) -> list[bytes]:
    asks = {"accept": "AL", "application": "AL"} if mode == "enhanced" else {}
    return [
        hl7(msh("ORM^O01", f"E{n}", **asks), pid(name="Grün^Ä"), f"ORC|NW|P{n}", f"OBR|1|P{n}")
        for n in range(2)
    ]


@pytest.mark.parametrize(("peer", "mode", "way"), WAYS)
def test_orders_of_a_sender_of_another_stack_are_taken(
    peer: str, mode: str, way: str, node: NodePeers, certificates: Certificates, database: Database
) -> None:
    """Each is stored and answered with AA, in enhanced mode with CA first."""
    secured, enhanced = way == "tls", mode == "enhanced"
    certificate, key = certificates.of("pacs")
    tls = TlsSettings(certificate=certificate, key=key, authorities=certificates.folder / "ca.pem")  # type: ignore[arg-type]
    with listening(database, **({"tls": tls} if secured else {})) as port:
        if peer == "python":
            context = None
            if secured:
                context = _context(certificates)
            answers = python_send(port, _orders(mode), answers=2 if enhanced else 1, context=context)
        else:
            keys = _keys(certificates, "agent") if secured else None
            answers = node.send(peer, port, _orders(mode), enhanced=enhanced, keys=keys)
    codes = {
        ("python", "enhanced"): ["CA", "AA"],
        # node-hl7-client reports only one answer to a message.
        ("node-hl7", "enhanced"): ["CA"],
    }.get((peer, mode), ["AA"])
    assert answers == [(code, f"E{n}") for n in range(2) for code in codes]
    with database.reading() as session:
        assert session.scalars(select(Order.placer_number).order_by(Order.id)).all() == ["P0", "P1"]


def _context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates.folder / "ca.pem"))
    context.load_cert_chain(*certificates.of("agent"))
    return context
