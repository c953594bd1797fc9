"""The section `signed_reports`: where reports that radiologists signed elsewhere are read, besides HL7."""

from __future__ import annotations

from pydantic import Field

from agent.foundation.settings.base import Seconds, Section
from agent.foundation.settings.fhir import FhirClientSettings


class FhirReportsSettings(FhirClientSettings):
    """A FHIR R4 server whose signed DiagnosticReports are read."""

    scope: str = Field("system/*.read", description="The scope that is asked for.")
    category: str = Field(
        "RAD", description="Reports of this category are read (DiagnosticReport.category); all when empty."
    )
    patient_system: str = Field(
        "", description="System of the patient identifier that the images have; the first one when empty."
    )
    accession_system: str = Field(
        "", description="System of the accession numbers, where they have no type ACSN."
    )
    poll_s: Seconds = Field(300, description="Pause (s) between two queries of the server.")
    look_back_s: Seconds = Field(
        604_800, description="The first query asks for what was changed in this time (s) before it."
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
        1_209_600, description="Drafts older than this (s) are not looked for in the archive."
    )
