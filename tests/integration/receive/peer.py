"""What the receive tests work with: a running listener, raw clients and small objects."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pynetdicom import AE, build_context
from pynetdicom.association import Association
from sqlalchemy import func, select

from agent.database.audit.record import Event
from agent.database.session import Database
from agent.database.tables import Instance, Job, Quarantined
from agent.foundation.settings.tree import ListenerSettings
from agent.network.contexts import CR_IMAGE, DX_IMAGE_FOR_PRESENTATION, SECONDARY_CAPTURE, VERIFICATION
from agent.objects.store import InstanceStore
from agent.receive.scp import StorageScp
from tests.support.waiting import wait_for

EXPLICIT = "1.2.840.10008.1.2.1"


@dataclass(kw_only=True)
class Listener:
    """A listener with its store and database."""

    scp: StorageScp
    store: InstanceStore
    database: Database
    port: int
    settings: ListenerSettings
    # The audit events that it has recorded.
    noted: list[Event] = field(default_factory=list)
    _opened: list[socket.socket] = field(default_factory=list)

    def connect(self) -> socket.socket:
        """Open a plain TCP connection, which is closed at the end of the test."""
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        """Close the test's connections, then stop the listener."""
        for opened in self._opened:
            opened.close()
        self.scp.stop(2)

    def instances(self) -> int:
        """The number of stored instances."""
        return self._count(Instance)

    def quarantined(self) -> int:
        """The number of quarantined objects."""
        return self._count(Quarantined)

    def job_states(self) -> list[str]:
        """The states of all jobs."""
        with self.database.transaction() as session:
            return list(session.scalars(select(Job.state).order_by(Job.id)))

    def count(self, name: str) -> int:
        """One of the listener's counters."""
        return int(self.scp.about()["counts"].get(name, 0))

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds that the listener brings about asynchronously."""
        wait_for(condition, self.scp.about)

    def _count(self, table: Any) -> int:
        with self.database.transaction() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0


def associate(
    listener: Listener, calling: str = "CR1", called: str = "ECHO_AGENT", **options: Any
) -> Association:
    """Request an association with all contexts proposed."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 20
    contexts = [
        build_context(uid, EXPLICIT)
        for uid in (VERIFICATION, CR_IMAGE, DX_IMAGE_FOR_PRESENTATION, SECONDARY_CAPTURE)
    ]
    return ae.associate("127.0.0.1", listener.port, contexts=contexts, ae_title=called, **options)


def echo_works(listener: Listener, calling: str = "CR1") -> bool:
    """Whether a well-behaved peer is served."""
    association = associate(listener, calling)
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return bool(status.get("Status") == 0)


def request_pdu(
    calling: str = "CR1",
    called: str = "ECHO_AGENT",
    classes: tuple[str, ...] = (CR_IMAGE,),
    syntaxes: tuple[str, ...] = (EXPLICIT,),
) -> bytes:
    """An A-ASSOCIATE-RQ PDU, built by hand (PS3.8 9.3.2).

    Each class is offered in each syntax, in a context of its own, numbered 1, 3, 5, …
    """

    def item(kind: int, body: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(body)) + body

    offers = [(uid, syntax) for uid in classes for syntax in syntaxes]
    contexts = b"".join(
        item(
            0x20,
            struct.pack(">B3x", 2 * number + 1) + item(0x30, uid.encode()) + item(0x40, syntax.encode()),
        )
        for number, (uid, syntax) in enumerate(offers)
    )
    user = item(0x50, item(0x51, struct.pack(">I", 131072)) + item(0x52, b"1.2.3"))
    body = struct.pack(">H2x16s16s32x", 1, called.encode().ljust(16), calling.encode().ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user
    return struct.pack(">BxI", 1, len(body)) + body


def data_pdus(context: int, command: bool, body: bytes, size: int = 16384) -> bytes:
    """P-DATA-TF PDUs of one message part (PS3.8 9.3.5)."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    pdus = []
    for number, piece in enumerate(pieces):
        control = (1 if command else 0) | (2 if number == len(pieces) - 1 else 0)
        value = struct.pack(">IBB", len(piece) + 2, context, control) + piece
        pdus.append(struct.pack(">BxI", 4, len(value)) + value)
    return b"".join(pdus)


def store_command(sop_class: bytes, sop_instance: bytes, message_id: int = 1) -> bytes:
    """The command set of a C-STORE-RQ (PS3.7 9.3.1.1)."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    body = element(0x0002, sop_class) + element(0x0100, struct.pack("<H", 1))
    body += element(0x0110, struct.pack("<H", message_id)) + element(0x0700, struct.pack("<H", 0))
    body += element(0x0800, struct.pack("<H", 0)) + element(0x1000, sop_instance)
    return element(0x0000, struct.pack("<I", len(body))) + body


def read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    """Read one PDU: its type and body; type 0 when the peer has closed."""
    header = _exactly(connection, 6)
    if len(header) < 6:
        return 0, b""
    kind, length = struct.unpack(">BxI", header)
    return kind, _exactly(connection, length)


def status_of(body: bytes) -> int:
    """The Status of the response in a P-DATA-TF's body."""
    at = 6  # past the value's length, context and control header
    while at < len(body):
        element, length = struct.unpack_from("<2xHI", body, at)
        if element == 0x0900:
            return int(struct.unpack_from("<H", body, at + 8)[0])
        at += 8 + length
    raise AssertionError("the response has no status")


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        try:
            piece = connection.recv(count - len(received))
        except ConnectionResetError:
            break
        if not piece:
            break
        received += piece
    return received
