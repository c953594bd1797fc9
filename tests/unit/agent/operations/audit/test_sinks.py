"""Rules of the destinations of audit messages: what counts as delivered, and what does not."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.foundation.errors import AuditUndelivered
from agent.foundation.settings.audit import AuditSettings
from agent.operations.audit.sinks import FileSink, MessageLine, SyslogSink, syslog_message

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LINES = [
    MessageLine(at=MOMENT, succeeded=True, text="<Ärzte/>"),
    MessageLine(at=MOMENT, succeeded=False, text="<b/>"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A server's certificate and key; the certificate is self-signed."""

    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Keys:
    """A certificate for localhost."""
    folder = tmp_path_factory.mktemp("keys")
    found = Keys(certificate=folder / "server.pem", key=folder / "server.key")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(found.key), "-out", str(found.certificate)]
    subprocess.run([program("openssl"), *words.split(), *names, *files], check=True, capture_output=True)
    return found


class Server:
    """A syslog server for one connection after another; `behave` handles each connection."""

    def __init__(self, behave: Callable[[socket.socket], bytes], keys: Keys | None = None) -> None:
        self.taken: list[bytes] = []
        self._behave = behave
        self._context = None
        if keys is not None:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(keys.certificate, keys.key)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with suppress(OSError), connection:
                if self._context is not None:
                    with self._context.wrap_socket(connection, server_side=True) as secure:
                        self.taken.append(self._behave(secure))
                else:
                    self.taken.append(self._behave(connection))


@contextmanager
def serving(behave: Callable[[socket.socket], bytes], keys: Keys | None = None) -> Iterator[Server]:
    """A server that is closed at the end."""
    server = Server(behave, keys)
    try:
        yield server
    finally:
        server.close()


def reads_all(connection: socket.socket) -> bytes:
    """Read to the peer's end of stream, then close TLS properly."""
    found = b""
    while piece := connection.recv(4096):
        found += piece
    if isinstance(connection, ssl.SSLSocket):
        with suppress(OSError):
            connection.unwrap()
    return found


def closes_plainly(connection: socket.socket) -> bytes:
    """Read to the peer's end of stream, then close without TLS's close message."""
    found = b""
    while piece := connection.recv(4096):
        found += piece
    return found


def resets(connection: socket.socket) -> bytes:
    """Reset the connection with the messages unread."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return b""


def sink(server: Server, scheme: str, keys: Keys | None = None, timeout_s: float = 30) -> SyslogSink:
    """A sink for this server."""
    host = "localhost" if scheme == "tls" else "127.0.0.1"
    authorities = None if keys is None else keys.certificate
    settings = AuditSettings(syslog=f"{scheme}://{host}:{server.port}", syslog_authorities=authorities)
    return SyslogSink(settings, host="echo 1", pid=7, timeout_s=timeout_s)


def frames(stream: bytes) -> list[bytes]:
    """Split a stream by the octet counts of RFC 5425."""
    found = []
    while stream:
        count, stream = stream.split(b" ", 1)
        found.append(stream[: int(count)])
        stream = stream[int(count) :]
    return found


def test_syslog_message_has_the_form_of_the_standard() -> None:
    """RFC 5424: priority of facility 10, version, time, host, program, process, kind, no data, BOM, text."""
    made = [syslog_message(one, "echo-1 echo-agent 7 DICOM+RFC3881") for one in LINES]
    head = b"1 2026-01-02T03:04:05.678Z echo-1 echo-agent 7 DICOM+RFC3881 - \xef\xbb\xbf"
    assert made == [b"<85>" + head + "<Ärzte/>".encode(), b"<84>" + head + b"<b/>"]


@pytest.mark.parametrize("behave", [reads_all, closes_plainly])
def test_messages_go_over_tls_with_octet_counts(behave: Callable[[socket.socket], bytes], keys: Keys) -> None:
    """The server's end of stream, with or without TLS's close message, confirms that it has read all."""
    with serving(behave, keys) as server:
        sink(server, "tls", keys).deliver(LINES)
        sink(server, "tls", keys).deliver(LINES[:1])
    expected = [syslog_message(one, "echo-1 echo-agent 7 DICOM+RFC3881") for one in LINES]
    assert [frames(one) for one in server.taken] == [expected, expected[:1]]


def test_messages_go_over_plain_tcp_on_loopback() -> None:
    """The frames are the same as over TLS."""
    with serving(reads_all) as server:
        sink(server, "tcp").deliver(LINES)
    assert len(frames(server.taken[0])) == 2


def test_messages_go_as_datagrams_on_loopback() -> None:
    """Each message is one datagram, without a count."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        settings = AuditSettings(syslog=f"udp://127.0.0.1:{server.getsockname()[1]}")
        SyslogSink(settings, host="echo1", pid=7).deliver(LINES)
        assert [server.recv(4096)[-9:], server.recv(4096)[-4:]] == ["<Ärzte/>".encode(), b"<b/>"]


