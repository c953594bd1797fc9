"""TLS towards destinations: with a pynetdicom peer, with dcmtk, and with every case that should fail."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.commands.demo.orthanc import free_ports, running_orthanc
from agent.database.session import Database
from agent.delivery.deliverer import Deliverer
from agent.foundation.errors import SettingsError
from agent.foundation.settings.tree import ClientTlsSettings, DestinationSettings, Settings
from agent.network.scu import ConnectionLost
from agent.network.store_scu import echo, open_connection
from tests.integration.delivery import certificates
from tests.integration.delivery.certificates import Certificates
from tests.integration.delivery.conftest import ScriptedPacs
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.integration
Letters = Callable[[int], Any]
MakePacs = Callable[..., ScriptedPacs]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Certificates:
    """Make all keys once."""
    return certificates.make(tmp_path_factory.mktemp("keys"), program("openssl"))


def at(destination: DestinationSettings, tls: ClientTlsSettings, **changes: Any) -> DestinationSettings:
    """The same destination over TLS."""
    return destination.model_copy(update={"tls": tls, "timeout_s": 10.0, **changes})


def send(destination: DestinationSettings, *documents: Any) -> list[str]:
    """Send documents over one association."""
    with open_connection(destination, [one.sop_class_uid for one in documents]) as connection:
        return [connection.store(one) for one in documents]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_mutual_authentication(pacs: MakePacs, letters: Letters, keys: Certificates, host: str) -> None:
    """With two valid certificates documents arrive, by address and by host name."""
    peer = pacs(tls=keys.theirs())
    destination = at(peer.start(), keys.ours(), host=host)
    assert send(destination, *letters(1)) == [None] * 2
    echo(destination)
    assert len(peer.received) == 2


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        ("pacs", {"authority": "other-ca"}, r"not trusted.*`tls\.authorities`"),
        ("stranger", {}, r"not trusted.*`tls\.authorities`"),
        ("elsewhere", {}, r"another name \(`tls\.server_name`"),
        ("pacs", {"name": None}, r"refuses us.*`tls\.certificate`"),
        ("pacs", {"name": "stranger"}, r"refuses us.*`tls\.certificate`"),
    ],
    ids=["our-wrong-authority", "their-stranger", "their-other-host", "we-show-nothing", "we-are-strangers"],
)
def test_tls_failures_name_the_setting(
    pacs: MakePacs, keys: Certificates, theirs: str, ours: dict[str, Any], words: str
) -> None:
    """Each failure names what to correct, and nothing is sent."""
    peer = pacs(tls=keys.theirs(theirs))
    with pytest.raises(ConnectionLost, match=words):
        echo(at(peer.start(), keys.ours(**ours)))
    assert peer.associations == 0


@pytest.mark.parametrize("values", [{"verify_host": False}, {"server_name": "pacs.example"}])
def test_tls_certificate_of_another_name_by_agreement(
    pacs: MakePacs, keys: Certificates, values: dict[str, Any]
) -> None:
    """The name check can be disabled, or the name given; the authority is checked in both cases."""
    peer = pacs(tls=keys.theirs("elsewhere"))
    destination = peer.start()
    echo(at(destination, keys.ours(**values)))
    with pytest.raises(ConnectionLost, match="not trusted"):
        echo(at(destination, keys.ours(authority="other-ca", **values)))


def test_tls_to_a_peer_without_it(pacs: MakePacs, keys: Certificates) -> None:
    """There is no fallback to plain TCP for a PACS without TLS."""
    peer = pacs()
    with pytest.raises(ConnectionLost):
        echo(at(peer.start(), keys.ours(), timeout_s=3.0))
    assert peer.associations == 0


def test_tls_silent_peer_costs_the_timeout_only(keys: Certificates, silent_port: int) -> None:
    """A peer that does not complete the handshake is given up."""
    destination = DestinationSettings(
        name="x", host="127.0.0.1", port=silent_port, ae_title="X", timeout_s=0.5, tls=keys.ours()
    )
    with pytest.raises(ConnectionLost):
        echo(destination)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("version", "suites"),
    [
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256"),
    ],
    ids=["version", "suite"],
)
def test_tls_old_versions_and_suites_are_refused(
    pacs: MakePacs, keys: Certificates, version: ssl.TLSVersion, suites: str
) -> None:
    """TLS 1.2 with ephemeral keys and authenticated encryption is the minimum (PS3.15 B.12)."""
    old = keys.theirs()
    old.minimum_version = min(version, old.minimum_version)
    old.maximum_version = version
    old.set_ciphers(suites)
    with pytest.raises(ConnectionLost, match="TLS handshake"):
        echo(at(pacs(tls=old).start(), keys.ours()))


def test_tls_wrong_files_end_the_deliverer(database: Database, keys: Certificates, tmp_path: Path) -> None:
    """A key that does not match is found at the start; one that becomes invalid later only delays."""
    certificate, _key = keys.of("agent")
    wrong = ClientTlsSettings(certificate=Path(certificate), key=Path(keys.of("pacs")[1]))
    destination = DestinationSettings(name="x", host="127.0.0.1", port=1, ae_title="X", tls=wrong)
    with pytest.raises(SettingsError, match="tls"):
        Deliverer(database, Settings(destinations=(destination,))).run(threading.Event())
    with pytest.raises(ConnectionLost, match="tls"):
        echo(destination)


def test_tls_half_a_pair_is_a_settings_error() -> None:
    """A certificate without its key is reported."""
    with pytest.raises(ValueError, match="go together"):
        ClientTlsSettings(certificate=Path("x.pem"))


@pytest.fixture
def dcmtk_pacs(
    tmp_path: Path, keys: Certificates, program: Callable[[str], str]
) -> Iterator[DestinationSettings]:
    """dcmtk's storescp with TLS, which requires our certificate."""
    port = free_ports(1)[0]
    certificate, key = keys.of("pacs")
    arguments = [
        "+tls",
        key,
        certificate,
        "+cf",
        str(keys.folder / "ca.pem"),
        "-rc",
        "+B",
        "-od",
        str(tmp_path),
    ]
    process = subprocess.Popen([program("storescp"), *arguments, "-aet", "PACS", str(port)])
    destination = DestinationSettings(name="dcmtk", host="127.0.0.1", port=port, ae_title="PACS")
    destination = at(destination, keys.ours())
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            echo(destination)
        except ConnectionLost:
            time.sleep(0.1)
        else:
            break
    yield destination
    process.terminate()
    process.wait(timeout=60)


