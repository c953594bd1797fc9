"""The MLLP port: allowed senders, limits on size and time, and storage of what was acknowledged."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hl7.client import MLLPClient
from hl7.mllp import open_hl7_connection
from sqlalchemy import select

from agent.database.orders import Order
from agent.database.session import Database
from agent.foundation.settings.hl7 import Hl7Settings
from agent.foundation.settings.tree import TlsSettings
from agent.messages.hl7.parse import parse
from agent.ris.inbox import Inbox
from agent.ris.server import MllpServer
from tests.integration.delivery.certificates import Certificates
from tests.support.hl7_messages import hl7, msh, order, pid
from tests.support.mllp import ask

pytestmark = pytest.mark.integration


@contextmanager
def listening(database: Database, **values: Any) -> Iterator[int]:
    """The port of a listening server."""
    settings = Hl7Settings(port=0, **values)
    server = MllpServer(settings, Inbox(database, settings).take)
    port = server.start()
    try:
        yield port
    finally:
        server.stop()


def _codes(answers: list[bytes]) -> list[str]:
    return [next(parse(one).all("MSA")).text(1) for one in answers]


def _orders(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(Order.accession_number).order_by(Order.id)))


def test_messages_of_one_connection_are_stored_and_answered_in_order(database: Database) -> None:
    """The client need not wait for the answers in between."""
    messages = [order(f"O{n}", accession=f"A{n}") for n in range(5)]
    with listening(database) as port:
        answers = ask(port, *messages, count=5)
    assert [next(parse(one).all("MSA")).text(2) for one in answers] == [f"O{n}" for n in range(5)]
    assert _orders(database) == [f"A{n}" for n in range(5)]


def test_client_of_python_hl7_is_served(database: Database) -> None:
    """An independent client is served in both modes."""
    enhanced = hl7(msh("ORM^O01", "E1", accept="AL", application="AL"), pid(), "ORC|NW|P7|", "OBR|1|P7")

    async def talk(port: int) -> list[str]:
        reader, writer = await open_hl7_connection("127.0.0.1", port, encoding="utf-8")
        codes = []
        writer.writeblock(enhanced)
        for _ in range(2):
            codes.append(str((await reader.readmessage()).segment("MSA")[1]))
        writer.close()
        await writer.wait_closed()
        return codes

    with listening(database) as port:
        with MLLPClient("127.0.0.1", port, encoding="utf-8") as client:
            answer = client.send_message(order("O1").decode())
        assert _codes([answer.strip(b"\x0b\x1c\r")]) == ["AA"]
        assert asyncio.run(talk(port)) == ["CA", "AA"]
    assert len(_orders(database)) == 2


@pytest.mark.parametrize(("allow", "served"), [([], True), (["127.0.0.0/8"], True), (["192.0.2.1"], False)])
def test_only_allowed_systems_are_served(database: Database, allow: list[str], served: bool) -> None:
    """Without a list only this machine is served; any other system's connection is closed."""
    with listening(database, allow=[{"address": one} for one in allow]) as port:
        assert _codes(ask(port, order())) == (["AA"] if served else [])


def test_message_that_is_too_large_ends_the_connection(database: Database) -> None:
    """Other connections are still served."""
    with listening(database, maximum_message_mb=0.01) as port:
        assert ask(port, b"MSH|^~\\&|" + b"x" * 20_000) == []
        assert _codes(ask(port, order())) == ["AA"]


def test_silent_and_slow_peers_hold_up_nobody(database: Database) -> None:
    """An unfinished message is cut off at the time limit, and others are served meanwhile."""
    with listening(database, message_timeout_s=0.3, maximum_connections_per_peer=3) as port:
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        for one in slow:
            one.sendall(b"\x0bMSH|^~\\&|half")
        assert _codes(ask(port, order())) == ["AA"]
        for one in slow:
            one.settimeout(30)
            assert one.recv(10) == b""
            one.close()
        assert _codes(ask(port, order("O2"))) == ["AA"]


def test_tls_demands_a_trusted_certificate(database: Database, certificates: Certificates) -> None:
    """TLS also demands the certificate pinned for the address, if there is one."""
    certificate, key = certificates.of("pacs")
    tls = TlsSettings(certificate=certificate, key=key, authorities=certificates.folder / "ca.pem")  # type: ignore[arg-type]

    def ours(name: str | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(certificates.folder / "ca.pem"))
        if name is not None:
            context.load_cert_chain(*certificates.of(name))
        return context

    with listening(database, tls=tls) as port:
        assert _codes(ask(port, order(), context=ours("agent"))) == ["AA"]
        for stranger in (None, "stranger"):
            with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
                _codes(ask(port, order("O2"), context=ours(stranger)))[0]
    with listening(
        database, tls=tls, allow=[{"address": "127.0.0.1", "certificate_sha256": "0" * 64}]
    ) as port:
        assert ask(port, order("O3"), context=ours("agent")) == []
    assert _orders(database) == ["A1"]
