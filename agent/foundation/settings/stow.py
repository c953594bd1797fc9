"""The section `listener.stow`: storage over HTTP (STOW-RS) beside C-STORE."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from agent.foundation.settings.base import AeTitle, Host, Port, Section

_SHORTEST_TOKEN = 16


class StowSender(Section):
    """A sender over HTTP, recognised by its token."""

    ae_title: AeTitle = Field(description="The AE title that stands for it in routing, sites and records.")
    token: str = Field(min_length=_SHORTEST_TOKEN, description="Its bearer token, at least 16 characters.")


class StowSettings(Section):
    """STOW-RS: POST /studies and POST /studies/{uid}."""

    host: Host = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Port = Field(8044, description="TCP port; 0 takes a free one.")
    senders: tuple[StowSender, ...] = Field(
        (), description="Who may send. Without an entry only this machine may, as `STOW`."
    )
    tls_certificate: Path | None = Field(None, description="PEM file: certificate and chain.")
    tls_key: Path | None = Field(
        None, description="PEM file: its private key, readable by the service alone."
    )

    @field_validator("senders")
    @classmethod
    def _tell_apart(cls, value: tuple[StowSender, ...]) -> tuple[StowSender, ...]:
        if len({one.token for one in value}) < len(value):
            raise ValueError("two senders have one token")
        return value

    @model_validator(mode="after")
    def _needs_both(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("`tls_certificate` and `tls_key` go together: give both or neither")
        return self
