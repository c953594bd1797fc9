"""Every audit action becomes a message that PS3.15 A.5 allows and that contains no name."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from lxml import etree
from pydicom.sr._concepts_dict import concepts

from agent.database.audit.record import Action
from agent.operations.audit import kinds as audit_kinds
from agent.operations.audit.kinds import KINDS, AuditCode, AuditMessage, Kind
from agent.operations.audit.message import AuditSubject, Occurrence, Source, message, to_plain, to_xml

SOURCE = Source(ae_title="ECHO_AGENT", host="echo1", source_id="echo-agent-1", site_id="ward")
SUBJECT = AuditSubject(study_instance_uid="1.2.3", patient_id="P1")
DETAILS = {"code": "storage-full", "destination": "pacs", "sop_classes": {"1.2.840.10008.5.1.4.1.1.1": 2}}


@pytest.fixture(scope="module")
def schema(repository: Path) -> etree.RelaxNG:
    """The standard's schema for a message."""
    return etree.RelaxNG(etree.parse(repository / "tests" / "data" / "audit_message.rng"))


def occurrence(action: str, **values: Any) -> Occurrence:
    """An event of one kind about one patient, unless `values` override it."""
    given: dict[str, Any] = {
        "event_id": 1,
        "at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "succeeded": True,
        "actor": "CR1",
        "address": "192.0.2.7",
        "details": DETAILS,
        "subjects": (SUBJECT,),
    }
    return Occurrence(action=action, **(given | values))


def codes(root: Element, name: str) -> list[str | None]:
    """The coded values of all elements with a name."""
    return [one.get("csd-code") for one in root.iter(name)]


@pytest.mark.parametrize("succeeded", [True, False])
@pytest.mark.parametrize(
    "subjects", [(), (SUBJECT,), (SUBJECT, AuditSubject(study_instance_uid="1.2.4", patient_id=""))]
)
@pytest.mark.parametrize("action", [*Action, "of-another-version"])
def test_message_obeys_the_schema(
    action: str, subjects: tuple[AuditSubject, ...], succeeded: bool, schema: etree.RelaxNG
) -> None:
    """Elements, their order, attributes and value sets are the standard's for every event."""
    for details in ({}, DETAILS):
        one = occurrence(action, subjects=subjects, succeeded=succeeded, details=details)
        text = to_xml(message(one, SOURCE))
        assert "\n" not in text
        schema.assertValid(etree.fromstring(text.encode()))


def test_codes_are_the_dictionary_s() -> None:
    """Each DICOM code has the meaning that PS3.16 gives it."""
    known = {code: entry[0] for names in concepts["DCM"].values() for code, entry in names.items()}
    ours = [value for value in vars(audit_kinds).values() if isinstance(value, AuditCode)]
    ours += [one.value for one in AuditMessage]
    ours += [kind.event_type for kind in KINDS.values() if isinstance(kind, Kind) and kind.event_type]
    dicom = {(one.value, one.meaning) for one in ours if one.system == "DCM"}
    assert {(value, known.get(value)) for value, _ in dicom} == dicom


def test_every_action_has_its_message() -> None:
    """A new action cannot be forgotten."""
    assert set(KINDS) == set(Action)


def test_received_study_is_a_transfer_from_the_peer_to_us() -> None:
    """Sender, receiver, study with its SOP classes and patient are stated; the sender is the requestor."""
    root = message(occurrence("instances-received"), SOURCE)
    assert codes(root, "EventID") == ["110104"]
    people = [(one.get("UserID"), one.get("UserIsRequestor")) for one in root.iter("ActiveParticipant")]
    assert people == [("CR1", "true"), ("ECHO_AGENT", "false")]
    assert codes(root, "RoleIDCode") == ["110153", "110152"]
    assert [one.get("ParticipantObjectID") for one in root.iter("ParticipantObjectIdentification")] == [
        "1.2.3",
        "P1",
    ]
    assert [one.attrib for one in root.iter("SOPClass")] == [
        {"UID": "1.2.840.10008.5.1.4.1.1.1", "NumberOfInstances": "2"}
    ]


def test_sent_document_is_a_transfer_from_us() -> None:
    """The destination is the receiver and we are the requestor."""
    root = message(occurrence("document-sent", actor="deliverer@echo1:7"), SOURCE)
    people = [(one.get("UserID"), one.get("UserIsRequestor")) for one in root.iter("ActiveParticipant")]
    assert people == [("deliverer@echo1:7", "true"), ("pacs", "false")]


def test_refused_peer_is_a_security_alert_about_its_node() -> None:
    """A refused association is reported with the address and the reason."""
    details = {"reason_code": "calling-ae-title", "count": 12}
    one = occurrence("association-refused", succeeded=False, subjects=(), details=details)
    root = message(one, SOURCE)
    assert (codes(root, "EventID"), codes(root, "EventTypeCode")) == (["110113"], ["110126"])
    assert root.find("EventIdentification").attrib["EventOutcomeIndicator"] == "4"
    assert root.findtext("EventIdentification/EventOutcomeDescription") == "calling-ae-title"
    detail = root.find("ParticipantObjectIdentification/ParticipantObjectDetail")
    assert detail.get("type") == "Alert Description"
    words = base64.b64decode(detail.get("value")).decode()
    assert words == "action=association-refused, reason_code=calling-ae-title, count=12"


def test_object_without_a_study_is_an_alert() -> None:
    """A transfer's message must name a study, so an object without one is reported by an alert."""
    root = message(occurrence("instances-not-taken", subjects=(), succeeded=False), SOURCE)
    assert codes(root, "EventID") == ["110113"]


@pytest.mark.parametrize(
    ("action", "event", "kind"),
    [
        ("sign-in", "110114", "110122"),
        ("sign-out", "110114", "110123"),
        ("start", "110100", "110120"),
        ("stop", "110100", "110121"),
        ("configuration", "110113", "110131"),
        ("user-change", "110113", "110137"),
    ],
)
def test_kind_of_event_is_told(action: str, event: str, kind: str) -> None:
    """Log-in and log-out, and start and stop, are different types of one event."""
    root = message(occurrence(action), SOURCE)
    assert (codes(root, "EventID"), codes(root, "EventTypeCode")) == ([event], [kind])


@pytest.mark.parametrize(
    ("action", "event"),
    [
        ("view", "110103"),
        ("verdict", "110103"),
        ("purge", "110105"),
        ("list", "110112"),
        ("audit-read", "110101"),
    ],
)
def test_use_of_the_worklist_is_told(action: str, event: str) -> None:
    """Views are accesses, the list is a query, and the audit page is a use of the audit log."""
    assert codes(message(occurrence(action), SOURCE), "EventID") == [event]


def test_strange_text_stays_one_well_formed_line() -> None:
    """Markup and line breaks in a peer's text are escaped; characters that XML forbids are replaced."""
    hostile = "A<b>&\"'\r\n]]>"
    text = to_xml(message(occurrence("view", actor=f"{hostile}\x01\x00", address="<x>"), SOURCE))
    assert "\n" not in text
    root = fromstring(text)
    assert root.find("ActiveParticipant").get("UserID") == f"{hostile}\ufffd\ufffd"


def test_message_as_json_holds_the_same() -> None:
    """Attributes and children are given by their names."""
    plain: Mapping[str, Any] = to_plain(message(occurrence("view"), SOURCE))
    assert plain["EventIdentification"][0]["EventID"][0]["csd-code"] == "110103"
    assert plain["EventIdentification"][0]["EventDateTime"] == "2026-01-02T03:04:05.678Z"
    assert [one["UserID"] for one in plain["ActiveParticipant"]] == ["CR1"]
