"""The meaning of messages as vendors send them: repeated groups, identifiers, names, priorities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agent.database.identity.patient import Patient
from agent.foundation.errors import MessageRefused
from agent.foundation.settings.hl7 import Hl7Settings
from agent.messages.hl7.parse import parse
from agent.objects.header import HIGH_PRIORITY, ROUTINE_PRIORITY, STAT_PRIORITY
from agent.ris.read import read
from agent.ris.updates import NotApplied, OrderUpdate, PatientUpdate, ReportUpdate
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


def _merged(kind: str, *segments: str, **settings: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Each surviving patient with the identifiers merged into it, as number@issuer."""
    found = read(parse(hl7(msh(kind, "1"), *segments)), Hl7Settings(**settings))
    return [
        (_cx(one.patient), tuple(map(_cx, one.merged))) for one in found if isinstance(one, PatientUpdate)
    ]


def _cx(patient: Patient) -> str:
    return f"{patient.patient_id}@{patient.issuer_of_patient_id}".rstrip("@")


def _numbers(orders: Sequence[OrderUpdate]) -> list[tuple[str, str, str]]:
    return [(one.placer_number, one.filler_number, one.accession_number) for one in orders]


def test_every_request_under_one_order_control_is_an_order() -> None:
    """One ORC may precede several OBR; each has its own numbers, or those of the ORC."""
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


@pytest.mark.parametrize("second", [{"_2": "P1", "_18": "A1"}, {"_18": "A1"}, {}])
def test_request_under_the_numbers_of_another_is_part_of_that_order(second: dict[str, str]) -> None:
    """Protocol codes repeat OBR; the first one states the procedure that was ordered."""
    found = _orders("ORC|NW|P1", _request(_2="P1", _4="^Chest", _18="A1"), _request(_4="^Lateral", **second))
    assert [(one.accession_number, one.procedure) for one in found] == [("A1", "Chest")]


@pytest.mark.parametrize(
    ("request_status", "texts", "expected"),
    [
        ("", "FF", ["F"]),
        ("", "FC", ["C"]),
        ("", "FP", []),
        ("", "RR", []),
        ("", "", []),
        ("", "X", []),
        ("A", "F", []),
        ("P", "F", []),
        ("F", " ", ["F"]),
        ("C", "FC", ["C"]),
        ("X", "", ["X"]),
        ("F", "", []),
    ],
)
def test_status_of_a_report_without_one_is_that_of_its_texts(
    request_status: str, texts: str, expected: list[str]
) -> None:
    """OBR-25 counts; if it is empty, every text must be signed. Without a text there is no report."""
    observations = [f"OBX|{n}|TX|R||words||||||{one}" for n, one in enumerate(texts, 1)]
    found = _reports(pid(), _request(_18="A1", _25=request_status), *observations)
    assert [one.status for one in found] == expected


def test_previous_results_in_an_order_are_no_orders() -> None:
    """OMG^O19 and ORM contain earlier results under ORC-1 PR."""
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
    """Two accession numbers under one ORC are two reports; sections under one number are one report."""
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
    ("control", "request_fields", "expected"),
    [
        ("ORC|NW|P1|||||^^^^^S", {}, STAT_PRIORITY),
        ("ORC|NW|P1|||||S", {}, STAT_PRIORITY),
        ("ORC|NW|P1|||||1^^^^^R", {"_27": "S"}, ROUTINE_PRIORITY),
        ("ORC|NW|P1", {"_5": "Stat"}, STAT_PRIORITY),
        ("ORC|NW|P1", {"_27": "^^^20260101^^ASAP"}, STAT_PRIORITY),
        ("ORC|NW|P1", {"_27": "A"}, STAT_PRIORITY),
        ("ORC|NW|P1|||||1", {}, None),
        ("ORC|NW|P1|||||1", {"_27": "S"}, STAT_PRIORITY),
        ("ORC|NW|P1", {}, None),
        ("ORC|NW|P1", {"_5": "R"}, ROUTINE_PRIORITY),
        ("ORC|NW|P1", {"_5": "P"}, ROUTINE_PRIORITY),
        ("ORC|NW|P1|||||^^^^^R~^^^^^S", {}, STAT_PRIORITY),
        ("ORC|NW|P1", {"_27": "1^^^^^T~1^^^^^R"}, HIGH_PRIORITY),
        ("ORC|NW|P1", {"_5": "urgent"}, HIGH_PRIORITY),
        ("ORC|NW|P1", {"_5": "Emergency"}, STAT_PRIORITY),
        ("ORC|NW|P1", {"_5": "timing  critical"}, HIGH_PRIORITY),
        ("ORC|NW|P1", {"_5": "STAT!"}, STAT_PRIORITY),
    ],
)
def test_priority_is_read_wherever_versions_have_it(
    control: str, request_fields: dict[str, str], expected: int | None
) -> None:
    """Component 6 of ORC-7 and OBR-27, the whole field of older systems, and OBR-5; all repetitions count."""
    (found,) = _orders(control, _request(_18="A1", **request_fields))
    assert found.priority == expected


