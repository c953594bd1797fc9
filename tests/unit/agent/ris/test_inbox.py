"""A message is read, stored before it is answered, and applied once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from agent.database.orders import Hl7Message, Order
from agent.database.people import AuditEvent
from agent.database.signed import SignedReport
from agent.foundation.settings.hl7 import Hl7Settings
from agent.messages.hl7.message import Message
from agent.messages.hl7.parse import parse
from agent.ris.inbox import Inbox
from tests.support.hl7_messages import change, hl7, merge, msh, order, pid, report
from tests.support.house import House


def _answers(house: House, raw: bytes, **settings: Any) -> list[Message]:
    inbox = Inbox(house.database, Hl7Settings(**settings))
    return [parse(one) for one in inbox.take(raw, "127.0.0.1")]


def _codes(house: House, raw: bytes, **settings: Any) -> list[str]:
    return [next(one.all("MSA")).text(1) for one in _answers(house, raw, **settings)]


def _count(house: House, table: Any) -> int:
    with house.database.reading() as session:
        return session.scalars(select(func.count()).select_from(table)).one()


@pytest.mark.parametrize(
    ("accept", "application", "good", "bad"),
    [
        ("", "", ["AA"], ["AE"]),
        ("AL", "AL", ["CA", "AA"], ["CA", "AE"]),
        ("AL", "NE", ["CA"], ["CA"]),
        ("NE", "AL", ["AA"], ["AE"]),
        ("ER", "ER", [], ["AE"]),
        ("SU", "SU", ["CA", "AA"], ["CA"]),
    ],
)
def test_answers_are_those_that_the_message_asks_for(
    house: House, accept: str, application: str, good: list[str], bad: list[str]
) -> None:
    """The answers follow MSH-15 and 16 (table 0155), and without them the original mode."""
    head = msh("ORM^O01", "A", accept=accept, application=application)
    assert _codes(house, hl7(head, pid(), "ORC|NW|1", "OBR|1|1")) == good
    assert _codes(house, hl7(head.replace("|A|P", "|B|P"), pid(), "ORC|NW")) == bad


def test_answer_goes_back_to_the_sender_and_names_his_message(house: House) -> None:
    """MSA-2 names the message; applications and facilities are exchanged."""
    (answer,) = _answers(house, order("O77"))
    assert (answer.type, next(answer.all("MSA")).text(2)) == ("ACK^O23", "O77")
    assert [answer.header.text(n) for n in (3, 5, 6)] == ["ECHO_AGENT", "RIS", "HOSP"]


def test_repetition_is_answered_the_same_and_changes_nothing(house: House) -> None:
    """The sender repeats a message after a lost answer; another sender's same number is another message."""
    first = order("O1", question="Old?")
    assert _codes(house, first) == ["AA"]
    assert _codes(house, order("O2", question="New?")) == ["AA"]
    assert _codes(house, first) == ["AA"]
    with house.database.reading() as session:
        assert session.scalars(select(Order.clinical_question)).all() == ["New?"]
    assert _codes(house, first.replace(b"|RIS|", b"|RIS2|")) == ["AA"]
    assert _count(house, Hl7Message) == 3


@pytest.mark.parametrize(
    "raw",
    [
        hl7(msh("ORM^O01", "1"), "ORC|NW|1", "OBR|1"),
        hl7(msh("ORM^O01", "1"), pid(""), "ORC|NW|1"),
        hl7(msh("ORM^O01", "1"), pid()),
        hl7(msh("ORM^O01", "1"), pid(), "ORC|NW"),
        hl7(msh("ADT^A40", "1"), pid()),
        hl7(msh("ADT^A40", "1"), pid(), "MRG|"),
        hl7(msh("ADT^A08", "1")),
    ],
)
def test_message_that_says_nothing_usable_is_an_error_with_the_reason(house: House, raw: bytes) -> None:
    """AE with ERR, stored and not applied; no value of the message is quoted."""
    (answer,) = _answers(house, raw)
    assert next(answer.all("MSA")).text(1) == "AE"
    assert next(answer.all("ERR")).text(8)
    assert "Alpha" not in next(answer.all("ERR")).text(8)
    assert (_count(house, Hl7Message), _count(house, Order)) == (1, 0)


def test_message_of_no_use_is_taken_and_left(house: House) -> None:
    """A whole feed may be sent: a message that we do not use is not an error."""
    assert _codes(house, hl7(msh("SIU^S12", "1"), "SCH|1")) == ["AA"]
    with house.database.reading() as session:
        assert session.scalars(select(Hl7Message.outcome)).all() == ["ignored"]


@pytest.mark.parametrize(
    ("kind", "code", "audited"),
    [("SIU^S12", None, 0), ("ADT^A10", None, 0), ("ADT^A24", "identity-not-applied", 1)],
)
def test_message_that_changes_nothing_is_answered_with_the_reason(
    house: House, kind: str, code: str | None, audited: int
) -> None:
    """AA with the reason in MSA-3, also in the answer to a repetition; audited if it is about identity."""
    raw = hl7(msh(kind, "1"), pid("PA"), pid("PB"))
    answers = [next(one.all("MSA")) for _ in range(2) for one in _answers(house, raw)]
    assert [one.text(1) for one in answers] == ["AA", "AA"]
    assert all(one.text(3).startswith("not applied: ") for one in answers)
    with house.database.reading() as session:
        rows = session.scalars(select(Hl7Message)).all()
        assert [(one.outcome, one.code) for one in rows] == [("ignored", code)]
    assert _count(house, AuditEvent) == audited


