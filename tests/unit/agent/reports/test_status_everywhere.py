"""What software wrote and nobody has verified is never marked as verified, preliminary-verified or final.

Covers all kinds of destinations, all documents that each can be sent, and all courses of a study.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pypdfium2
import pytest
from pydicom import dcmread
from sqlalchemy import select

from agent.database.tables import Document, Draft
from agent.delivery.ways import _WAYS
from agent.foundation.document_roles import DocumentRole
from agent.foundation.settings.kinds import (
    DEFAULT_DOCUMENTS,
    DOCUMENTS,
    FIELDS,
    MESSAGE_KINDS,
    Kind,
    SentDocument,
)
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.messages.hl7.parse import parse
from agent.queue.deliveries import DeliveryClaim
from agent.reports.messages import WRITERS
from tests.support.course import StudyCourse
from tests.support.house import House

# A place for each kind: a new kind of destination needs one here, so that this test covers it too.
PLACES: dict[str, dict[str, Any]] = {
    "dicom": {"host": "127.0.0.1", "port": 4242, "rejection_notes": True},
    "stow": {"stow_url": "http://127.0.0.1:9/web", "rejection_notes": True},
    "hl7": {"host": "127.0.0.1", "port": 2575, "hl7": {"escalation": "OMI", "escalation_priority": 49}},
    "fhir": {"fhir": {"url": "http://127.0.0.1:9/fhir"}},
}
SETTINGS = Settings(
    destinations=tuple(
        DestinationSettings(name=kind, kind=kind, documents=documents, **PLACES[kind])
        for kind, documents in DOCUMENTS.items()
    )
)
BANNERS = ("NOT VERIFIED", "REJECTED", "WITHDRAWN", "NO AI DRAFT")
# Words of tables 0123 and 0085, of FHIR, and of PS3.3 C.17.2 that a receiver reads as verified by a person.
SIGNED = {"F", "C", "final", "amended", "VERIFIED/FINAL/COMPLETE", "VERIFIED"}
UNSIGNED = {"R", "X", "D", "preliminary", "entered-in-error", "cancelled", "UNVERIFIED/PRELIMINARY/PARTIAL"}
UNSIGNED |= {"UNVERIFIED/PRELIMINARY/COMPLETE", "UNVERIFIED", "none"}

Act = Callable[[StudyCourse], None]


def draft(number: int = 1, **attributes: object) -> Act:
    return lambda study: study.draft(number, **attributes)


def accept(study: StudyCourse) -> None:
    study.accept()


def change(study: StudyCourse) -> None:
    study.judge()


def reject(study: StudyCourse) -> None:
    study.judge(None, "wrong side")


def correct_patient(study: StudyCourse) -> None:
    study.draft(1, PatientID="PB", PatientName="Beta^B")
    study.withdraw()


# What can happen to a study; what HL7 (OBR-25) and FHIR (DiagnosticReport.status) state, in order.
COURSES: dict[str, tuple[tuple[Act, ...], str, str]] = {
    "draft, revised, accepted, corrected, corrected again": (
        (draft(), draft(2), accept, change, accept),
        "RRFCC",
        "ppfaa",
    ),
    "accepted with changes": ((draft(), change), "RF", "pf"),
    "rejected, then drafted anew": ((draft(), reject, draft(2)), "RXR", "pep"),
    "rejected, then verified": ((draft(), reject, change), "RXF", "pef"),
    "verified, then rejected": ((draft(), accept, reject), "RFX", "pfe"),
    "late image after the verdict, then another one": ((draft(), accept, draft(2), change), "RFC", "pfa"),
    "withdrawn": ((draft(), correct_patient), "RXR", "pep"),
}


def statuses(claim: DeliveryClaim, kind: str) -> Iterator[str]:
    """Yield every word of a document that says whether a person has verified it."""
    yield from READERS[kind](claim.content)


def of_hl7(content: bytes) -> Iterator[str]:
    """Yield OBR-25 and every OBX-11; an escalation is an order, and has neither."""
    message = parse(content)
    if message.type != "OMI^O23":
        yield next(message.all("OBR")).text(25)
        yield from (one.text(11) for one in message.all("OBX"))


def of_fhir(content: bytes) -> Iterator[str]:
    """Yield the status of every report and finding."""
    for entry in json.loads(content)["entry"]:
        if entry["resource"]["resourceType"] in ("DiagnosticReport", "Observation"):
            yield entry["resource"]["status"]


def of_dicom(content: bytes) -> Iterator[str]:
    """Yield the flags of PS3.3 C.17.2 and C.24.2; a PDF states its status on every page."""
    document = dcmread(io.BytesIO(content))
    flags = [document.get(name) for name in ("VerificationFlag", "PreliminaryFlag", "CompletionFlag")]
    yield "/".join(one for one in flags if one) or "none"
    if "EncapsulatedDocument" in document:
        with pypdfium2.PdfDocument(document.EncapsulatedDocument) as pdf:
            pages = [page.get_textpage().get_text_bounded() for page in pdf]
        for page in pages:
            warned = any(banner in page for banner in BANNERS)
            assert warned is (document.VerificationFlag == "UNVERIFIED")


# How to read the documents of each kind.
READERS: dict[str, Callable[[bytes], Iterator[str]]] = {
    "dicom": of_dicom,
    "stow": of_dicom,
    "hl7": of_hl7,
    "fhir": of_fhir,
}


def report_status(claim: DeliveryClaim) -> str:
    """Return the first letter of the status of the bundle's DiagnosticReport."""
    entries = json.loads(claim.content)["entry"]
    kind = "DiagnosticReport"
    return next(str(e["resource"]["status"])[0] for e in entries if e["resource"]["resourceType"] == kind)


