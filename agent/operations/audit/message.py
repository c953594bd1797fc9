"""Builds DICOM audit messages (PS3.15 A.5) from our audit events, as XML. Pure.

The schema is that of PS3.15 A.5.1.1; the content of each kind of message is that of A.5.3. A patient is
identified by Patient ID, or by a keyed hash if the settings say so, never by name. The schema requires a name
for each object; the kind of object is used.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from agent.database.audit.record import Action
from agent.operations.audit.kinds import (
    APPLICATION,
    DESTINATION,
    DESTINATION_MEDIA,
    KINDS,
    LAUNCHER,
    MEDIA_URI,
    NODE_ID,
    PATIENT_NUMBER,
    SEARCH_CRITERIA,
    SOP_CLASS_UID,
    SOURCE,
    STUDY_UID,
    URI,
    AuditCode,
    AuditMessage,
    Kind,
)

MINOR_FAILURE, SUCCESS = "4", "0"
# C-FIND of the Study Root model (PS3.4 C.6.2).
_STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSubject:
    """The patient and study that an event concerns; values as written, hashed if the settings say so."""

    study_instance_uid: str
    patient_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """An audit event as recorded, with the subjects of its studies."""

    event_id: int
    at: datetime
    action: str
    succeeded: bool
    actor: str
    address: str
    details: Mapping[str, Any]
    subjects: Sequence[AuditSubject] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The source of the messages: this service's AE title, its host, and its audit source ID."""

    ae_title: str
    host: str
    source_id: str
    site_id: str = ""


def message(occurrence: Occurrence, source: Source) -> Element:
    """Return the AuditMessage element of an event; an unknown action becomes a Security Alert."""
    kind = _kind_of(occurrence)
    root = Element("AuditMessage")
    _event(root, occurrence, kind)
    _PARTICIPANTS[kind.message](root, occurrence, source, kind)
    about = SubElement(root, "AuditSourceIdentification", AuditSourceID=source.source_id)
    if source.site_id:
        about.set("AuditEnterpriseSiteID", source.site_id)
    # An application server's process (PS3.15 A.5.1.2.1).
    SubElement(about, "AuditSourceTypeCode", {"csd-code": "4"})
    _OBJECTS[kind.message](root, occurrence)
    for element in root.iter():
        element.attrib.update({name: _writable(value) for name, value in element.attrib.items()})
        element.text = None if element.text is None else _writable(element.text)
    return root


def to_xml(element: Element) -> str:
    """Return a message as one line of XML with its declaration."""
    body = tostring(element, encoding="unicode").replace("\n", "&#10;").replace("\r", "&#13;")
    return f'<?xml version="1.0" encoding="UTF-8"?>{body}'


def to_plain(element: Element) -> dict[str, Any]:
    """Return a message as JSON types: attributes and children by name, a repeated child as a list."""
    plain: dict[str, Any] = dict(element.attrib)
    for child in element:
        value: Any = to_plain(child) if len(child) or child.attrib else (child.text or "")
        plain.setdefault(child.tag, []).append(value)
    return plain


def _writable(text: str) -> str:
    """Return a text without characters that XML 1.0 cannot contain, such as control characters in a
    peer's AE title.
    """
    return _UNWRITABLE.sub("\ufffd", text)


def _kind_of(occurrence: Occurrence) -> Kind:
    known = set(Action)
    action = Action(occurrence.action) if occurrence.action in known else Action.FAULT
    kind = KINDS[action]
    # A transfer's message must name a study; without one, an alert is sent.
    if kind.message in _ABOUT_STUDIES and not occurrence.subjects and kind.instead is not None:
        return kind.instead
    return kind


