"""The section `signed_reports`: sources, besides HL7, of reports that radiologists signed elsewhere."""

from __future__ import annotations

from pydantic import Field

from agent.foundation.settings.base import Seconds, Section
from agent.foundation.settings.fhir import FhirClientSettings


class FhirReportsSettings(FhirClientSettings):
    """A FHIR R4 server whose signed DiagnosticReports are read."""

    scope: str = Field("system/*.read", description="The scope to request.")
    category: str = Field(
        "RAD", description="Reports of this category are read (DiagnosticReport.category); all when empty."
    )
    patient_system: str = Field(
        "",
        description="System of the patient identifiers used in the images; the first identifier when empty.",
    )
    accession_system: str = Field(
        "", description="System of the accession numbers, if they do not have the type ACSN."
    )
    poll_s: Seconds = Field(300, description="Pause (s) between two queries of the server.")
    look_back_s: Seconds = Field(
        604_800, description="The first query asks for reports changed within this time (s) before it."
    )
    timeout_s: Seconds = Field(30, description="Longest wait (s) for an answer.")


class SignedReportsSettings(Section):
    """Reports that radiologists signed elsewhere, for shadow mode and drift."""

    fhir: FhirReportsSettings | None = Field(
        None, description="A FHIR server that has them; none when left out."
    )
    structured_reports: bool = Field(
        False,
        description="Read verified Structured Reports of other systems that arrive under "
        "`priors.move_destination`, or with earlier studies.",
    )
    archive_poll_s: Seconds | None = Field(
        None,
        description="Pause (s) between two queries of the `archive` for the Structured Reports of drafted "
        "studies; never when left out.",
    )
    archive_look_back_s: Seconds = Field(
        1_209_600, description="For drafts older than this (s), the archive is not queried."
    )
