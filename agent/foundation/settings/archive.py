"""The sections of the settings on the archive that we ask: earlier studies, and how complete a study is."""

from __future__ import annotations

from pydantic import Field

from agent.foundation.settings.base import AeTitle, Host, Port, Seconds, Section
from agent.foundation.settings.delivery import ClientTlsSettings


class ArchiveSettings(Section):
    """The archive that is asked (C-FIND, C-MOVE)."""

    host: Host = Field(min_length=1, description="Host name or address.")
    port: Port = Field(104, description="DICOM port.")
    ae_title: AeTitle = Field("PACS", description="The archive's AE title.")
    calling_ae_title: AeTitle = Field("ECHO_AGENT", description="Our AE title when we ask.")
    timeout_s: Seconds = Field(5, description="Longest wait (s) for a connection or an answer.")
    tls: ClientTlsSettings | None = Field(None, description="TLS; plain TCP when left out.")


class PriorSettings(Section):
    """Earlier studies of the same patient, fetched from `archive` before a study is drafted."""

    enabled: bool = Field(False, description="Whether earlier studies are fetched.")
    move_destination: AeTitle = Field(
        "ECHO_PRIORS",
        description="AE title by which the archive knows this listener for earlier studies; what is called "
        "to it is never drafted. It must differ from `listener.ae_title`.",
    )
    maximum: int = Field(2, ge=1, le=10, description="Earlier studies that are fetched, the newest first.")
    maximum_age_days: int = Field(
        3650, ge=1, le=36_500, description="Studies older than this (days before the new one) are left out."
    )
    modalities: tuple[str, ...] = Field(
        ("CR", "DX"), min_length=1, description="Modality of an earlier study is one of these."
    )
    time_budget_s: Seconds = Field(
        20, description="Longest time (s) that a draft waits; then it is made without, and says so."
    )
    stat_time_budget_s: Seconds = Field(5, description="The same for a study whose request says STAT.")