def _event(root: Element, occurrence: Occurrence, kind: Kind) -> None:
    identification = SubElement(
        root,
        "EventIdentification",
        EventActionCode=kind.action_code,
        EventDateTime=occurrence.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        EventOutcomeIndicator=SUCCESS if occurrence.succeeded else MINOR_FAILURE,
    )
    _coded(identification, "EventID", kind.message.value)
    if kind.event_type is not None:
        _coded(identification, "EventTypeCode", kind.event_type)
    code = occurrence.details.get("code") or occurrence.details.get("reason_code")
    if not occurrence.succeeded and code:
        SubElement(identification, "EventOutcomeDescription").text = str(code)


def _coded(parent: Element, name: str, code: AuditCode) -> None:
    values = {
        "csd-code": code.value,
        "codeSystemName": code.system,
        "displayName": code.meaning,
        "originalText": code.meaning,
    }
    SubElement(parent, name, values)


def _participant(
    root: Element,
    user: str,
    *,
    requestor: bool,
    role: AuditCode | None = None,
    address: str = "",
    ae_title: str = "",
) -> Element:
    element = SubElement(root, "ActiveParticipant", UserID=user or "unknown")
    if ae_title:
        element.set("AlternativeUserID", f"AETITLES={ae_title}")
    element.set("UserIsRequestor", "true" if requestor else "false")
    if address:
        element.set("NetworkAccessPointID", address)
        element.set("NetworkAccessPointTypeCode", "2" if _is_address(address) else "1")
    if role is not None:
        _coded(element, "RoleIDCode", role)
    return element


def _is_address(text: str) -> bool:
    return all(part.isdigit() for part in text.split(".")) or ":" in text


def _activity(root: Element, event: Occurrence, source: Source, _kind: Kind) -> None:
    _participant(root, event.actor, requestor=False, role=APPLICATION, address=source.host)
    _participant(root, "system", requestor=True, role=LAUNCHER, address=source.host)


def _by_actor(root: Element, event: Occurrence, source: Source, _kind: Kind) -> None:
    _participant(root, event.actor, requestor=True, address=event.address or source.host)


def _transfer(root: Element, event: Occurrence, source: Source, kind: Kind) -> None:
    """Name the sender, then the receiver; the side that opened the association is the requestor."""
    if kind.outgoing:
        peer = str(event.details.get("destination") or "unknown")
        _participant(
            root, event.actor, requestor=True, role=SOURCE, address=source.host, ae_title=source.ae_title
        )
        _participant(root, peer, requestor=False, role=DESTINATION, address=event.address)
        return
    _participant(
        root,
        event.actor,
        requestor=not kind.we_asked,
        role=SOURCE,
        address=event.address,
        ae_title=event.actor,
    )
    _participant(
        root,
        source.ae_title,
        requestor=kind.we_asked,
        role=DESTINATION,
        address=source.host,
        ae_title=source.ae_title,
    )


def _query(root: Element, event: Occurrence, source: Source, _kind: Kind) -> None:
    asked = str(event.details.get("destination") or source.source_id)
    ours = event.action == Action.QUERY
    _participant(
        root, event.actor, requestor=True, role=SOURCE, address=source.host if ours else event.address
    )
    _participant(
        root, asked, requestor=False, role=DESTINATION, address=event.address if ours else source.host
    )


def _sign_in(root: Element, event: Occurrence, source: Source, _kind: Kind) -> None:
    _participant(root, event.actor, requestor=True, address=event.address or source.host)
    _participant(root, source.source_id, requestor=False, address=source.host)


def _export(root: Element, event: Occurrence, source: Source, _kind: Kind) -> None:
    _participant(root, event.actor, requestor=True, role=SOURCE, address=event.address or source.host)
    media = _participant(root, "terminal", requestor=False, role=DESTINATION_MEDIA)
    _coded(SubElement(media, "MediaIdentifier"), "MediaType", MEDIA_URI)


def _object(
    root: Element, identifier: str, id_type: AuditCode, name: str, *, kind: str, role: str
) -> Element:
    element = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=identifier or "unknown",
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )
    _coded(element, "ParticipantObjectIDTypeCode", id_type)
    SubElement(element, "ParticipantObjectName").text = name
    return element


