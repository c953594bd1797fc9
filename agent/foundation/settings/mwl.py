"""The section `mwl`: the modality worklist that is queried for orders if they do not come by HL7."""

from __future__ import annotations

from pydantic import Field

from agent.foundation.settings.base import AeTitle, Host, Port, Seconds, Section
from agent.foundation.settings.delivery import ClientTlsSettings


class MwlSettings(Section):
    """The modality worklist that is queried for a study's order by its accession number (C-FIND)."""

    host: Host = Field(min_length=1, description="Host name or address.")
    port: Port = Field(104, description="DICOM port.")
    ae_title: AeTitle = Field("WORKLIST", description="Its AE title.")
    calling_ae_title: AeTitle = Field("ECHO_AGENT", description="Our calling AE title.")
    timeout_s: Seconds = Field(5, description="Longest wait (s) for a connection or an answer.")
    tls: ClientTlsSettings | None = Field(None, description="TLS; plain TCP when left out.")
    time_budget_s: Seconds = Field(10, description="Longest time (s) of one query.")
    give_up_after_s: Seconds = Field(
        3600,
        description="A worklist that does not answer is queried again for this long (s). Drafts never wait: "
        "an order that is found later leads to a revision if its clinical question differs.",
    )
