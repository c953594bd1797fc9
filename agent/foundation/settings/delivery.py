"""The settings of sending: TLS towards a peer, and retries."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from agent.foundation.failure import RetryPolicy
from agent.foundation.settings.base import Seconds, Section


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
        True, description="Require that its certificate is issued for its host name or address."
    )
    server_name: str | None = Field(
        None, min_length=1, description="Name in its certificate, if it is not `host`."
    )

    @model_validator(mode="after")
    def _needs_both(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` go together: give both or neither")
        return self


class DeliverySettings(Section):
    """Retries of the outbox."""

    first_retry_s: Seconds = Field(5, description="Backoff (s) after the first failure.")
    longest_retry_s: Seconds = Field(900, description="Backoff's upper bound (s).")
    give_up_after_s: Seconds = Field(86400, description="Age (s) at which an undelivered document is DEAD.")
    lease_s: Seconds = Field(120, description="A deliverer silent for this long (s) loses its deliveries.")
    poll_s: Seconds = Field(0.5, description="Longest wait (s) before the outbox is polled again.")
    batch: int = Field(16, ge=1, description="Documents sent over one association.")
    font: Path | None = Field(
        None,
        description="TrueType file (.ttf) for PDFs and captures; the shipped font has Latin letters only, so "
        "that Chinese or Greek needs one.",
    )

    @property
    def retry(self) -> RetryPolicy:
        """When a document is sent again; `give_up_after_s` ends the retries, not a number of attempts."""
        return RetryPolicy(first_s=self.first_retry_s, longest_s=self.longest_retry_s)