# The status that a message gives to the whole result, for each kind that takes messages.
TOLD: dict[str, Callable[[DeliveryClaim], str]] = {
    "hl7": lambda claim: next(of_hl7(claim.content)),
    "fhir": report_status,
}


def test_every_kind_of_destination_is_looked_at() -> None:
    """Each kind that can be configured, has documents or a transport is listed in this file, with its own
    reader, and every document that can be sent to it is checked.
    """
    known = set(get_args(Kind))
    for table in (DOCUMENTS, DEFAULT_DOCUMENTS, FIELDS, _WAYS, PLACES, READERS):
        assert set(table) == known
    assert set(WRITERS) == MESSAGE_KINDS == TOLD.keys()
    sendable = {one for documents in DOCUMENTS.values() for one in documents}
    assert sendable == set(get_args(SentDocument))
    assert set(get_args(SentDocument)) - {"result"} <= {role.value for role in DocumentRole}


def outcome_of(house: House, claim: DeliveryClaim) -> tuple[str, str]:
    """Return the outcome of the draft that a document belongs to, and the document's role."""
    with house.database.reading() as session:
        found = session.execute(
            select(Draft.outcome, Document.role)
            .join(Document, Document.draft_id == Draft.id)
            .where(Document.id == claim.document_id)
        ).one()
    return found.outcome, found.role


# The same where nothing could be delivered until the end: what was never sent is not withdrawn.
LATE: dict[str, tuple[tuple[Act, ...], str, str]] = {
    name: COURSES[name]
    for name in ("draft, revised, accepted, corrected, corrected again", "rejected, then drafted anew")
}
LATE["withdrawn"] = (COURSES["withdrawn"][0], "R", "p")


@pytest.mark.parametrize(
    ("acts", "told_hl7", "told_fhir", "at_once"),
    [
        *(pytest.param(*values, True, id=name) for name, values in COURSES.items()),
        *(pytest.param(*values, False, id=f"{name}, delivered late") for name, values in LATE.items()),
    ],
)
def test_unverified_is_nowhere_signed(
    house: House, acts: tuple[Act, ...], told_hl7: str, told_fhir: str, at_once: bool
) -> None:
    """A word that a receiver reads as verified by a person is in each of a verdict's documents and in no
    other; and messages arrive in the order of the events.
    """
    study = StudyCourse(house, SETTINGS)
    sent: dict[str, list[DeliveryClaim]] = {one.name: [] for one in SETTINGS.destinations}
    for act in acts:
        act(study)
        for name in sent if at_once or act is acts[-1] else ():
            sent[name].extend(study.deliver(name))
    told = dict.fromkeys(TOLD, "")
    for kind, claims in sent.items():
        assert claims
        for claim in claims:
            words = list(statuses(claim, kind))
            outcome, role = outcome_of(house, claim)
            assert set(words) <= SIGNED | UNSIGNED
            verified = outcome == "verified" and role in ("findings", "report", "pdf", "message")
            assert any(one in SIGNED for one in words) is verified, (kind, role, words)
            if role in ("message", "retraction"):
                told[kind] += TOLD[kind](claim)
    assert told == {"hl7": told_hl7, "fhir": told_fhir}