def test_frame_without_a_message_is_rejected_and_stored_nowhere(house: House) -> None:
    """AR: the frame can be sent again, whatever it was."""
    assert _codes(house, b"PID|1||PA\r") == ["AR"]
    assert _count(house, Hl7Message) == 0


def test_batch_is_answered_message_by_message(house: House) -> None:
    """Of two orders in one frame, the one without a number is refused."""
    batch = b"BHS|^~\\&\r" + order("O1") + hl7(msh("ORM^O01", "O2"), pid(), "ORC|NW") + b"BTS|2\r"
    assert _codes(house, batch) == ["AA", "AE"]


def test_original_bytes_are_kept(house: House) -> None:
    """A message can be read again, by people and by a later version."""
    _codes(house, order("O1"))
    with house.database.reading() as session:
        assert session.scalars(select(Hl7Message.content)).one() == order("O1")


def test_site_mapping_says_where_values_stand(house: House) -> None:
    """A RIS may have the accession number in ORC-3 and the question in a Z segment."""
    raw = hl7(msh("ORM^O01", "1"), pid(), "ORC|NW|P9|A77", "OBR|1|P9||CXR^Chest", "ZQU|1|Why?^now")
    orders = {"accession_number": ["ORC-3"], "clinical_question": ["ZQU-2.1"], "priority": ["ZQU-2.2"]}
    _codes(house, raw, orders={**orders, "stat_values": ["now"]})
    with house.database.reading() as session:
        found = session.scalars(select(Order)).one()
        assert (found.accession_number, found.clinical_question, found.priority) == ("A77", "Why?", 0)


@pytest.mark.parametrize(
    ("authority", "expected"), [("", ("1", "X")), ("HOSP", ("2", "HOSP")), ("OWN", ("1", "X"))]
)
def test_identifier_is_the_one_of_the_images_authority(
    house: House, authority: str, expected: tuple[str, str]
) -> None:
    """PID-3 may repeat: `patient_authority` selects the identifier."""
    raw = hl7(msh("ORM^O01", "1"), "PID|1||9^^^Y^SS~1^^^X^MR~2^^^HOSP^XX", "ORC|NW|1")
    _codes(house, raw, patient_authority=authority)
    with house.database.reading() as session:
        found = session.scalars(select(Order)).one()
        assert (found.patient_id, found.issuer_of_patient_id) == expected


@pytest.mark.parametrize(("status", "kept"), [("F", ["F"]), ("C", ["C"]), ("X", ["X"]), ("P", []), ("R", [])])
def test_signed_report_is_kept_and_a_preliminary_one_is_not(
    house: House, status: str, kept: list[str]
) -> None:
    """Text, author and time of a person's signed report are kept."""
    assert _codes(house, report("R1", status=status)) == ["AA"]
    assert _codes(house, report("R1", status=status)) == ["AA"]
    with house.database.reading() as session:
        rows = session.scalars(select(SignedReport)).all()
    assert [one.status for one in rows] == kept
    for one in rows:
        assert one.text == "Findings:\nNo pneumothorax.\nHeart normal.\nImpression:\nNormal & unchanged."
        assert (one.signed_by, one.accession_number, one.signed_at.isoformat()) == (
            "Rita Reader", "A1", "2026-01-02T09:15:00+00:00"
        )  # fmt: skip


def test_nothing_of_a_message_is_in_a_log(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """Names, identifiers and texts stay in the database."""
    for raw in (
        order("O1", patient="CANARY1", question="CANARY2"),
        merge("M1", "CANARY3", "CANARY1", "CANARY4^A"),
    ):
        _codes(house, raw)
    _codes(house, change("C1", "CANARY3", "CANARY5^B"))
    _codes(house, report("R1", patient="CANARY3"))
    _codes(house, b"MSH|^~\\&|CANARY6\rPID|CANARY7")
    written = "".join(capsys.readouterr())
    assert "CANARY" not in written
    assert "message_taken" in written


def test_message_that_counts_is_on_the_audit_record(house: House) -> None:
    """Applied or refused, it is audited once, with only its kind and the sender's address."""
    for raw in (
        order("O1"),
        order("O1"),
        hl7(msh("ORM^O01", "O2"), pid(), "ORC|NW"),
        hl7(msh("SIU^S12", "3"), "SCH|1"),
    ):
        _codes(house, raw)
    with house.database.reading() as session:
        events = session.scalars(select(AuditEvent).order_by(AuditEvent.id)).all()
    assert [(one.action, one.succeeded, one.address, one.details) for one in events] == [
        ("hl7-received", True, "127.0.0.1", {"kind": "OMI^O23"}),
        ("hl7-received", False, "127.0.0.1", {"kind": "ORM^O01", "code": "message-refused"}),
    ]


def test_another_message_under_a_known_number_is_refused(house: House) -> None:
    """A RIS that restarts its numbering gets an error; a repetition with a new time does not."""
    assert _codes(house, order("O1", question="First?")) == ["AA"]
    assert _codes(house, order("O1", question="First?").replace(b"20260102030405", b"20260102030500")) == [
        "AA"
    ]
    (answer,) = _answers(house, order("O1", question="Second?"))
    assert next(answer.all("MSA")).text(1) == "AE"
    assert "MSH-10" in next(answer.all("ERR")).text(8)
    with house.database.reading() as session:
        assert session.scalars(select(Order.clinical_question)).all() == ["First?"]
