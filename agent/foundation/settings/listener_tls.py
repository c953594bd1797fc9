"""The TLS settings of our own ports."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from agent.foundation.settings.base import Seconds, Section


class TlsSettings(Section):
    """TLS with mutual authentication on the listener (PS3.15 B.12)."""

    certificate: Path = Field(description="PEM file: our certificate and its chain.")
    key: Path = Field(description="PEM file: our private key, readable by the service alone.")
    authorities: Path = Field(description="PEM file: the authorities that sign the peers' certificates.")
    handshake_timeout_s: Seconds = Field(5, description="Longest wait (s) for a peer's handshake.")
