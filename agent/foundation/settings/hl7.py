"""The settings for HL7 v2: the messages to a destination, and those that the listener accepts."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from agent.foundation.settings.base import Host, Port, Seconds, Section
from agent.foundation.settings.listener_tls import TlsSettings

# A segment and a field, with component and subcomponent.
PLACE = re.compile(r"([A-Z][A-Z0-9]{2})-([1-9]\d{0,2})(?:\.(\d{1,2})(?:\.(\d{1,2}))?)?")


class Hl7DestinationSettings(Section):
    """HL7 v2.5.1 over MLLP, for a destination of kind `hl7`."""

    sending_application: str = Field("ECHO_AGENT", min_length=1, max_length=20, description="MSH-3.")
    sending_facility: str = Field("", max_length=20, description="MSH-4.")
    receiving_application: str = Field("", max_length=20, description="MSH-5.")
    receiving_facility: str = Field("", max_length=20, description="MSH-6.")
    processing_id: Literal["P", "T", "D"] = Field(
        "P", description="MSH-11: production, training or debugging; drafts of a demonstration model say T."
    )
    character_set: Literal["UNICODE UTF-8", "8859/1", "ASCII", "GB 18030-2000"] = Field(
        "UNICODE UTF-8",
        description="MSH-18. A message that it cannot express is written in UTF-8, and says so.",
    )
    acknowledgement: Literal["original", "enhanced", "commit"] = Field(
        "original",
        description="What counts as accepted: AA (`original`), CA and then AA (`enhanced`), or CA alone "
        "(`commit`).",
    )
    patient_authority: str = Field(
        "", max_length=227, description="PID-3.4 where the images name no issuer of the Patient ID."
    )
    filler_authority: str = Field(
        "ECHO_AGENT", max_length=20, description="Namespace of our filler order number (OBR-3.2)."
    )
    withdraw_with: Literal["X", "D"] = Field(
        "X", description="OBX-11 of a withdrawn result: X cannot be obtained, D delete; OBR-25 is X."
    )
    pdf: bool = Field(
        False,
        description="Add the report as a PDF too (OBX of type ED, base64), with the banner on each page of a "
        "draft.",
    )
    escalation: Literal["none", "OMI", "ORM"] = Field(
        "none",
        description="Tell the receiver which draft is urgent: an order change OMI^O23 or ORM^O01, once for "
        "each revision.",
    )
    escalation_priority: int = Field(
        10, ge=0, le=49, description="Drafts whose urgency has this priority or a smaller one are escalated."
    )


class Hl7PeerSettings(Section):
    """A system that may send messages."""

    address: str = Field(description="IP address or network, such as 192.0.2.0/24.")
    certificate_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 fingerprint (64 hex digits) of its TLS certificate; any trusted one when "
        "left out.",
    )

    @field_validator("address")
    @classmethod
    def _network(cls, value: str) -> str:
        try:
            ip_network(value, strict=False)
        except ValueError:
            raise ValueError("give an IP address or a network such as 192.0.2.0/24") from None
        return value


Places = tuple[str, ...]


class Hl7OrderSettings(Section):
    """Where an order states what: the first field of each list that has a value counts."""

    placer_number: Places = Field(("ORC-2.1", "OBR-2.1"), description="Placer order number.")
    filler_number: Places = Field(("ORC-3.1", "OBR-3.1"), description="Filler order number.")
    accession_number: Places = Field(("IPC-1.1", "OBR-18.1"), description="Accession number.")
    study_instance_uid: Places = Field(("IPC-3.1", "ZDS-1.1"), description="Study Instance UID.")
    procedure_id: Places = Field(("IPC-2.1", "OBR-19.1"), description="Requested procedure ID.")
    procedure: Places = Field(
        ("OBR-44.2", "OBR-4.2", "OBR-4.1"), description="Description of the requested procedure."
    )
    clinical_question: Places = Field(
        ("OBR-31.2", "OBR-31.1", "OBR-13.1", "ORC-16.2"), description="Reason for the study."
    )
    priority: Places = Field(
        ("TQ1-9.1", "OBR-27.6", "ORC-7.6", "OBR-5.1", "ORC-7.1", "OBR-27.1"), description="Priority."
    )
    stat_values: tuple[str, ...] = Field(
        ("S", "ST", "STAT", "A", "ASAP", "EMERGENCY", "EMERGENT", "EMER", "IMMEDIATE", "CRITICAL"),
        description="Values of `priority` that mean STAT; case does not matter.",
    )
    high_values: tuple[str, ...] = Field(
        ("T", "TIMING CRITICAL", "U", "URGENT", "H", "HIGH"),
        description="Values of `priority` that mean high; case does not matter.",
    )

    @field_validator("*")
    @classmethod
    def _are_places(cls, value: Places, info: ValidationInfo) -> Places:
        if info.field_name not in ("stat_values", "high_values"):
            for one in value:
                if PLACE.fullmatch(one) is None:
                    raise ValueError(
                        f"{one!r} is not a field: write a segment and a number, such as OBR-18 or PID-3.1"
                    )
        return value


class Hl7Settings(Section):
    """Messages of other systems (HL7 v2 over MLLP), which `echo-agent listen` receives."""

    enabled: bool = Field(False, description="Whether the listener accepts HL7 messages.")
    host: Host = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: Port = Field(2575, description="TCP port; 0 takes a free one.")
    allow: tuple[Hl7PeerSettings, ...] = Field(
        (), description="Systems that may send. Without an entry only this machine may."
    )
    tls: TlsSettings | None = Field(
        None, description="TLS with mutual authentication; plain TCP when left out."
    )
    maximum_connections: int = Field(32, ge=1, description="Connections at the same time.")
    maximum_connections_per_peer: int = Field(
        8, ge=1, description="Connections at the same time from one address."
    )
    maximum_message_mb: float = Field(10, gt=0, le=1000, description="Largest message (MB).")
    message_timeout_s: Seconds = Field(
        30, description="Longest time (s) that one message may take to arrive."
    )
    idle_timeout_s: Seconds = Field(3600, description="Longest silence (s) on a connection.")
    patient_authority: str = Field(
        "", description="Issuer of the Patient ID where PID-3.4 names none, as the images state it."
    )
    patient_identifiers: tuple[Literal["PID-2", "PID-3", "PID-4"], ...] = Field(
        ("PID-3", "PID-2", "PID-4"),
        min_length=1,
        description="Fields of PID that name the patient: the first with a value counts. A merge takes the "
        "field of MRG that belongs to it: MRG-1 to PID-3, MRG-4 to PID-2, MRG-2 to PID-4.",
    )
    orders: Hl7OrderSettings = Hl7OrderSettings()
