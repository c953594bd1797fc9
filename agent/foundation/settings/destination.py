"""The settings of one destination: where drafts go, how, and which documents."""

from __future__ import annotations

from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from agent.foundation.settings.base import AeTitle, Host, HttpUrl, Port, Seconds, Section, is_loopback
from agent.foundation.settings.delivery import ClientTlsSettings
from agent.foundation.settings.fhir import FhirDestinationSettings
from agent.foundation.settings.hl7 import Hl7DestinationSettings
from agent.foundation.settings.http import HttpCredentials, check_encrypted
from agent.foundation.settings.kinds import (
    DEFAULT_DOCUMENTS,
    DOCUMENTS,
    FIELDS,
    MESSAGE_KINDS,
    Kind,
    SentDocument,
    kind_of,
)


class DestinationSettings(Section):
    """A system that drafts are sent to."""

    name: str = Field(min_length=1, max_length=64, description="Name in logs, status and metrics.")
    kind: Kind = Field(
        "dicom",
        description="How drafts are sent: `dicom` by C-STORE, `stow` by STOW-RS, `hl7` by HL7 v2 over MLLP, "
        "`fhir` by FHIR R4; `stow` is the default where there is a `stow_url`.",
    )
    documents: tuple[SentDocument, ...] = Field(
        ("findings", "report"),
        min_length=1,
        description="What is sent for each draft: `findings` and `report` are Structured Reports; `pdf` "
        "and `capture` show the report in any viewer, as Encapsulated PDF and as Secondary Capture image "
        "with the banner burnt in; `kos` is a key image note (Key Object Selection) that names the drafted "
        "images; kinds `hl7` and `fhir` take `result` alone.",
    )
    host: Host = Field("", description="Host name or address (C-STORE, MLLP).")
    port: Port = Field(104, description="TCP port (C-STORE, MLLP).")
    ae_title: AeTitle = Field("PACS", description="The PACS's AE title (C-STORE).")
    calling_ae_title: AeTitle = Field("ECHO_AGENT", description="Our AE title when we call.")
    findings_sop_class: Literal["comprehensive3d", "comprehensive", "enhanced"] = Field(
        "comprehensive3d", description="SOP class in which this PACS accepts the findings document."
    )
    stow_url: HttpUrl | None = Field(None, description="DICOMweb root (STOW-RS).")
    timeout_s: Seconds = Field(30, description="Longest wait (s) for an answer.")
    tls: ClientTlsSettings | None = Field(
        None,
        description="TLS (C-STORE, C-ECHO, storage commitment, MLLP); plain TCP when left out. For a "
        "`stow_url` it gives the authorities and our certificate.",
    )
    credentials: HttpCredentials | None = Field(
        None, description="How we sign in to the `stow_url`; when left out, a password is taken from netrc."
    )
    fhir: FhirDestinationSettings | None = Field(None, description="FHIR server (kind `fhir`).")
    hl7: Hl7DestinationSettings | None = Field(
        None, description="How HL7 messages are written; the defaults when left out."
    )
    rejection_notes: bool = Field(
        False,
        description="Send a rejection note (IHE IOCM, Key Object Selection) for documents that are "
        "withdrawn, or that a radiologist rejected.",
    )
    commitment: bool = Field(
        False,
        description="Ask this PACS to take responsibility for what it stored (storage commitment); a "
        "DICOMweb server is queried for what it holds (QIDO-RS).",
    )
    commitment_wait_s: float = Field(
        2, ge=0, le=3600, description="Wait (s) for the report on the association of the request; 0 for none."
    )
    commitment_timeout_s: Seconds = Field(
        900, description="Without a report for this long (s), the PACS is queried for what it holds (C-FIND)."
    )
    commitment_attempts: int = Field(
        3, ge=1, description="Requests for commitment before a document counts as UNCOMMITTED."
    )
    commitment_resends: int = Field(
        3, ge=0, description="How often a document that the PACS has lost is sent again before it is DEAD."
    )

    @model_validator(mode="before")
    @classmethod
    def _by_kind(cls, values: Any) -> Any:
        """Fill in what follows from the kind."""
        if not isinstance(values, dict):
            return values
        kind = kind_of(values)
        documents = {"documents": DEFAULT_DOCUMENTS[kind]} if kind in DEFAULT_DOCUMENTS else {}
        return {"kind": kind, **documents, **values}

    @model_validator(mode="after")
    def _fit_the_kind(self) -> Self:
        """Refuse settings of another kind of destination, and documents that this kind cannot be sent."""
        foreign = sorted(key for key in self.model_fields_set - FIELDS[self.kind] if getattr(self, key))
        if foreign:
            inside = self.kind == "fhir" and foreign[0] in FhirDestinationSettings.model_fields
            raise ValueError(
                f"`{foreign[0]}` is not for a destination of kind `{self.kind}`"
                + (": it belongs into the section `fhir`" if inside else "")
            )
        if self.kind == "stow":
            check_encrypted(self.stow_url, self.tls)
        for one in self.documents:
            if one not in DOCUMENTS[self.kind]:
                raise ValueError(
                    f"a destination of kind `{self.kind}` takes {' and '.join(DOCUMENTS[self.kind])}, "
                    f"not {one}"
                )
        if len(set(self.documents)) < len(self.documents):
            raise ValueError("`documents` names one twice")
        return self

    @model_validator(mode="after")
    def _needs_a_place(self) -> Self:
        if self.kind == "stow" and self.stow_url is None:
            raise ValueError("a destination of kind `stow` needs a `stow_url`")
        if self.kind == "hl7" and not (self.host and "port" in self.model_fields_set):
            raise ValueError("a destination of kind `hl7` needs a `host` and a `port`")
        if self.kind == "fhir" and self.fhir is None:
            raise ValueError("a destination of kind `fhir` needs a section `fhir` with the server's `url`")
        if self.kind == "dicom" and not self.host:
            raise ValueError("a destination needs a `host`, with its `port` and `ae_title`, or a `stow_url`")
        return self

    @property
    def takes_messages(self) -> bool:
        """Whether it is sent messages, which must arrive in order."""
        return self.kind in MESSAGE_KINDS

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.web_url or f"{self.host}:{self.port}"

    @property
    def web_url(self) -> str | None:
        """The address that documents or messages are posted to; None where it is not reached over HTTP."""
        return self.stow_url if self.fhir is None else self.fhir.url

    @property
    def loopback(self) -> bool:
        """Whether the destination is this machine, whichever of its two addresses is used."""
        return all(is_loopback(host) for host in self._hosts)

    @property
    def _hosts(self) -> tuple[str, ...]:
        addresses = (self.stow_url, None if self.fhir is None else self.fhir.url)
        web = tuple(urlsplit(one).hostname or "" for one in addresses if one is not None)
        return (self.host, *web) if self.host else web
