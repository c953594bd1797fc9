"""Keys and certificates for both ends of TLS, made with the openssl program."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.foundation.settings.tree import ClientTlsSettings

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """A folder: authorities `ca` and `other-ca`; `pacs` and `agent` of the first, `stranger` of the second.

    `pacs` is issued for localhost and 127.0.0.1, `elsewhere` to another host.
    """

    folder: Path

    def of(self, name: str) -> tuple[str, str]:
        """The paths of a certificate and its key."""
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")

    def ours(self, name: str | None = "agent", *, authority: str = "ca", **values: Any) -> ClientTlsSettings:
        """Our side: our certificate, and the authority that we trust."""
        own = {} if name is None else dict(zip(("certificate", "key"), self.of(name), strict=True))
        return ClientTlsSettings(authorities=self.folder / f"{authority}.pem", **own, **values)

    def theirs(self, name: str = "pacs") -> ssl.SSLContext:
        """A PACS's side: it requires a certificate issued by `ca`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.of(name))
        context.load_verify_locations(self.folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def make(folder: Path, openssl: str) -> Certificates:
    """Make all keys and certificates."""

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    for authority in ("ca", "other-ca"):
        files = ("-keyout", f"{authority}.key", "-out", f"{authority}.pem")
        run("req", "-x509", *_KEY, *files, "-subj", f"/CN={authority}")
    for name, authority, place in (
        ("pacs", "ca", "DNS:localhost,IP:127.0.0.1"),
        ("elsewhere", "ca", "DNS:pacs.example"),
        ("agent", "ca", "DNS:agent"),
        ("stranger", "other-ca", "DNS:localhost,IP:127.0.0.1"),
    ):
        run("req", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text(f"subjectAltName={place}\n")
        signed = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial")
        run(
            *("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem", "-days", "2"),
            *("-extfile", f"{name}.ext"),
        )
    return Certificates(folder=folder)
