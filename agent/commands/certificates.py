"""The certificates named in the settings, and when each of them expires."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.foundation.settings.tree import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate of ours; `ends` is None if the file cannot be read."""

    setting: str
    path: Path
    ends: datetime | None


def our_certificates(settings: Settings) -> Iterator[Certificate]:
    """Yield the certificates that we present to peers and browsers."""
    named: list[tuple[str, Path | None]] = []
    if settings.listener.tls is not None:
        named.append(("listener.tls.certificate", settings.listener.tls.certificate))
    if settings.hl7.enabled and settings.hl7.tls is not None:
        named.append(("hl7.tls.certificate", settings.hl7.tls.certificate))
    named.append(("web.tls_certificate", settings.web.tls_certificate))
    for one in settings.destinations:
        if one.tls is not None:
            named.append((f"the tls.certificate of the destination {one.name}", one.tls.certificate))
        if one.fhir is not None and one.fhir.tls is not None:
            named.append(
                (f"the fhir.tls.certificate of the destination {one.name}", one.fhir.tls.certificate)
            )
    signed = settings.signed_reports.fhir
    peers = {"archive": settings.archive, "mwl": settings.mwl, "signed_reports.fhir": signed}
    for place, peer in peers.items():
        if peer is not None and peer.tls is not None:
            named.append((f"{place}.tls.certificate", peer.tls.certificate))
    for setting, path in named:
        if path is not None:
            yield Certificate(setting=setting, path=path, ends=_end(path))


def _end(path: Path) -> datetime | None:
    from cryptography import x509  # takes a tenth of a second to import

    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return None
    return min(one.not_valid_after_utc for one in chain)