def _studies(root: Element, event: Occurrence) -> None:
    classes: Mapping[str, int] = event.details.get("sop_classes") or {}
    for subject in event.subjects:
        study = _object(root, subject.study_instance_uid, STUDY_UID, "Study", kind="2", role="3")
        if classes and len(event.subjects) == 1:
            described = SubElement(study, "ParticipantObjectDescription")
            for uid, count in sorted(classes.items()):
                SubElement(described, "SOPClass", UID=uid, NumberOfInstances=str(count))
    for patient_id in dict.fromkeys(subject.patient_id for subject in event.subjects):
        _object(root, patient_id, PATIENT_NUMBER, "Patient", kind="1", role="1")


def _alert(root: Element, event: Occurrence) -> None:
    told = {"action": event.action, **event.details}
    words = ", ".join(f"{key}={value}" for key, value in told.items())
    node = event.address or event.actor or "unknown"
    element = _object(root, node, NODE_ID, "Node", kind="2", role="13")
    SubElement(element, "ParticipantObjectDetail", type="Alert Description", value=_base64(words))
    _studies(root, event)


def _queried(root: Element, event: Occurrence) -> None:
    ours = event.action == Action.QUERY
    asked = _MODALITY_WORKLIST if event.details.get("query") == "WORKLIST" else _STUDY_ROOT_FIND
    identifier, id_type = (asked, SOP_CLASS_UID) if ours else ("worklist", SEARCH_CRITERIA)
    element = SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=identifier,
        ParticipantObjectTypeCode="2",
        ParticipantObjectTypeCodeRole="3" if ours else "24",
    )
    _coded(element, "ParticipantObjectIDTypeCode", id_type)
    # The keys of a query are patient attributes: its level or its kind is written, never its values.
    query = str(event.details.get("query", ""))
    SubElement(element, "ParticipantObjectQuery").text = _base64(query)
    _studies(root, event)


def _log_read(root: Element, _event: Occurrence) -> None:
    _object(root, "audit_events", URI, "Security Audit Log", kind="2", role="13")


def _nothing(_root: Element, _event: Occurrence) -> None:
    """These messages name no object."""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


_ABOUT_STUDIES = (
    AuditMessage.ACCESSED,
    AuditMessage.TRANSFERRED,
    AuditMessage.BEGIN,
    AuditMessage.DELETED,
    AuditMessage.EXPORT,
)
_PARTICIPANTS: Mapping[AuditMessage, Callable[[Element, Occurrence, Source, Kind], None]] = {
    AuditMessage.ACTIVITY: _activity,
    AuditMessage.LOG_USED: _by_actor,
    AuditMessage.BEGIN: _transfer,
    AuditMessage.ACCESSED: _by_actor,
    AuditMessage.TRANSFERRED: _transfer,
    AuditMessage.DELETED: _by_actor,
    AuditMessage.EXPORT: _export,
    AuditMessage.ORDER: _transfer,
    AuditMessage.QUERY: _query,
    AuditMessage.ALERT: _by_actor,
    AuditMessage.AUTHENTICATION: _sign_in,
}
_OBJECTS: Mapping[AuditMessage, Callable[[Element, Occurrence], None]] = {
    AuditMessage.ACTIVITY: _nothing,
    AuditMessage.LOG_USED: _log_read,
    AuditMessage.BEGIN: _studies,
    AuditMessage.ACCESSED: _studies,
    AuditMessage.TRANSFERRED: _studies,
    AuditMessage.DELETED: _studies,
    AuditMessage.EXPORT: _studies,
    AuditMessage.ORDER: _studies,
    AuditMessage.QUERY: _queried,
    AuditMessage.ALERT: _alert,
    AuditMessage.AUTHENTICATION: _nothing,
}
