"""The settings of the destinations of audit messages."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from agent.foundation.settings.base import Days, Section, check_url, is_loopback

_PORTS = {"tls": 6514, "tcp": 601, "udp": 514}


class AuditSettings(Section):
    """Where DICOM audit messages (PS3.15 A.5) go; the events are recorded in the database in any case."""

    file: Path | None = Field(None, description="File that each message is appended to as one line.")
    file_format: Literal["xml", "json"] = Field("xml", description="The message as XML, or the same as JSON.")
    syslog: str | None = Field(
        None,
        pattern=r"^(tls|tcp|udp)://[^/@\s]+$",
        description="Syslog server, such as `tls://audit.example:6514`; `tcp` and `udp` only on loopback.",
    )
    syslog_authorities: Path | None = Field(
        None, description="PEM file: the authorities that sign the syslog server's certificate."
    )
    syslog_certificate: Path | None = Field(None, description="PEM file: our certificate and its chain.")
    syslog_key: Path | None = Field(None, description="PEM file: its private key.")
    source_id: str = Field("", description="Our name as the audit source; the host's name when empty.")
    site_id: str = Field("", description="The enterprise site of the audit source; left out when empty.")
    identity: Literal["identifiers", "hashes"] = Field(
        "identifiers",
        description="Name patient and study by Patient ID and Study Instance UID, as the standard requires, "
        "or by keyed hashes of them (`log.hash_key`). A patient's name is never written.",
    )
    keep_days: Days | None = Field(
        None,
        description="Remove events from the database after this time (days), once each destination has them.",
    )

    @model_validator(mode="after")
    def _protects_what_leaves(self) -> Self:
        if self.syslog is None:
            return self
        check_url(self.syslog)
        scheme, host, _port = self.syslog_address
        if scheme != "tls" and not is_loopback(host):
            raise ValueError(f"`syslog` to another machine must be tls://, not {scheme}://")
        if (self.syslog_certificate is None) != (self.syslog_key is None):
            raise ValueError("`syslog_certificate` and `syslog_key` go together")
        return self

    @property
    def syslog_address(self) -> tuple[str, str, int]:
        """Scheme (tls, tcp or udp), host and port of `syslog`."""
        parts = urlsplit(self.syslog or "")
        return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