def test_tls_with_dcmtk(
    dcmtk_pacs: DestinationSettings, letters: Letters, keys: Certificates, tmp_path: Path
) -> None:
    """dcmtk's storescp accepts both documents over mutual TLS, and nothing from an unknown peer."""
    assert send(dcmtk_pacs, *letters(1)) == [None] * 2
    assert len([one for one in tmp_path.iterdir() if one.name.startswith("SR")]) == 2
    with pytest.raises(ConnectionLost, match="refuses us"):
        echo(at(dcmtk_pacs, keys.ours("stranger")))


def test_tls_with_orthanc(
    tmp_path: Path, keys: Certificates, letters: Letters, program: Callable[[str], str]
) -> None:
    """A real archive with the documented settings accepts both; an unknown peer is rejected."""
    certificate, key = keys.of("pacs")
    extra = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": certificate,
        "DicomTlsPrivateKey": key,
        "DicomTlsTrustedCertificates": str(keys.folder / "ca.pem"),
    }
    with running_orthanc(tmp_path, program("Orthanc"), extra=extra) as orthanc:
        plain = DestinationSettings(
            name="orthanc", host=orthanc.host, port=orthanc.port, ae_title=orthanc.ae_title
        )
        assert send(at(plain, keys.ours()), *letters(79)) == [None] * 2
        assert len(orthanc.documents("1.2.840.99.79")) == 2
        with pytest.raises(ConnectionLost, match="refuses us"):
            echo(at(plain, keys.ours("stranger")))
