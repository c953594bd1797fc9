"""The settings of the archive that we query: for earlier studies, and whether a study is complete."""

from __future__ import annotations

from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from agent.foundation.settings.base import AeTitle, Host, HttpUrl, Port, Seconds, Section
from agent.foundation.settings.delivery import ClientTlsSettings
from agent.foundation.settings.http import HttpCredentials, check_encrypted


class ArchiveSettings(Section):
    """The archive to query: by C-FIND and C-MOVE (or C-GET), or by QIDO-RS and WADO-RS."""

    kind: Literal["dicom", "dicomweb"] = Field(
        "dicom",
        description="How it is queried: `dicom` by C-FIND and C-MOVE, `dicomweb` by QIDO-RS and WADO-RS, "
        "which is the default where there is a `url`.",
    )
    host: Host = Field("", description="Host name or address (kind `dicom`).")
    port: Port = Field(104, description="DICOM port (kind `dicom`).")
    url: HttpUrl | None = Field(
        None,
        description="DICOMweb root (kind `dicomweb`).",
    )
    ae_title: AeTitle = Field(
        "PACS", description="The archive's AE title; records name it as the source of what was retrieved."
    )
    calling_ae_title: AeTitle = Field("ECHO_AGENT", description="Our calling AE title (kind `dicom`).")
    timeout_s: Seconds = Field(5, description="Longest wait (s) for a connection or an answer.")
    tls: ClientTlsSettings | None = Field(
        None,
        description="TLS; plain TCP when left out. For a `url` it gives the authorities and our certificate.",
    )
    credentials: HttpCredentials | None = Field(
        None, description="How we sign in to the `url`; when left out, a password is taken from netrc."
    )

    @model_validator(mode="before")
    @classmethod
    def _by_kind(cls, values: Any) -> Any:
        """Fill in the kind that follows from the address."""
        if isinstance(values, dict) and values.get("url") and not values.get("host"):
            return {"kind": "dicomweb"} | values
        return values

    @model_validator(mode="after")
    def _fit_the_kind(self) -> Self:
        """Refuse settings of another kind of archive, and an archive without an address."""
        web = self.kind == "dicomweb"
        if web and self.url is None:
            raise ValueError("an archive of kind `dicomweb` needs a `url`")
        if not web and not self.host:
            raise ValueError("an archive needs a `host`, with its `port` and `ae_title`, or a `url`")
        foreign = ("host", "port", "calling_ae_title") if web else ("url", "credentials")
        given = [key for key in foreign if key in self.model_fields_set and getattr(self, key)]
        if given:
            raise ValueError(f"`{given[0]}` is not for an archive of kind `{self.kind}`")
        if web:
            check_encrypted(self.url, self.tls)
        return self

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return self.url or f"{self.ae_title} at {self.host}:{self.port}"

    @property
    def address(self) -> str:
        """Its host name or address, for records."""
        return self.host or urlsplit(self.url or "").hostname or ""


class PriorSettings(Section):
    """Earlier studies of the same patient, fetched from `archive` before a study is drafted."""

    enabled: bool = Field(False, description="Whether earlier studies are fetched.")
    move_destination: AeTitle = Field(
        "ECHO_PRIORS",
        description="AE title by which the archive knows this listener for earlier studies; what is sent "
        "to it is never drafted. It must differ from `listener.ae_title`. A `dicomweb` archive sends "
        "nothing to it.",
    )
    maximum: int = Field(
        2, ge=1, le=10, description="Number of earlier studies that are fetched, the newest first."
    )
    maximum_age_days: int = Field(
        3650,
        ge=1,
        le=36_500,
        description="Studies more than this many days older than the new one are left out.",
    )
    modalities: tuple[str, ...] = Field(
        ("CR", "DX"), min_length=1, description="Modalities of earlier studies."
    )
    time_budget_s: Seconds = Field(
        20,
        description="Longest time (s) that a draft waits for them; then it is made without them, and says "
        "so.",
    )
    stat_time_budget_s: Seconds = Field(5, description="The same for a study whose request says STAT.")