def test_most_urgent_of_several_tq1_counts() -> None:
    """TQ1 repeats for each timing of the order; the TQ1 of another order does not count."""
    found = _orders(
        "ORC|NW|P1",
        "TQ1|1||||||||R",
        "TQ1|2||||||||S",
        _request(_18="A1"),
        "ORC|NW|P2",
        "TQ1|1||||||||^Routine",
        _request(_18="A2"),
    )
    assert [one.priority for one in found] == [STAT_PRIORITY, None]


@pytest.mark.parametrize(
    ("control", "canceled"),
    [
        ("CA", True),
        ("SC|P1|||CA", True),
        ("SC|P1|||DC", True),
        ("SC|P1|||IP", False),
        ("SC|P1|||CM", False),
        ("NW|P1|||CA", False),
        ("XO|P1|||CA", True),
    ],
)
def test_order_is_canceled_by_its_control_or_status(control: str, canceled: bool) -> None:
    """An order is cancelled by ORC-1, or by ORC-5 where ORC-1 says that the status has changed."""
    (found,) = _orders(f"ORC|{control}", _request(_18="A1"))
    assert found.canceled is canceled


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
    """Repetitions of MRG-1 with the same issuer and type count, and MRG-4 in versions before 2.3."""
    line = f"MRG{prior}" if prior.startswith("|") else f"MRG|{prior}"
    found = _patient(kind, "PID|||NEW^^^H^MR||Alpha^A", line)
    assert [one.patient_id for one in found.merged] == merged


ADT = {
    "changed": (*range(1, 9), 28, 31, 43),
    "merged": (18, 30, 34, 36, 39, 40, 47),
    "identity": (23, 24, 29, 35, 37, 41, 42, 44, 45, 46, 48, 49, 50, 51),
    "other": (*range(9, 18), *range(19, 23), 25, 26, 27, 32, 33, 38, *range(52, 63)),
}


@pytest.mark.parametrize(("effect", "number"), [(name, one) for name, all_ in ADT.items() for one in all_])
def test_every_event_of_patients_is_applied_or_says_why_not(effect: str, number: int) -> None:
    """Events A01 to A62, stated in MSH-9 or only in EVN: none is ignored without a reason."""
    prior = "MRG|NEW^^^H^MR||||||NEWNAME" if number in (43, 44, 45, 46) else "MRG|OLD^^^H^MR"
    if number in (46, 48):
        prior = "MRG||OLDALT||OLDEXT"
    patient = "PID||EXT|NEW^^^H^MR|ALT|Alpha^A"
    for head in ([msh(f"ADT^A{number:02}", "1")], [msh("ADT", "1"), f"EVN|A{number:02}|20260102"]):
        (found,) = read(parse(hl7(*head, patient, prior)), Hl7Settings())
        if isinstance(found, PatientUpdate):
            assert effect == ("merged" if found.merged else "changed")
        else:
            assert isinstance(found, NotApplied)
            assert effect == ("identity" if found.identity else "other")
            assert found.reason


@pytest.mark.parametrize("number", ADT["merged"])
@pytest.mark.parametrize("prior", [[], ["MRG|"], ['MRG|""'], ["MRG||||OTHER"]])
def test_merge_that_names_nobody_of_the_same_kind_is_refused(number: int, prior: list[str]) -> None:
    """The external number from another number space could be another patient's in the images."""
    with pytest.raises(MessageRefused):
        read(parse(hl7(msh(f"ADT^A{number}", "1"), "PID||EXT|NEW^^^H^MR", *prior)), Hl7Settings())


@pytest.mark.parametrize("number", [43, 44, 45])
def test_move_to_another_patient_names_the_earlier_one(number: int) -> None:
    """The earlier patient's studies may now be another patient's."""
    raw = hl7(msh(f"ADT^A{number}", "1"), "PID|||NEW^^^H^MR", "MRG|S^^^GOV^SS~OLD^^^H^MR|||||V1")
    (found,) = read(parse(raw), Hl7Settings())
    assert isinstance(found, NotApplied)
    assert [_cx(one) for one in found.doubtful] == ["OLD@H"]