def test_server_that_dies_with_messages_unread_has_not_got_them(keys: Keys) -> None:
    """After a reset the batch must be sent again."""
    with serving(resets, keys) as server, pytest.raises(AuditUndelivered):
        sink(server, "tls", keys).deliver(LINES)


def test_silent_server_has_not_got_them() -> None:
    """A server that accepts the bytes and does not answer is given up after the time limit."""
    released = threading.Event()

    def hangs(_connection: socket.socket) -> bytes:
        released.wait(10)
        return b""

    with serving(hangs) as server:
        with pytest.raises(AuditUndelivered):
            sink(server, "tcp", timeout_s=0.2).deliver(LINES)
        released.set()


def test_absent_server_has_not_got_them(free_port: int) -> None:
    """Nothing listens on the port."""
    settings = AuditSettings(syslog=f"tcp://127.0.0.1:{free_port}")
    with pytest.raises(AuditUndelivered, match=str(free_port)):
        SyslogSink(settings, host="echo1", pid=7).deliver(LINES)


def test_server_of_an_unknown_authority_gets_nothing(keys: Keys) -> None:
    """An authority in the settings must have signed the certificate."""
    with serving(reads_all, keys) as server, pytest.raises(AuditUndelivered):
        sink(server, "tls").deliver(LINES)
    assert b"".join(server.taken) == b""


@pytest.mark.parametrize(
    "values",
    [
        {"syslog": "tcp://192.0.2.1:601"},
        {"syslog": "udp://audit.example"},
        {"syslog": "http://localhost"},
        {"syslog": "tls://audit.example", "syslog_certificate": "us.pem"},
    ],
)
def test_settings_that_would_send_in_the_clear_are_refused(values: dict[str, str]) -> None:
    """Patients' identifiers leave the machine over TLS only."""
    with pytest.raises(ValidationError):
        AuditSettings(**values)


def test_file_is_appended_to_in_lines(tmp_path: Path) -> None:
    """Each message is one line, and other users may not read the file."""
    path = tmp_path / "audit" / "audit.log"
    FileSink(path).deliver(LINES)
    FileSink(path).deliver(LINES[:1])
    assert path.read_text(encoding="utf-8") == "<Ärzte/>\n<b/>\n<Ärzte/>\n"
    assert path.stat().st_mode & 0o007 == 0


def test_torn_line_is_ended_first(tmp_path: Path) -> None:
    """After a power failure in the middle of a line the next message starts a new line."""
    path = tmp_path / "audit.log"
    path.write_text("<a/>\n<b", encoding="utf-8")
    FileSink(path).deliver(LINES[1:])
    assert path.read_text(encoding="utf-8") == "<a/>\n<b\n<b/>\n"


def test_file_that_cannot_be_written_has_not_got_them(tmp_path: Path) -> None:
    """The batch is sent again when the disk is available."""
    with pytest.raises(AuditUndelivered):
        FileSink(tmp_path).deliver(LINES)
