"""The listener's TLS: mutual, with modern versions and suites, and without blocking other peers."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.association import Association

from agent.commands.doctor_listener import listener_found
from agent.database.session import Database
from agent.foundation.errors import DatabaseUnavailable, PortUnavailable, SettingsError
from agent.foundation.settings.tree import AllowedPeer, TlsSettings
from agent.network.contexts import VERIFICATION
from tests.integration.receive.peer import Listener, request_pdu

pytestmark = pytest.mark.integration
Start = Callable[..., Listener]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A folder: the authority `ca`, `server` and `peer` signed by it, and `stranger` signed by another."""

    folder: Path

    def settings(self) -> TlsSettings:
        """The listener's TLS settings."""
        return TlsSettings(
            certificate=self.folder / "server.pem",
            key=self.folder / "server.key",
            authorities=self.folder / "ca.pem",
            handshake_timeout_s=60,
        )

    def client(self, name: str | None) -> ssl.SSLContext:
        """A client's context with this certificate or none."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.check_hostname = False
        if name is not None:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def fingerprint(self, name: str) -> str:
        """The SHA-256 of a certificate."""
        text = (self.folder / f"{name}.pem").read_text()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Keys:
    """Make all keys once."""
    folder = tmp_path_factory.mktemp("keys")
    openssl = program("openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for authority in ("ca", "other-ca"):
        run(
            "req",
            "-x509",
            *key,
            "-keyout",
            f"{authority}.key",
            "-out",
            f"{authority}.pem",
            "-subj",
            f"/CN={authority}",
        )
    for name, authority in (("server", "ca"), ("peer", "ca"), ("stranger", "other-ca")):
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key"),
            *("-CAcreateserial", "-out", f"{name}.pem", "-days", "2"),
        )
    return Keys(folder=folder)


def associate(listener: Listener, context: ssl.SSLContext) -> Association:
    """Request an association over TLS."""
    ae = AE("CR1")
    ae.acse_timeout = ae.connection_timeout = 60
    ae.add_requested_context(VERIFICATION)
    return ae.associate("127.0.0.1", listener.port, ae_title="ECHO_AGENT", tls_args=(context, "localhost"))


def echo_works(listener: Listener, context: ssl.SSLContext) -> bool:
    """Whether a C-ECHO over TLS succeeds."""
    association = associate(listener, context)
    if not association.is_established:
        return False
    status = association.send_c_echo().get("Status")
    association.release()
    return status == 0


def is_refused(listener: Listener, context: ssl.SSLContext) -> bool:
    """Whether the listener ends the connection instead of answering an association request."""
    with listener.connect() as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as secured:
                secured.sendall(request_pdu())
                return secured.recv(1) == b""
        except (ssl.SSLError, ConnectionError):
            return True


def test_trusted_peer_is_served(start: Start, keys: Keys) -> None:
    """A peer with a certificate of the configured authority is served."""
    assert echo_works(start(tls=keys.settings()), keys.client("peer"))


def test_doctor_knows_a_running_listener_over_tls(start: Start, keys: Keys) -> None:
    """The port is in use by our own listener: `doctor` shows it its own certificate."""
    listener = start(tls=keys.settings())

    def no_database() -> Database:
        raise DatabaseUnavailable("not asked")

    settings = listener.settings.model_copy(update={"port": listener.port})
    found, cure = listener_found(settings, no_database, 5.0)
    assert (found.endswith("runs and answers"), cure) == (True, "")


@pytest.mark.parametrize("certificate", [None, "stranger"])
def test_peer_without_a_trusted_certificate_is_refused(
    start: Start, keys: Keys, certificate: str | None
) -> None:
    """A missing certificate, or one of another authority, ends the handshake."""
    listener = start(tls=keys.settings())
    assert is_refused(listener, keys.client(certificate))
    listener.until(lambda: listener.count("tls-failed") == 1)


def test_plain_peer_is_refused(start: Start, keys: Keys) -> None:
    """A listener with TLS refuses connections without it."""
    listener = start(tls=keys.settings())
    connection = listener.connect()
    connection.sendall(b"\x01\x00\x00\x00\x00\x10" + bytes(16))
    listener.until(lambda: listener.count("tls-failed") == 1)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(start: Start, keys: Keys, version: ssl.TLSVersion) -> None:
    """The listener itself refuses TLS 1.0 and 1.1 from a client that still offers them."""
    listener = start(tls=keys.settings())
    context = keys.client("peer")
    context.set_ciphers("ALL:@SECLEVEL=0")  # the client's own library would not offer them otherwise
    context.minimum_version = context.maximum_version = version
    with listener.connect() as plain, pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        context.wrap_socket(plain, server_hostname="localhost")
    listener.until(lambda: listener.count("tls-failed") == 1)


def test_old_suites_are_refused(start: Start, keys: Keys) -> None:
    """Ephemeral keys and authenticated encryption are required (PS3.15 B.12)."""
    listener = start(tls=keys.settings())
    context = keys.client("peer")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256")
    assert is_refused(listener, context)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    assert echo_works(listener, context)


def test_allow_list_can_ask_for_one_certificate(start: Start, keys: Keys) -> None:
    """An entry with a fingerprint accepts only that certificate, whatever the AE title."""
    entry = AllowedPeer(ae_title="CR1", certificate_sha256=keys.fingerprint("peer"))
    listener = start(tls=keys.settings(), allow=(entry,))
    assert echo_works(listener, keys.client("peer"))
    assert associate(listener, keys.client("server")).is_rejected
    assert listener.count("rejected-unknown-caller") == 1


def test_silent_peers_do_not_block_the_handshake_of_others(start: Start, keys: Keys) -> None:
    """While twenty silent peers are connected, the next real one is served."""
    listener = start(tls=keys.settings().model_copy(update={"handshake_timeout_s": 30}))
    silent = [listener.connect() for _ in range(20)]
    assert echo_works(listener, keys.client("peer"))
    assert listener.scp.about()["connections"] >= len(silent)


def test_silent_handshake_is_cut(start: Start, keys: Keys) -> None:
    """A silent peer is cut when the time limit of the handshake is over."""
    listener = start(tls=keys.settings().model_copy(update={"handshake_timeout_s": 0.2}))
    silent = listener.connect()
    assert silent.recv(1) == b""
    listener.until(lambda: listener.scp.about()["connections"] == 0)


def test_evicted_handshake_ends(start: Start, keys: Keys) -> None:
    """A peer in the middle of its handshake can be evicted like any other half-open one."""
    listener = start(tls=keys.settings().model_copy(update={"handshake_timeout_s": 30}))
    silent = [listener.connect() for _ in range(60)]
    assert echo_works(listener, keys.client("peer"))
    listener.until(lambda: listener.scp.about()["evicted"] >= 20)
    silent[0].settimeout(60)
    assert silent[0].recv(1) == b""


def test_wrong_files_are_a_settings_error(start: Start, keys: Keys, tmp_path: Path) -> None:
    """A key that does not fit is found at the start, and the error names the setting."""
    wrong = keys.settings().model_copy(update={"key": keys.folder / "peer.key"})
    with pytest.raises(SettingsError, match=r"listener\.tls"):
        start(tls=wrong)
    with pytest.raises(SettingsError, match=r"listener\.tls"):
        start(tls=keys.settings().model_copy(update={"certificate": tmp_path / "none.pem"}))


def test_port_in_use_is_named(start: Start) -> None:
    """A second listener on the same port reports the port."""
    listener = start()
    with pytest.raises(PortUnavailable, match=str(listener.port)):
        start(port=listener.port)
    assert listener.connect().fileno() > 0