@pytest.mark.parametrize(
    ("patient", "prior", "settings", "expected"),
    [
        # Each authority merges its own numbers.
        ("|N1^^^A^MR~N2^^^B^MR", "O2^^^B^MR~O1^^^A^MR", {}, [("N2@B", ("O2@B",)), ("N1@A", ("O1@A",))]),
        ("|N1^^^A^MR~N2^^^B^MR", "O2^^^B^MR~O1^^^A^MR", {"patient_authority": "A"}, [("N1@A", ("O1@A",))]),
        ("|N1^^^A^MR", "O2^^^B^MR~O1^^^A^MR", {}, [("N1@A", ("O1@A",))]),
        ("|N1^^^A&1.2&ISO^MR", "O1^^^X&1.2&ISO^MR", {}, [("N1@A&1.2&ISO", ("O1@X&1.2&ISO",))]),
        # Numbers of persons, insurers and the like are not in the images.
        ("|1^^^GOV^SS~N^^^A^MR", "2^^^GOV^SS~O^^^A^MR", {}, [("N@A", ("O@A",))]),
        ("|N", "O~2^^^^SS", {}, [("N", ("O",))]),
        # None in common: the numbers that count on either side.
        ("|N^^^A^MR", "O^^^B^MR~P^^^B^MR", {}, [("N@A", ("O@B", "P@B"))]),
        ("|7^^^A^MR", "7^^^B^MR", {}, [("7@A", ("7@B",))]),
        ("|7^^^A^MR", "7", {}, [("7@A", ())]),
        ("|N", "O~O~N", {}, [("N", ("O",))]),
        # Other fields.
        ("N", "|||O", {}, [("N", ("O",))]),
        ("N|N", "|||O", {}, [("N", ("O",))]),
        ("||N", "|O", {}, [("N", ("O",))]),
        ("||N", "O", {}, [("N", ("O",))]),
        ("X|Y|N", "OY|O||OX", {"patient_identifiers": ["PID-4"]}, [("N", ("O",))]),
        ("X|Y|N", "OY|O||OX", {"patient_identifiers": ["PID-2", "PID-3"]}, [("X", ("OX",))]),
    ],
)
def test_merge_takes_numbers_of_one_kind(
    patient: str, prior: str, settings: dict[str, Any], expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    """Numbers of the same authority and type are merged; each PID field has its own MRG field."""
    assert _merged("ADT^A40", f"PID||{patient}", f"MRG|{prior}", **settings) == expected


@pytest.mark.parametrize("prior", ["O2^^^B^MR", "O3^^^C^MR"])
def test_merge_of_another_authority_is_not_applied(prior: str) -> None:
    """Its number could be another patient's in images that state no issuer."""
    raw = hl7(msh("ADT^A40", "1"), "PID|||N1^^^A^MR~N2^^^B^MR", f"MRG|{prior}")
    (found,) = read(parse(raw), Hl7Settings(patient_authority="A"))
    assert isinstance(found, NotApplied)
    assert found.identity


def test_patient_of_the_alternate_identifier_alone_is_known() -> None:
    """PID-4 is used where PID-3 and PID-2 are empty; A48 changes it."""
    assert _merged("ADT^A08", "PID||||4711^^^H^PI||Alpha^A") == [("4711@H", ())]
    assert _merged("ADT^A48", "PID||||4711^^^H^PI||Alpha^A", "MRG||4710^^^H^PI") == [("4711@H", ("4710@H",))]


@pytest.mark.parametrize(
    ("sent", "sex"),
    [
        ("F", "F"),
        ("male", "M"),
        ("O", "O"),
        ("A", "O"),
        ("U", ""),
        ("N", ""),
        ("2", ""),
        ("", ""),
        ('""', ""),
        ("F^Female^HL70001", "F"),
    ],
)
def test_sex_is_one_that_dicom_has(sent: str, sex: str) -> None:
    """PatientSex is M, F, O or empty (PS3.3 C.7.1.1); table 0001 has more values."""
    assert _patient("ADT^A08", f"PID|||1||A^B||19500101|{sent}").patient.patient_sex == sex


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("OLD^JANE^^^^^M~DOE^JANE^^^^^L", "DOE^JANE"),
        ("OLD^JANE^^^^^A~DOE^JANE", "DOE^JANE"),
        ("OLD^JANE^^^^^M", "OLD^JANE"),
        (r"DOE^JA\X0D0A\NE\.br\ANN", "DOE^JA NE ANN"),
        ("DOE&VAN DER&DOE^JANE^M^JR^DR", "DOE^JANE^M^DR^JR"),
        ("?^^^^^^S~DOE^JANE^^^^^L", "DOE^JANE"),
        ("DOE, JANE", "DOE^JANE"),
        ("DOE, JR^JANE", "DOE, JR^JANE"),
    ],
)
def test_name_is_the_legal_one_and_has_no_control_characters(sent: str, name: str) -> None:
    """A maiden name or alias counts only if there is no other; DICOM's PN has neither CR nor LF."""
    assert _patient("ADT^A08", f"PID|||1||{sent}").patient.patient_name == name
