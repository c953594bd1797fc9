"""The messages of a result: valid under HL7 v2.5.1, and never claiming more than the result's status."""

from __future__ import annotations

import base64
import warnings
from typing import Any

import pytest

from agent.foundation.document_roles import DocumentRole
from agent.messages.hl7.message import Message
from agent.messages.hl7.parse import parse
from agent.messages.hl7.result_message import write_result
from agent.messages.result import Authority
from agent.messages.result_status import ResultStatus
from tests.unit.agent.messages.hl7.results import STUDY, receiver, request, result, subject

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from hl7apy.consts import VALIDATION_LEVEL
    from hl7apy.parser import parse_message, parse_segment


def _valid(content: bytes) -> str:
    """Validate a message with an independent implementation; return its structure."""
    parsed = parse_message(content.decode(), validation_level=VALIDATION_LEVEL.STRICT)
    if parsed.name == "ORM_O01":
        # The validator requires all seven alternatives of the order detail at once, so segments are checked.
        lines = content.decode().split("\r")[1:-1]
        assert all(parse_segment(one, version="2.5.1").validate() for one in lines)
    else:
        assert parsed.validate()
    return str(parsed.name)


def _oru(
    status: ResultStatus = ResultStatus.UNVERIFIED, settings: dict[str, Any] | None = None, **values: Any
) -> Message:
    return parse(write_result(receiver(**(settings or {})), result(status, **values))[0][1])


ODD: list[dict[str, Any]] = [
    {"subject": subject(name="", birth_date="", sex="")},
    {"subject": subject(name="山田^太郎=やまだ^たろう", authority=Authority())},
    {"subject": subject(patient_id="", authority=Authority(namespace="A&1.2&ISO"))},
    {"request": request(procedure_code=None, procedure="", placer_number="", accession_number="")},
    {"request": request(filler_number="F|1^2", study_date="", referring_physician="")},
    {"findings": (), "findings_sentences": (), "impression_sentences": (), "notices": ()},
    {"findings_sentences": ("a | b ^ c ~ d \\ e & f\r\nMSH|^~\\&|x", "tab\tbell\a")},
]


KINDS = [
    *((status, escalation, {}) for status in ResultStatus for escalation in ("OMI", "ORM")),
    *((ResultStatus.UNVERIFIED, "OMI", values) for values in ODD),
]


@pytest.mark.parametrize(("status", "escalation", "values"), KINDS)
def test_result_message_is_valid_hl7(status: ResultStatus, escalation: str, values: dict[str, Any]) -> None:
    """Whatever the images omit or contain, the messages satisfy an independent validator."""
    written = write_result(receiver(escalation=escalation), result(status, **values))
    expected = [
        "ORU_R01",
        *(
            [f"{escalation}_O{'23' if escalation == 'OMI' else '01'}"]
            if status is ResultStatus.UNVERIFIED
            else []
        ),
    ]
    assert [_valid(content) for _role, content in written] == expected


@pytest.mark.parametrize("withdraw_with", ["X", "D"])
@pytest.mark.parametrize("demonstration", [True, False])
@pytest.mark.parametrize("status", list(ResultStatus))
def test_result_status_of_an_unverified_draft_is_r_everywhere(
    status: ResultStatus, demonstration: bool, withdraw_with: str
) -> None:
    """`P` means verified in table 0123, and `F` final: no field of a draft has either."""
    message = _oru(status, {"withdraw_with": withdraw_with}, demonstration=demonstration)
    expected = {"unverified": "R", "final": "F", "corrected": "C", "withdrawn": "X"}[status.value]
    observed = {one.text(11) for one in message.all("OBX")}
    assert [one.text(25) for one in message.all("OBR")] == [expected]
    assert observed == {withdraw_with if status is ResultStatus.WITHDRAWN else expected}


def test_result_message_of_a_draft_says_first_that_it_is_one() -> None:
    """The first text is the warning, before any finding; for a demonstration model the second says so."""
    texts = [one.text(5) for one in _oru(demonstration=True).all("OBX") if one.text(2) == "TX"]
    assert texts[0].startswith("AI PRE-DRAFT, unverified")
    assert texts[1] == "DEMONSTRATION MODEL - NOT FOR CLINICAL USE"


