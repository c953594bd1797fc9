"""What messages as vendors send them mean: repeated groups, identifiers, names, priorities."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.foundation.settings.hl7 import Hl7Settings
from agent.messages.hl7.parse import parse
from agent.objects.header import ROUTINE_PRIORITY, STAT_PRIORITY
from agent.ris.read import read
from agent.ris.updates import OrderUpdate, PatientUpdate, ReportUpdate
from tests.support.hl7_messages import hl7, msh, pid, segment


def _orders(*segments: str, kind: str = "ORM^O01", patient: str = "") -> list[OrderUpdate]:
    found = read(parse(hl7(msh(kind, "1"), patient or pid(), *segments)), Hl7Settings())
    assert all(isinstance(one, OrderUpdate) for one in found)
    return [one for one in found if isinstance(one, OrderUpdate)]


def _reports(*segments: str) -> list[ReportUpdate]:
    found = read(parse(hl7(msh("ORU^R01", "1"), *segments)), Hl7Settings())
    return [one for one in found if isinstance(one, ReportUpdate)]


def _patient(kind: str, *segments: str) -> PatientUpdate:
    (found,) = read(parse(hl7(msh(kind, "1"), *segments)), Hl7Settings())
    assert isinstance(found, PatientUpdate)
    return found


def _request(**fields: str) -> str:
    return segment("OBR", {int(name[1:]): value for name, value in fields.items()})


def _numbers(orders: Sequence[OrderUpdate]) -> list[tuple[str, str, str]]:
    return [(one.placer_number, one.filler_number, one.accession_number) for one in orders]


def test_every_request_under_one_order_control_is_an_order() -> None:
    """An ORC may stand once before several OBR; each has its own numbers, or those of the ORC."""
    found = _orders(
        "ORC|NW|P1|F1",
        "TQ1|1||||||||S",
        _request(_2="P1", _3="F1", _18="A1"),
        _request(_2="P1", _3="F2", _18="A2"),
        _request(_18="A3"),
        "ORC|CA|P4|F4",
        _request(_18="A4"),
    )
    assert _numbers(found) == [("P1", "F1", "A1"), ("P1", "F2", "A2"), ("P1", "F1", "A3"), ("P4", "F4", "A4")]
    assert [one.canceled for one in found] == [False, False, False, True]


def test_previous_results_in_an_order_are_no_orders() -> None:
    """OMG^O19 and ORM carry earlier results under ORC-1 PR."""
    found = _orders(
        "ORC|NW|P1", _request(_18="A1"), pid(), "ORC|PR|P0", _request(_18="A0"), "OBX|1", kind="OMG^O19"
    )
    assert [one.accession_number for one in found] == ["A1"]


def test_report_belongs_to_the_patient_before_it() -> None:
    """ORU^R01 may repeat PID with its results."""
    found = _reports(
        pid("PA", "Alpha^A"),
        "ORC|RE",
        _request(_18="A1", _25="F"),
        "OBX|1|TX|R||first",
        pid("PB", "Beta^B"),
        "ORC|RE",
        _request(_18="A2", _25="F"),
        "OBX|1|TX|R||second",
    )
    assert [(one.patient.patient_id, one.accession_number, one.text) for one in found] == [
        ("PA", "A1", "first"),
        ("PB", "A2", "second"),
    ]


def test_reports_of_several_requests_are_kept_apart() -> None:
    """Two accession numbers under one ORC are two reports; sections under one number are one."""
    found = _reports(
        pid(),
        "ORC|RE",
        _request(_18="A1", _25="F"),
        "OBX|1|TX|R||first",
        _request(_18="A1", _25="F"),
        "OBX|1|TX|R||more",
        _request(_18="A2", _25="F", _32="12^HOUSE^GREG"),
        "OBX|1|TX|R||second",
    )
    assert [(one.accession_number, one.text) for one in found] == [("A1", "first\nmore"), ("A2", "second")]
    assert [one.signed_by for one in found] == ["", "GREG HOUSE"]


@pytest.mark.parametrize(
    ("control", "request_fields", "stat"),
    [
        ("ORC|NW|P1|||||^^^^^S", {}, True),
        ("ORC|NW|P1|||||S", {}, True),
        ("ORC|NW|P1|||||1^^^^^R", {"_27": "S"}, False),
        ("ORC|NW|P1", {"_5": "Stat"}, True),
        ("ORC|NW|P1", {"_27": "^^^20260101^^ASAP"}, True),
        ("ORC|NW|P1", {"_27": "A"}, True),
        ("ORC|NW|P1|||||1", {}, False),
        ("ORC|NW|P1", {"_5": "R"}, False),
    ],
)
def test_priority_is_read_wherever_versions_have_it(
    control: str, request_fields: dict[str, str], stat: bool
) -> None:
    """The sixth component of ORC-7 and OBR-27, the whole field of older systems, and OBR-5."""
    (found,) = _orders(control, _request(_18="A1", **request_fields))
    assert found.priority == (STAT_PRIORITY if stat else ROUTINE_PRIORITY)


@pytest.mark.parametrize(
    ("kind", "prior", "merged"),
    [
        ("ADT^A40", "OLD^^^H^MR", ["OLD"]),
        ("ADT^A36", "OLD^^^H^MR", ["OLD"]),
        ("ADT^A34", "||||OLD", ["OLD"]),
        ("ADT^A40", "OLD1^^^H^MR~OLD2^^^H^MR", ["OLD1", "OLD2"]),
        ("ADT^A40", "SSN^^^GOV^SS~OLD^^^H^MR", ["OLD"]),
        ("ADT^A40", "NEW^^^H^MR", []),
    ],
)
def test_merge_names_every_earlier_identifier_of_the_images_authority(
    kind: str, prior: str, merged: list[str]
) -> None:
    """Repetitions of MRG-1 of the same issuer and type; MRG-4 of versions before 2.3."""
    line = f"MRG{prior}" if prior.startswith("|") else f"MRG|{prior}"
    found = _patient(kind, "PID|||NEW^^^H^MR||Alpha^A", line)
    assert [one.patient_id for one in found.merged] == merged


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("OLD^JANE^^^^^M~DOE^JANE^^^^^L", "DOE^JANE"),
        ("OLD^JANE^^^^^A~DOE^JANE", "DOE^JANE"),
        ("OLD^JANE^^^^^M", "OLD^JANE"),
        (r"DOE^JA\X0D0A\NE\.br\ANN", "DOE^JA NE ANN"),
        ("DOE&VAN DER&DOE^JANE^M^JR^DR", "DOE^JANE^M^DR^JR"),
        ("?^^^^^^S~DOE^JANE^^^^^L", "DOE^JANE"),
    ],
)
def test_name_is_the_legal_one_and_has_no_control_characters(sent: str, name: str) -> None:
    """A maiden name or alias counts only without another; DICOM's PN has neither CR nor LF."""
    assert _patient("ADT^A08", f"PID|||1||{sent}").patient.patient_name == name
