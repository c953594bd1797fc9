"""Real HTTPS servers on loopback for testing clients, with certificates made in memory."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in a folder; `file` has its certificate."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        """The PEM file to trust."""
        return self.folder / f"{_name_of(self.certificate)}.pem"

    def issue(self, name: str, *places: str, days: tuple[int, int] = (-1, 2)) -> tuple[Path, Path]:
        """Issue a certificate for host names and addresses; return its file and its key's.

        days: the start and end of its validity, relative to now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        kinds = [x509.IPAddress(ip_address(p)) if p[0].isdigit() else x509.DNSName(p) for p in places]
        builder = _builder(name, self.certificate.subject, key, days)
        if kinds:
            builder = builder.add_extension(x509.SubjectAlternativeName(kinds), critical=False)
        return _write(self.folder, name, builder.sign(self.key, hashes.SHA256()), key)


def authority(folder: Path, name: str = "ca") -> Authority:
    """Make an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = _builder(name, subject, key, (-2, 2)).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    certificate = builder.sign(key, hashes.SHA256())
    _write(folder, name, certificate, key)
    return Authority(folder, key, certificate)


def _builder(
    name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: tuple[int, int]
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
    )


def _write(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> tuple[Path, Path]:
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    files[1].chmod(0o600)
    return files


def _name_of(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def server_context(
    files: tuple[Path, Path], *, wants: Authority | None = None, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return a server's TLS context; `wants`: it requires a certificate of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    if version is not None:
        context.maximum_version = version
    if wants is not None:
        context.load_verify_locations(wants.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@dataclass(slots=True)
class Heard:
    """One received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


# Status, headers and body of an answer to a request.
Reply = tuple[int, dict[str, str], bytes]


@dataclass(slots=True)
class WebServer:
    """A running server."""

    port: int
    scheme: str
    heard: list[Heard] = field(default_factory=list)

    def url(self, host: str = "127.0.0.1", path: str = "/web") -> str:
        """Return its address under a host name."""
        return f"{self.scheme}://{host}:{self.port}{path}"


@contextmanager
def web_server(
    reply: Callable[[Heard], Reply] | Reply, context: ssl.SSLContext | None = None
) -> Iterator[WebServer]:
    """Run a server until the end of the block; handshakes happen in the connections' own threads."""
    made: list[WebServer] = []

    class Handler(BaseHTTPRequestHandler):
        timeout = 20

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            one = Heard(self.command, self.path, dict(self.headers), body)
            made[0].heard.append(one)
            status, headers, content = reply(one) if callable(reply) else reply
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def finish_request(self, request: Any, client_address: Any) -> None:
            with suppress(OSError):
                if context is None:
                    super().finish_request(request, client_address)
                    return
                request.settimeout(20)
                with context.wrap_socket(request, server_side=True) as secured:
                    super().finish_request(secured, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: clients that break off are what is tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        made.append(WebServer(server.server_port, "https" if context else "http"))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield made[0]
        finally:
            server.shutdown()
            thread.join()
