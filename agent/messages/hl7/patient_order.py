"""PID, ORC and OBR of our messages: the patient that a message is about, and the order that it answers.
Pure.
"""

from __future__ import annotations

from agent.foundation.settings.hl7 import Hl7DestinationSettings
from agent.messages.hl7.parse import parse
from agent.messages.hl7.write import Value, name_value, person_value, segment
from agent.messages.result import Authority, Result
from dicom_sr import codes

# OBR-4 if neither the images nor an order say what was requested; it must not be empty.
_PROCEDURE = codes.CHEST_RADIOGRAPHY
_SCHEMES = {"LN": "LN", "SCT": "SCT", "SRT": "SRT", "DCM": "DCM", "UMLS": "UMLS"}
_SEXES = {"M": "M", "F": "F", "O": "O"}


def patient(result: Result, settings: Hl7DestinationSettings) -> str:
    """Return PID, including the authority that assigned the identifier."""
    subject = result.subject
    authority = subject.authority
    if not any((authority.namespace, authority.universal_id)):
        authority = Authority(namespace=settings.patient_authority)
    return segment(
        "PID",
        {
            1: "1",
            3: (subject.patient_id, "", "", hierarchic(authority), "PI"),
            # A name of type U means that it is unknown; the field must not be empty.
            5: name_value(subject.name) or ("", "", "", "", "", "", "U"),
            7: subject.birth_date.replace("-", ""),
            8: _SEXES.get(subject.sex.strip().upper(), "U" if subject.sex else ""),
        },
    )


def hierarchic(authority: Authority) -> Value:
    """Return an HD as one component; a text `namespace&universal ID&type` is split into its parts."""
    parts = authority.namespace.split("&")
    if len(parts) > 1:
        return tuple(parts[:3])
    if not authority.universal_id:
        return authority.namespace
    return (authority.namespace, authority.universal_id, authority.universal_id_type)


def order_numbers(result: Result, settings: Hl7DestinationSettings) -> tuple[Value, Value]:
    """Return placer and filler order number; ours is the accession number if no other is known.

    A message has the filler order number of the one that it replaces, even if the order arrived in between.
    """
    request = result.request
    placer: Value = (request.placer_number,) if request.placer_number else ""
    replaced = _replaced_number(result)
    if replaced is not None:
        return placer, replaced
    if request.filler_number:
        return placer, (request.filler_number,)
    number = request.accession_number or result.study_instance_uid[-22:]
    return placer, (number, settings.filler_authority)


def _replaced_number(result: Result) -> Value | None:
    """Return OBR-3 of the message that this one replaces; None if there is none, or it is for another
    order.
    """
    if not result.earlier:
        return None
    request = next(parse(result.earlier).all("OBR"), None)
    if request is None or request.text(25) == "X" or request.text(18) != result.request.accession_number:
        return None
    return (request.text(3, 1), request.text(3, 2)) if request.text(3, 1) else None


def order(result: Result, settings: Hl7DestinationSettings, control: str) -> str:
    """Return ORC."""
    placer, filler = order_numbers(result, settings)
    return segment("ORC", {1: control, 2: placer, 3: filler})


def request_fields(result: Result, settings: Hl7DestinationSettings) -> dict[int, Value]:
    """Return the fields of OBR that name the order and the study."""
    request = result.request
    placer, filler = order_numbers(result, settings)
    return {
        1: "1",
        2: placer,
        3: filler,
        4: procedure(result),
        7: study_time(result),
        16: person_value(request.referring_physician),
        18: request.accession_number,
        19: request.procedure_id,
        24: "RAD",
    }


def procedure(result: Result) -> Value:
    """Return OBR-4: the requested procedure, or what we know of it."""
    request = result.request
    if request.procedure_code is not None and request.procedure_code[0]:
        value, scheme, meaning = request.procedure_code
        return (value, meaning, _SCHEMES.get(scheme, scheme or "L"))
    return (_PROCEDURE.value, request.procedure or _PROCEDURE.meaning, "LN")


def study_time(result: Result) -> str:
    """Return when the images were taken (TS): the study's date and time as far as the images state them."""
    date, time = result.request.study_date.strip(), result.request.study_time.strip()
    digits = time.split(".")[0].replace(":", "")
    if len(date) != 8 or not date.isdigit():
        return ""
    return date + (digits[: len(digits) // 2 * 2] if digits.isdigit() and len(digits) >= 4 else "")
