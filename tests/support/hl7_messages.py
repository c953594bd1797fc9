"""HL7 messages as sent by hospital systems."""

from __future__ import annotations


def hl7(*segments: str) -> bytes:
    """Segments as one message."""
    return ("\r".join(segments) + "\r").encode()


def segment(name: str, fields: dict[int, str]) -> str:
    """A segment by the numbers of its fields."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def msh(kind: str, control_id: str, **fields: str) -> str:
    """A header; `accept` and `application` are MSH-15 and 16."""
    accept, application = fields.get("accept", ""), fields.get("application", "")
    return (
        f"MSH|^~\\&|RIS|HOSP|ECHO_AGENT||20260102030405||{kind}|{control_id}|P|2.5.1|||{accept}|{application}"
        "||UNICODE UTF-8"
    )


def pid(identifier: str = "PA", name: str = "Alpha^A", birth: str = "", authority: str = "") -> str:
    """A patient."""
    return f"PID|1||{identifier}^^^{authority}^PI||{name}||{birth}|F"


def order(
    control_id: str = "O1",
    *,
    patient: str = "PA",
    accession: str = "A1",
    question: str = "Cough for three weeks?",
    priority: str = "R",
    control: str = "NW",
    study: str = "",
) -> bytes:
    """An OMI^O23 of one chest film."""
    return hl7(
        msh("OMI^O23^OMI_O23", control_id),
        pid(patient),
        f"ORC|{control}|P-{accession}|",
        f"TQ1|1||||||||{priority}",
        f"OBR|1|P-{accession}||CXR^Chest two views^L|||||||||||||||||||||||||||^{question}",
        f"IPC|{accession}|RP1|{study}|SPS1|DX",
    )


def merge(control_id: str, surviving: str, old: str, name: str = "Alpha^A") -> bytes:
    """An ADT^A40."""
    return hl7(
        msh("ADT^A40^ADT_A39", control_id), "EVN|A40|20260102", pid(surviving, name), f"MRG|{old}^^^^PI"
    )


def change(control_id: str, patient: str, name: str, birth: str = "") -> bytes:
    """An ADT^A08."""
    return hl7(msh("ADT^A08^ADT_A01", control_id), "EVN|A08|20260102", pid(patient, name, birth), "PV1|1|I")


def report(control_id: str, *, status: str = "F", accession: str = "A1", patient: str = "PA") -> bytes:
    """An ORU^R01 with a signed report."""
    return hl7(
        msh("ORU^R01^ORU_R01", control_id),
        pid(patient),
        segment(
            "OBR",
            {
                1: "1",
                2: "P1",
                3: "F1",
                4: "CXR^Chest^L",
                18: accession,
                22: "20260102101500+0100",
                25: status,
                32: "&Reader&Rita",
            },
        ),
        "OBX|1|TX|59776-5^Findings^LN||No pneumothorax.~Heart normal.||||||F",
        "OBX|2|TX|19005-8^Impression^LN||Normal \\T\\ unchanged.||||||F",
    )
