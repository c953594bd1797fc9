"""The settings of HL7 v2: how a destination is written to, and what the listener takes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.foundation.settings.base import Section


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
        description="What counts as taken: AA (`original`), CA and then AA (`enhanced`), or CA alone "
        "(`commit`).",
    )
    patient_authority: str = Field(
        "", max_length=227, description="PID-3.4 where the images name no issuer of the Patient ID."
    )
    filler_authority: str = Field(
        "ECHO_AGENT", max_length=20, description="Namespace of our filler order number (OBR-3.2)."
    )
    withdraw_with: Literal["X", "D"] = Field(
        "X", description="OBX-11 of what is withdrawn: X cannot be obtained, D delete; OBR-25 is X."
    )
    escalation: Literal["none", "OMI", "ORM"] = Field(
        "none",
        description="Tell the receiver which draft is urgent: an order change OMI^O23 or ORM^O01, once for "
        "each revision.",
    )
    escalation_priority: int = Field(
        10, ge=0, le=49, description="Drafts whose urgency has this priority or a smaller one are escalated."
    )