def test_result_message_names_study_order_and_patient() -> None:
    """PID-3 has its authority, OBR has 2, 3, 4, 7, 18 and 19, and the first observation has the study."""
    message = _oru()
    patient, order = next(message.all("PID")), next(message.all("OBR"))
    assert [patient.text(3, n) for n in (1, 5)] == ["4711", "PI"]
    assert [patient.text(3, 4, n) for n in (1, 2, 3)] == ["HOSP", "1.2.3", "ISO"]
    assert [order.text(n, 1) for n in (2, 3, 4, 7, 18, 19)] == [
        "P1", "A1", "30745-4", "20260101101112", "A1", "RP1"
    ]  # fmt: skip
    first = next(message.all("OBX"))
    assert (first.text(3), first.text(5)) == ("113014^DICOM Study^DCM", STUDY)


def test_result_message_codes_each_finding_once() -> None:
    """Each finding has one observation of presence; sides and grades are under the finding's own sub-ID."""
    rows = [
        (one.text(4), one.text(3, 1), one.text(5, 1)) for one in _oru().all("OBX") if one.text(2) == "CWE"
    ]
    assert rows == [
        ("1", "36118008", "52101004"),
        ("1.1", "272741003", "7771000"),
        ("1.2", "246112005", "255604002"),
        ("2", "60046008", "272519000"),
        ("3", "95436008", "373068000"),
    ]


def test_result_message_keeps_every_character() -> None:
    """Delimiters, line breaks and letters of any script are read back unchanged."""
    said = "a | b ^ c ~ d \\ e & f \\F\\ Übel 胸部\nMSH|^~\\&|x"
    message = _oru(findings_sentences=(said,))
    texts = [one.text(5) for one in message.all("OBX") if one.text(3, 1) == "59776-5"]
    assert texts == [said]
    assert len(list(message.all("MSH"))) == 1


@pytest.mark.parametrize(
    ("character_set", "name", "stated"),
    [
        ("8859/1", "Müller^Jörg", "8859/1"),
        ("ASCII", "Miller^Jo", "ASCII"),
        ("ASCII", "Müller^Jörg", "UNICODE UTF-8"),
        ("8859/1", "山田^太郎", "UNICODE UTF-8"),
        ("GB 18030-2000", "山田^太郎", "GB 18030-2000"),
    ],
)
def test_result_message_states_the_character_set_that_it_is_in(
    character_set: str, name: str, stated: str
) -> None:
    """A name that the receiver's character set cannot express is sent in UTF-8, not with question marks."""
    message = _oru(settings={"character_set": character_set}, subject=subject(name=name))
    assert message.header.text(18) == stated
    assert next(message.all("PID")).text(5, 1) == name.split("^")[0]


def test_control_id_depends_on_the_uid_alone() -> None:
    """A message that is built again has the same MSH-10 (at most 20 characters); another message does not."""
    ids = [_oru(uid=uid).control_id for uid in ("2.25.1", "2.25.1", "2.25.2")]
    assert (ids[0] == ids[1], ids[0] == ids[2], max(map(len, ids)) <= 20) == (True, False, True)


@pytest.mark.parametrize(
    ("priority", "status", "count"),
    [
        (5, ResultStatus.UNVERIFIED, 2),
        (15, ResultStatus.UNVERIFIED, 1),
        (5, ResultStatus.FINAL, 1),
        (5, ResultStatus.WITHDRAWN, 1),
    ],
)
def test_escalation_is_for_urgent_drafts_alone(priority: int, status: ResultStatus, count: int) -> None:
    """The order is escalated when the draft is urgent by rule, and not again by the verdict."""
    written = write_result(receiver(escalation="OMI"), result(status, priority=priority))
    assert [role for role, _content in written] == [DocumentRole.MESSAGE, DocumentRole.ESCALATION][:count]
    if count == 2:
        assert parse(written[1][1]).control_id != parse(written[0][1]).control_id


def test_result_has_the_pdf_that_the_receiver_wants() -> None:
    """The PDF is an OBX of type ED (MIME type, base64) with the message's status; a withdrawal has none."""
    pdf = b"%PDF-1.4 \xff\x00 ^~|&"
    content = write_result(receiver(), result(pdf=pdf))[0][1]
    assert _valid(content) == "ORU_R01"
    (one,) = [one for one in parse(content).all("OBX") if one.text(2) == "ED"]
    assert [one.text(5, n) for n in (2, 3, 4)] == ["application", "pdf", "Base64"]
    assert (base64.b64decode(one.text(5, 5)), one.text(11), one.text(3, 1)) == (pdf, "R", "18748-4")
    withdrawn = _oru(ResultStatus.WITHDRAWN, pdf=pdf)
    assert "ED" not in {one.text(2) for one in withdrawn.all("OBX")}
