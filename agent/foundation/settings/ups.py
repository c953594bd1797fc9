"""The settings for Unified Procedure Steps: our worklist, and the worklists that we perform for."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from agent.foundation.settings.base import AeTitle, Host, HttpUrl, Port, Seconds, Section, is_loopback
from agent.foundation.settings.delivery import ClientTlsSettings
from agent.foundation.settings.http import HttpCredentials, check_encrypted


class Right(StrEnum):
    """Something that a caller may do with the worklist."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    PERFORM = "perform"
    CANCEL = "cancel"
    SUBSCRIBE = "subscribe"
    SUBSCRIBE_OTHERS = "subscribe_others"


class UpsPermission(Section):
    """A caller of the worklist, and what it may do."""

    ae_title: AeTitle = Field(description="Its calling AE title.")
    token: str = Field(
        "", description="Bearer token by which it is recognised over UPS-RS; without one it uses DIMSE only."
    )
    may: tuple[Right, ...] = Field(
        (Right.READ,),
        description="`read` (search, retrieve), `create`, `update` (N-SET, such as another priority), "
        "`perform` (claim, complete, cancel what it has claimed), `cancel` (request a cancellation), "
        "`subscribe` (to events, for its own AE title), `subscribe_others` (for other AE titles).",
    )


class UpsPeer(Section):
    """An application entity, and how we call it."""

    host: Host = Field(min_length=1, description="Host name or address.")
    port: Port = Field(104, description="DICOM port.")
    ae_title: AeTitle = Field(description="Its AE title.")
    calling_ae_title: AeTitle = Field("ECHO_AGENT", description="Our AE title when we call it.")
    timeout_s: Seconds = Field(10, description="Longest wait (s) for a connection or an answer.")
    tls: ClientTlsSettings | None = Field(None, description="TLS; plain TCP when left out.")


class UpsManagerPeer(UpsPeer):
    """Another system's worklist, whose workitems we perform if they are meant for us."""

    name: str = Field(min_length=1, max_length=64, description="Name in logs and in `ups list`.")
    workitem_codes: tuple[str, ...] = Field(
        ("110003", "110004"),
        min_length=1,
        description="Scheduled Workitem Code values that we perform: by default computer aided diagnosis and "
        "detection.",
    )
    subscribe: bool = Field(
        False, description="Subscribe to its events (triggered pull) instead of only asking every `poll_s`."
    )
    poll_s: Seconds = Field(5, description="Time (s) between two queries for new workitems.")


class UpsWatchSettings(Section):
    """The worklist that `echo-agent ups watch` shows, and how it is reached."""

    url: HttpUrl | None = Field(
        None, description="Address of UPS-RS; our own worklist when left out. `--url` names another one."
    )
    tls: ClientTlsSettings | None = Field(
        None, description="TLS of an https address: its authorities and our certificate."
    )
    credentials: HttpCredentials | None = Field(
        None, description="How we sign in; with `ups.token` when left out."
    )

    @model_validator(mode="after")
    def _check_encrypted(self) -> Self:
        check_encrypted(self.url, self.tls)
        return self


class UpsSettings(Section):
    """Our drafts as a worklist of Unified Procedure Steps, and other worklists that we perform for."""

    enabled: bool = Field(False, description="Whether `echo-agent serve` starts the worklist.")
    ae_title: AeTitle = Field("ECHO_UPS", description="AE title of the worklist.")
    port: Port = Field(11114, description="DICOM port of the worklist; host, peers, TLS are the listener's.")
    http_host: Host = Field("127.0.0.1", min_length=1, description="Address of UPS-RS.")
    http_port: Port = Field(8043, description="TCP port of UPS-RS; 0 takes a free one.")
    token: str = Field("", description="Bearer token for UPS-RS; when empty, only this machine may use it.")
    tls_certificate: str | None = Field(None, description="PEM file: certificate and chain for UPS-RS.")
    tls_key: str | None = Field(None, description="PEM file: its private key.")
    strict: bool = Field(
        True,
        description="Refuse a new workitem that lacks attributes of type 2, or of types 1 and 1C in the "
        "items of its sequences; otherwise they count as empty.",
    )
    subscribers: tuple[UpsPeer, ...] = Field((), description="Who may subscribe to events over DIMSE.")
    managers: tuple[UpsManagerPeer, ...] = Field((), description="Worklists of other systems.")
    permissions: tuple[UpsPermission, ...] = Field(
        (),
        description="What each caller may do. When empty, every admitted caller may do everything; "
        "otherwise, one that is not listed may only read.",
    )
    watch: UpsWatchSettings = Field(
        default_factory=UpsWatchSettings, description="What `ups watch` shows, and how it gets there."
    )
    keep_final_h: float = Field(24, ge=24, description="Final workitems are kept for at least this long (h).")
    claim_silent_h: float = Field(
        24,
        gt=0,
        description="A claimed workitem without a report for this long (h) is canceled and replaced.",
    )

    @field_validator("managers")
    @classmethod
    def _name_managers_apart(cls, value: tuple[UpsManagerPeer, ...]) -> tuple[UpsManagerPeer, ...]:
        names = [one.name for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two managers have the name {twice[0]!r}: each needs its own")
        return value

    @field_validator("permissions")
    @classmethod
    def _name_callers_apart(cls, value: tuple[UpsPermission, ...]) -> tuple[UpsPermission, ...]:
        for what, given in (
            ("AE title", [one.ae_title.strip() for one in value]),
            ("token", [one.token for one in value if one.token]),
        ):
            if len(set(given)) < len(given):
                raise ValueError(f"two entries have the same {what}: each caller needs its own")
        return value

    @model_validator(mode="after")
    def _protect(self) -> Self:
        tokens = bool(self.token) or any(one.token for one in self.permissions)
        if self.enabled and not is_loopback(self.http_host) and not (tokens and self.tls_certificate):
            raise ValueError("`ups.http_host` is reachable from other machines: set `ups.token` and TLS")
        return self
