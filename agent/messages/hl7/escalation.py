"""The order change that tells a reading worklist that a draft is urgent: OMI^O23 or ORM^O01. Pure.

It raises the priority of an existing order; it contains no finding and no result.
Source: HL7 v2.5.1 chapter 4.4 (ORM), 4.4.12 (OMI), 4.5.4 (TQ1), 4.5.6 (IPC), table 0119 (XO), table 0485.
"""

from __future__ import annotations

from agent.foundation.settings.hl7 import Hl7DestinationSettings
from agent.messages.hl7.patient_order import order_numbers, patient, procedure, request_fields
from agent.messages.hl7.write import Value, encoded, header, segment
from agent.messages.result import Result

_STAT_UP_TO = 10


def escalation(settings: Hl7DestinationSettings, result: Result) -> bytes:
    """Return the message; its identifier is derived from the result's."""
    kind = ("OMI", "O23", "OMI_O23") if settings.escalation == "OMI" else ("ORM", "O01", "ORM_O01")
    head = header(settings, kind, uid=f"{result.uid}.1", at=result.created, test=result.demonstration)
    placer, filler = order_numbers(result, settings)
    priority = "S" if result.priority <= _STAT_UP_TO else "A"
    common: dict[int, Value] = {1: "XO", 2: placer, 3: filler}
    fields = request_fields(result, settings)
    lines = [patient(result, settings)]
    if settings.escalation == "ORM":
        lines.append(segment("ORC", common | {7: ("", "", "", "", "", priority)}))
        lines.append(segment("OBR", fields | {27: ("", "", "", "", "", priority)}))
    else:
        lines.append(segment("ORC", common))
        lines.append(segment("TQ1", {1: "1", 9: (priority,)}))
        lines.append(segment("OBR", fields))
        lines.append(_imaging(result))
    return encoded(head, lines, settings.character_set)


def _imaging(result: Result) -> str:
    request = result.request
    identifier = request.procedure_id or request.accession_number or result.study_instance_uid[-22:]
    return segment(
        "IPC",
        {
            1: (request.accession_number or identifier,),
            2: (identifier,),
            3: (result.study_instance_uid,),
            4: (identifier,),
            5: ("DX",),
            6: procedure(result),
        },
    )
