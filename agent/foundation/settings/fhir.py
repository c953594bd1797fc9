"""The settings for FHIR R4: how to reach a server, and the hospital's identifier systems."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from agent.foundation.settings.base import HttpUrl, Section
from agent.foundation.settings.delivery import ClientTlsSettings
from agent.foundation.settings.http import HttpCredentials, check_encrypted

_SYSTEM = r"^(urn:[a-z0-9][a-z0-9-]*:\S+|https?://\S+)$"


class FhirClientSettings(Section):
    """How a FHIR R4 server is reached."""

    url: HttpUrl = Field(description="Base address of the server.")
    token_url: HttpUrl | None = Field(
        None, description="OAuth 2.0 token address (client credentials); none when left out."
    )
    client_id: str = Field("", description="Our client identifier there.")
    client_secret_file: Path | None = Field(
        None, description="File that holds the client secret, readable by the service alone."
    )
    credentials: HttpCredentials | None = Field(
        None,
        description="How we sign in without OAuth 2.0; when left out, a password is taken from netrc.",
    )
    tls: ClientTlsSettings | None = Field(
        None, description="Authorities and our certificate, for an https `url` and `token_url`."
    )
    scope: str = Field("system/*.write", description="The scope to request.")

    @model_validator(mode="after")
    def _whole_client(self) -> Self:
        if self.token_url is not None and not (self.client_id and self.client_secret_file):
            raise ValueError("`token_url` needs `client_id` and `client_secret_file`")
        if self.token_url is not None and self.credentials is not None:
            raise ValueError("give `token_url` or `credentials`, not both")
        check_encrypted(self.url, self.tls)
        return self


class FhirDestinationSettings(FhirClientSettings):
    """A FHIR R4 server, for a destination of kind `fhir`."""

    patient_system: str = Field(
        "", description="System of the patient identifiers (`urn:oid:...`), where the images name no issuer."
    )
    accession_system: str = Field("", description="System of the accession numbers.")
    placer_system: str = Field("", description="System of the placer order numbers.")
    patient_reference: Literal["identifier", "search"] = Field(
        "identifier",
        description="How resources name the patient: `identifier` (a logical reference), or `search` (a "
        "conditional reference: the server refuses the bundle if it does not know exactly one such patient).",
    )

    @field_validator("patient_system", "accession_system", "placer_system")
    @classmethod
    def _system(cls, value: str) -> str:
        if value and not re.match(_SYSTEM, value):
            raise ValueError("a system is a URI such as urn:oid:1.2.3 or https://hospital.example/patients")
        return value
