"""`doctor --send-test`: sends a pair of test documents to each PACS, looks for them in the archive, and
withdraws them.

They are documents as the service sends them, but without image or patient: the patient's name, identifier and
accession number, the text and every description say that they are a test. If a destination wants rejection
notes (IHE IOCM), one withdraws them at once; otherwise the check names the study to delete.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    KeyObjectSelectionDocumentStorage,
    generate_uid,
)

from agent.commands.doctor import Check, CheckResult
from agent.foundation.clock import SystemClock
from agent.foundation.errors import AgentError
from agent.foundation.settings.destination import DestinationSettings
from agent.foundation.settings.tree import Settings
from agent.network.archive import connect_archive
from agent.network.store_scu import open_connection
from dicom_sr.assembly import encode
from dicom_sr.document import build_rejection
from dicom_sr.rejection_note import build_rejection_note
from dicom_sr.values import Algorithm, DocumentPair, SourceStudy

PATIENT_NAME, PATIENT_ID, ACCESSION_NUMBER = "ECHO-AGENT^TEST OBJECT", "ECHO-AGENT-TEST", "ECHO-TEST"
TEXT = "TEST OBJECT of `echo-agent doctor`. This is not a patient. Delete it."
# An archive may need this long (s) to list what it has stored.
LISTED_WITHIN_S = 10.0
_ASK_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    sop_class_uid: str
    content: bytes


def send_tests(settings: Settings) -> Iterator[Check]:
    """Send a pair of test documents to each destination that is a PACS; each failure says how to fix it."""
    for destination in settings.destinations:
        if destination.kind != "dicom":
            continue
        name = f"test object {destination.name}"
        study, pair = _test_documents(destination, SystemClock().now())
        where = f"study {study.images[0].StudyInstanceUID} of patient {PATIENT_ID}"
        try:
            warnings = _send(destination, [pair.findings, pair.report])
        except AgentError as error:
            yield Check(
                name=name,
                verdict=CheckResult.WRONG,
                found=str(error),
                remedy="see the destination's check above; the PACS' own log says why it refused",
            )
            continue
        said = f"taken{f' with a warning ({warnings[0]})' if warnings else ''}"
        yield _looked_for(settings, name, said, where, str(study.images[0].StudyInstanceUID))
        yield _taken_back(destination, name, where, study, pair)


def _test_documents(destination: DestinationSettings, now: datetime) -> tuple[SourceStudy, DocumentPair]:
    study = SourceStudy(images=[_test_image(now)])
    pair = build_rejection(
        study,
        TEXT,
        "not_attempted",
        _ALGORITHM,
        revision=1,
        created=now,
        findings_sop_class=destination.findings_sop_class,
    )
    return study, pair


_ALGORITHM = Algorithm(
    name="TEST OBJECT", version="0", manufacturer="ECHO Agent", weights_sha256="0" * 64, demonstration=True
)


def _test_image(now: datetime) -> Dataset:
    """Return the header of a non-existent image, so that the documents have a study."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID, header.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid(None)
    header.StudyInstanceUID, header.SeriesInstanceUID = generate_uid(None), generate_uid(None)
    header.PatientName, header.PatientID = PATIENT_NAME, PATIENT_ID
    header.PatientBirthDate, header.PatientSex = "19000101", "O"
    header.StudyDate, header.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    header.StudyID, header.AccessionNumber, header.ReferringPhysicianName = "TEST", ACCESSION_NUMBER, ""
    header.StudyDescription = header.SeriesDescription = "TEST OBJECT - NOT A PATIENT"
    return header


def _send(destination: DestinationSettings, documents: Sequence[Dataset]) -> list[str]:
    """Send documents over one association; return the warnings that they were stored with."""
    sent = [_Sent(sop_class_uid=str(one.SOPClassUID), content=encode(one)) for one in documents]
    with open_connection(destination, [one.sop_class_uid for one in sent]) as connection:
        return [warning for one in sent if (warning := connection.store(one)) is not None]


def _looked_for(settings: Settings, name: str, said: str, where: str, study_uid: str) -> Check:
    """Query the configured archive for what was sent; without one, rely on the destination's answer."""
    if settings.archive is None:
        return Check(name=name, verdict=CheckResult.RIGHT, found=f"{said}; no `archive` to ask: {where}")
    until = time.monotonic() + LISTED_WITHIN_S
    try:
        with connect_archive(settings.archive, LISTED_WITHIN_S + settings.archive.timeout_s) as archive:
            while archive.study(study_uid) is None:
                if time.monotonic() > until:
                    return Check(
                        name=name,
                        verdict=CheckResult.LOOK,
                        found=f"{said}, but the archive does not list {where}",
                        remedy="check whether the PACS holds back objects without an order or of unknown "
                        "patients; an `archive` that is another system than the destination need not have it",
                    )
                time.sleep(_ASK_AGAIN_S)
    except AgentError as error:
        return Check(
            name=name,
            verdict=CheckResult.LOOK,
            found=f"{said}; the archive could not be asked: {error}",
            remedy="see the check `archive` above",
        )
    return Check(name=name, verdict=CheckResult.RIGHT, found=f"{said}, and listed by the archive: {where}")


def _taken_back(
    destination: DestinationSettings, name: str, where: str, study: SourceStudy, pair: DocumentPair
) -> Check:
    name, remedy = f"{name}, afterwards", f"delete {where} in the PACS"
    if not destination.rejection_notes:
        found = "stays in the PACS: the destination has no `rejection_notes`"
        return Check(name=name, verdict=CheckResult.LOOK, found=found, remedy=remedy)
    both = (pair.references.findings, pair.references.report)
    note = build_rejection_note(study, both, "quality", _ALGORITHM, created=SystemClock().now())
    try:
        _send(destination, [note])
    except AgentError as error:
        found = f"could not be taken back by a {KeyObjectSelectionDocumentStorage.name}: {error}"
        return Check(name=name, verdict=CheckResult.WRONG, found=found, remedy=remedy)
    return Check(name=name, verdict=CheckResult.RIGHT, found="taken back by a rejection note (113001)")
