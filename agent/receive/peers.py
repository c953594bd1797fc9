"""Decides who may open an association: the allow-list, by AE title, address and TLS certificate.

Pure: no sockets here. Without an allow-list only loopback peers may send.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from agent.foundation.settings.tree import AllowedPeer, ListenerSettings


class AssociationResult(Enum):
    """The answer to an association request: result, source and reason of PS3.8 table 9-21."""

    ACCEPT = (0, 0, 0)
    UNKNOWN_CALLER = (1, 1, 3)  # permanent: calling AE title not recognized
    UNKNOWN_CALLED = (1, 1, 7)  # permanent: called AE title not recognized
    FULL = (2, 3, 2)  # transient: local limit exceeded
    STOPPING = (2, 3, 1)  # transient: temporary congestion

    @property
    def reason_code(self) -> str:
        """The name under which the rejection is counted and logged."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The requestor of an association; with the fingerprint (sha256, hex) of its certificate under TLS."""

    address: str
    calling_ae_title: str
    called_ae_title: str
    certificate_sha256: str | None = None


class PeerPolicy:
    """The allow-list."""

    def __init__(
        self,
        settings: ListenerSettings,
        prior_ae_title: str | None = None,
        backfill_ae_title: str | None = None,
    ) -> None:
        self._settings = settings
        self._backfill_ae_title = None if backfill_ae_title is None else backfill_ae_title.strip()
        self._prior_ae_title = None if prior_ae_title is None else prior_ae_title.strip()

    def knows_address(self, address: str) -> bool:
        """Whether any peer at this address may send at all."""
        return any(_at_address(peer, address) for peer in self._peers(address))

    def judge(self, caller: Caller) -> AssociationResult:
        """Decide on an association request; the ledger limits the number of associations."""
        if not any(_is_peer(peer, caller) for peer in self._peers(caller.address)):
            return AssociationResult.UNKNOWN_CALLER
        called = caller.called_ae_title.strip()
        own = called == self._settings.ae_title.strip()
        ours = own or self.is_prior(called) or self.is_backfill(called)
        if self._settings.require_called_ae_title and not ours:
            return AssociationResult.UNKNOWN_CALLED
        return AssociationResult.ACCEPT

    def is_prior(self, called_ae_title: str) -> bool:
        """Whether this called AE title receives earlier studies, which are never drafted."""
        return self._prior_ae_title is not None and called_ae_title.strip() == self._prior_ae_title

    def is_backfill(self, called_ae_title: str) -> bool:
        """Whether this called AE title receives old studies, which are drafted after everything else."""
        return self._backfill_ae_title is not None and called_ae_title.strip() == self._backfill_ae_title

    def _peers(self, address: str) -> tuple[AllowedPeer | None, ...]:
        """The entries to compare with; None stands for "anyone on this machine"."""
        if self._settings.allow:
            return self._settings.allow
        return (None,) if _parsed(address).is_loopback else ()


def _at_address(peer: AllowedPeer | None, address: str) -> bool:
    if peer is None or peer.address is None:
        return True
    return _parsed(address) in ip_network(peer.address, strict=False)


def _is_peer(peer: AllowedPeer | None, caller: Caller) -> bool:
    if peer is None:
        return True
    return (
        peer.ae_title.strip() == caller.calling_ae_title.strip()
        and _at_address(peer, caller.address)
        and peer.certificate_sha256 in (None, caller.certificate_sha256)
    )


def _parsed(address: str) -> IPv4Address | IPv6Address:
    parsed = ip_address(address.split("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
