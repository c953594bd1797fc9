"""Signed reports from Structured Reports of other systems, which have arrived as objects.

They arrive under the AE title for earlier studies: sent there by the archive's routing, retrieved with
earlier studies, or retrieved for drafts that await their comparison (`agent.ris.signed.archive_poll`).
"""

from __future__ import annotations

from datetime import datetime

from pydicom import Dataset
from sqlalchemy import select

from agent.database.priors import REPORT_MODALITY
from agent.database.session import Database, database_now
from agent.database.signed_text import SignedText, enter
from agent.database.tables import Instance
from agent.database.watermarks import read_watermark, write_watermark
from agent.foundation.clock import SystemClock, storable_time
from agent.foundation.errors import AgentError
from agent.objects.guarded_read import read_whole
from agent.objects.store import InstanceStore
from dicom_sr.attributes import items, text
from dicom_sr.elements import person_name
from dicom_sr.errors import StructuredReportError
from dicom_sr.narrative import narrative

WATERMARK = "signed-sr"
LONGEST_TEXT = 200_000
_BATCH = 50
# Another vendor's report may fail in any way; then it does not count as a signed report.
_UNREADABLE = (AgentError, StructuredReportError, OSError, ValueError, TypeError, KeyError, AttributeError)


def enter_arrived(database: Database, store: InstanceStore) -> int:
    """Enter the reports that have arrived since the last call; return the number of new ones."""
    with database.reading() as session:
        since = int(read_watermark(session, WATERMARK) or 0)
        arrived = session.execute(
            select(Instance.id, Instance.sha256)
            .where(Instance.id > since, Instance.modality == REPORT_MODALITY, Instance.purged_at.is_(None))
            .order_by(Instance.id)
            .limit(_BATCH)
        ).all()
    count = 0
    for row_id, sha256 in arrived:
        try:
            signed = signed_of(read_whole(store.open(sha256)))
        except _UNREADABLE:
            signed = None
        with database.transaction() as session:
            now = database_now(session)
            if signed is not None:
                count += enter(session, signed, now)
            write_watermark(session, WATERMARK, str(row_id), now)
    return count


def signed_of(document: Dataset) -> SignedText | None:
    """Return the report in a Structured Report; None if no person has verified the whole, or it has no text.

    A verified document may still be preliminary or partial: archives write HL7's verified early result (P)
    as PARTIAL and VERIFIED.

    Raises:
        NotStructuredReportError: the object has no content tree.
    """
    read = narrative(document, LONGEST_TEXT)
    if not read.verified or not read.text:
        return None
    preliminary = text(document, "PreliminaryFlag").upper() == "PRELIMINARY"
    if preliminary or text(document, "CompletionFlag").upper() == "PARTIAL":
        return None
    observers = items(document, "VerifyingObserverSequence")
    stated = text(observers[0], "VerificationDateTime") if observers else ""
    return SignedText(
        source="sr",
        key=text(document, "SOPInstanceUID"),
        text=read.text,
        signed_at=_moment(stated, text(document, "TimezoneOffsetFromUTC"))
        or _moment(read.written, text(document, "TimezoneOffsetFromUTC"))
        or SystemClock().now(),
        study_instance_uid=text(document, "StudyInstanceUID"),
        accession_number=text(document, "AccessionNumber"),
        patient_id=text(document, "PatientID"),
        issuer_of_patient_id=text(document, "IssuerOfPatientID"),
        signed_by=person_name(observers[0], "VerifyingObserverName") if observers else "",
    )


def _moment(value: str, offset: str) -> datetime | None:
    """Parse a DT value; without its own UTC offset it has the document's, else this machine's."""
    digits = value.split(".")[0].partition("+")[0].partition("-")[0][:14]
    zone = value[-5:] if value[-5:-4] in ("+", "-") else offset
    for form in ("%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d"):
        try:
            if zone:
                return storable_time(datetime.strptime(f"{digits}{zone}", f"{form}%z"))
            return datetime.strptime(digits, form).astimezone()
        except (OverflowError, ValueError):
            continue
    return None
