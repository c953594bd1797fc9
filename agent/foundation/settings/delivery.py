"""The sections of the settings that say where drafts go, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from agent.foundation.failure import RetryPolicy
from agent.foundation.settings.base import AeTitle, Host, Port, Seconds, Section, check_url, is_loopback


class ClientTlsSettings(Section):
    """TLS towards another application entity (PS3.15 B.12)."""

    authorities: Path | None = Field(
        None, description="PEM file: the authorities that sign its certificate; the system's when left out."
    )
    certificate: Path | None = Field(
        None, description="PEM file: our certificate and its chain, for mutual authentication."
    )
    key: Path | None = Field(None, description="PEM file: our private key, readable by the service alone.")
    verify_host: bool = Field(
        True, description="Demand that its certificate is made out to its host name or address."
    )
    server_name: str | None = Field(
        None, min_length=1, description="Name in its certificate, where that is not `host`."
    )

    @model_validator(mode="after")
    def _needs_both(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` go together: give both or neither")
        return self


class DestinationSettings(Section):
    """A PACS that drafts are sent to."""

    name: str = Field(min_length=1, max_length=64, description="Name in logs, status and metrics.")
    host: Host = Field("", description="Host name or address (C-STORE).")
    port: Port = Field(104, description="DICOM port (C-STORE).")
    ae_title: AeTitle = Field("PACS", description="The PACS's AE title (C-STORE).")
    calling_ae_title: AeTitle = Field("ECHO_AGENT", description="Our AE title when we call.")
    findings_sop_class: Literal["comprehensive3d", "comprehensive", "enhanced"] = Field(
        "comprehensive3d", description="SOP class in which this PACS takes the findings document."
    )
    stow_url: str | None = Field(
        None,
        description="DICOMweb root to send to by STOW-RS instead of C-STORE; a password comes from netrc.",
        pattern=r"^https?://[^/@\s]+(/\S*)?$",
    )
    timeout_s: Seconds = Field(30, description="Longest wait (s) for an answer.")
    tls: ClientTlsSettings | None = Field(
        None, description="TLS (C-STORE, C-ECHO, storage commitment); plain TCP when left out."
    )
    rejection_notes: bool = Field(
        False,
        description="Send a rejection note (IHE IOCM, Key Object Selection) for documents that are "
        "withdrawn, or that a radiologist rejected.",
    )
    commitment: bool = Field(
        False,
        description="Ask this PACS to take responsibility for what it stored (storage commitment); a "
        "DICOMweb server is asked what it holds (QIDO-RS).",
    )
    commitment_wait_s: float = Field(
        2, ge=0, le=3600, description="Wait (s) for the report on the association of the request; 0 for none."
    )
    commitment_timeout_s: Seconds = Field(
        900, description="Without a report for this long (s) the PACS is asked what it holds (C-FIND)."
    )
    commitment_attempts: int = Field(
        3, ge=1, description="Requests for commitment before a document counts as UNCOMMITTED."
    )
    commitment_resends: int = Field(
        3, ge=0, description="How often a document that the PACS has lost is sent again before it is DEAD."
    )

    @field_validator("stow_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return value if value is None else check_url(value)

    @model_validator(mode="after")
    def _needs_a_place(self) -> Self:
        if not self.host and self.stow_url is None:
            raise ValueError("a destination needs a `host`, with its `port` and `ae_title`, or a `stow_url`")
        if self.stow_url is not None and self.tls is not None:
            raise ValueError(
                "`tls` is for C-STORE; an https `stow_url` takes its authorities from REQUESTS_CA_BUNDLE"
            )
        return self

    @property
    def loopback(self) -> bool:
        """Whether the destination is this machine, whichever of its two addresses is used."""
        return all(is_loopback(host) for host in self._hosts)

    @property
    def _hosts(self) -> tuple[str, ...]:
        web = () if self.stow_url is None else (urlsplit(self.stow_url).hostname or "",)
        return (self.host, *web) if self.host else web


class DeliverySettings(Section):
    """Retries of the outbox."""

    first_retry_s: Seconds = Field(5, description="Backoff (s) after the first failure.")
    longest_retry_s: Seconds = Field(900, description="Backoff's upper bound (s).")
    give_up_after_s: Seconds = Field(86400, description="Age (s) at which an undelivered document is DEAD.")
    lease_s: Seconds = Field(120, description="A deliverer silent for this long (s) loses its deliveries.")
    poll_s: Seconds = Field(0.5, description="Longest wait (s) before the outbox is looked at again.")
    batch: int = Field(16, ge=1, description="Documents sent over one association.")

    @property
    def retry(self) -> RetryPolicy:
        """When a document is sent again; `give_up_after_s` ends it, not a number of attempts."""
        return RetryPolicy(first_s=self.first_retry_s, longest_s=self.longest_retry_s)
