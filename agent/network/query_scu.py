"""Our Query/Retrieve SCU: queries an archive for studies of a patient, and retrieves them.

Every wait ends at the caller's deadline, whatever the archive does. Its answers are reduced to plain values
and not trusted: the caller decides whether a study belongs to the same patient.

Source: PS3.4 annex C (study root), PS3.7 sections 9.1.2 and 9.1.4.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from agent.foundation.backfill_errors import ArchiveBusy
from agent.foundation.errors import ArchiveLate, ArchiveRefused, ArchiveUnavailable
from agent.foundation.settings.tree import ArchiveSettings
from agent.network.scu import ConnectionLost, NoContext, Peer, associated
from dicom_sr.source import text

# More answers than this to one query are treated as a failure.
MOST_ANSWERS = 1000
FIND = UID(StudyRootQueryRetrieveInformationModelFind)
MOVE = UID(StudyRootQueryRetrieveInformationModelMove)
_PENDING = (0xFF00, 0xFF01)
_LIST_MESSAGE = 1
# Some sub-operations failed: the instances that arrived count (PS3.4 table C.4-2).
PARTLY = 0xB000
# Refused: out of resources (PS3.4 tables C.4-1 and C.4-2; 0xA701 and 0xA702 say for what).
_BUSY = range(0xA700, 0xA800)
# The archive ended a query before its last answer; some do so at their own limit.
_ENDED_EARLY = 0xFE00
# The attributes that are requested for each study.
STUDY_FIELDS = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedInstances",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudy:
    """A study as the archive describes it; empty text for what is not stated, None for an unknown count."""

    study_instance_uid: str
    study_date: str
    study_time: str
    study_description: str
    modalities: tuple[str, ...]
    instances: int | None
    patient_id: str
    issuer_of_patient_id: str
    patient_birth_date: str
    patient_sex: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """A series as the archive describes it; empty text for what it does not state."""

    series_instance_uid: str
    modality: str
    instances: int | None
    body_part_examined: str = ""
    series_description: str = ""
    protocol_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedStudy:
    """A study in a list by date: no patient attribute is requested."""

    study_instance_uid: str
    study_description: str
    modalities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyList:
    """The studies in a range of dates; `more`: the archive or our own limit cut the list off."""

    studies: tuple[ListedStudy, ...]
    cut_off: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInstance:
    """An instance as the archive describes it."""

    sop_instance_uid: str
    sop_class_uid: str


class Archive:
    """An open association with an archive."""

    def __init__(
        self, association: Association, timeout_s: float, deadline: float, destination: str = ""
    ) -> None:
        """destination: the AE title to which `retrieve` sends a series."""
        self._association = association
        self._destination = destination
        self._timeout_s = timeout_s
        self._deadline = deadline

    def studies(
        self, *, patient_id: str, issuer_of_patient_id: str, since: str, until: str
    ) -> list[FoundStudy]:
        """Return the studies of a patient whose Study Date is in a range (DA values, both included).

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no whole answer.
        """
        query = _study_query()
        query.PatientID, query.IssuerOfPatientID = patient_id, issuer_of_patient_id
        query.StudyDate = f"{since}-{until}"
        return [_study(answer) for answer in self._find(query)]

    def study(self, study_instance_uid: str) -> FoundStudy | None:
        """Return the archive's description of one study, None if it does not have it.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no whole answer.
        """
        query = _study_query()
        query.StudyInstanceUID = study_instance_uid
        answers = [_study(answer) for answer in self._find(query)]
        return next((one for one in answers if one.study_instance_uid == study_instance_uid), None)

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """Return the series of a study.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no whole answer.
        """
        query = _query("SERIES", StudyInstanceUID=study_instance_uid)
        query.SeriesInstanceUID = query.Modality = ""
        query.BodyPartExamined = query.SeriesDescription = query.ProtocolName = ""
        query.NumberOfSeriesRelatedInstances = None
        return [
            FoundSeries(
                series_instance_uid=text(answer, "SeriesInstanceUID"),
                modality=text(answer, "Modality"),
                instances=_number(answer, "NumberOfSeriesRelatedInstances"),
                body_part_examined=text(answer, "BodyPartExamined"),
                series_description=text(answer, "SeriesDescription"),
                protocol_name=text(answer, "ProtocolName"),
            )
            for answer in self._find(query)
        ]

    def list_studies(self, *, study_date: str, study_time: str, modality: str, most: int) -> StudyList:
        """Return the studies with a modality in a range of dates (DA), and in a range of times (TM) or at any
        time.

        After `most` studies the query is canceled (PS3.7 9.3.2.3).

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveBusy, ArchiveLate: there is no answer.
        """
        query = _query("STUDY", StudyDate=study_date, StudyTime=study_time, ModalitiesInStudy=modality)
        query.StudyInstanceUID = query.StudyDescription = ""
        found: list[ListedStudy] = []
        canceled = False
        self._arm()
        try:
            for status, identifier in self._association.send_c_find(query, FIND, msg_id=_LIST_MESSAGE):
                if int(status.get("Status", 0)) == _ENDED_EARLY:
                    return StudyList(studies=tuple(found), cut_off=True)
                if not self._pending(status, "find"):
                    return StudyList(studies=tuple(found), cut_off=canceled)
                if identifier is not None and text(identifier, "StudyInstanceUID"):
                    found.append(_listed(identifier))
                if len(found) >= most and not canceled:
                    self._association.send_c_cancel(_LIST_MESSAGE, query_model=FIND)
                    canceled = True
                self._arm()
        except (RuntimeError, ValueError) as error:
            raise ArchiveRefused("the archive does not offer queries (C-FIND, study root)") from error
        raise ArchiveUnavailable("the archive broke off the association during a C-FIND")

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> list[FoundInstance]:
        """Return the instances of a series.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: there is no whole answer.
        """
        query = _query("IMAGE", StudyInstanceUID=study_instance_uid, SeriesInstanceUID=series_instance_uid)
        query.SOPInstanceUID = query.SOPClassUID = ""
        return [
            FoundInstance(
                sop_instance_uid=text(answer, "SOPInstanceUID"), sop_class_uid=text(answer, "SOPClassUID")
            )
            for answer in self._find(query)
        ]

    def retrieve(self, study_instance_uid: str, series_instance_uid: str) -> None:
        """Retrieve a series to the destination of this association.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: it was not sent, or only in part.
        """
        self.move(study_instance_uid, series_instance_uid, self._destination)

    def move(self, study_instance_uid: str, series_instance_uid: str, destination: str) -> None:
        """Retrieve a series to an AE title that the archive knows; return when the archive reports
        completion.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveLate: it was not sent, or only in part.
        """
        query = series_query(study_instance_uid, series_instance_uid)
        self._arm()
        try:
            for status, _ in self._association.send_c_move(query, destination, MOVE):
                if not self._pending(status, "move", also=PARTLY):
                    return
                self._arm()
        except (RuntimeError, ValueError) as error:
            raise ArchiveRefused("the archive does not offer retrieval (C-MOVE, study root)") from error
        raise ArchiveUnavailable("the archive broke off the association during a C-MOVE")

    def _find(self, query: Dataset) -> list[Dataset]:
        found: list[Dataset] = []
        self._arm()
        try:
            for status, identifier in self._association.send_c_find(query, FIND):
                if not self._pending(status, "find"):
                    return found
                if identifier is not None:
                    found.append(identifier)
                if len(found) > MOST_ANSWERS:
                    self._association.abort()
                    raise ArchiveRefused(f"the archive gave more than {MOST_ANSWERS} answers to one query")
                self._arm()
        except (RuntimeError, ValueError) as error:
            raise ArchiveRefused("the archive does not offer queries (C-FIND, study root)") from error
        raise ArchiveUnavailable("the archive broke off the association during a C-FIND")

    def _pending(self, status: Dataset, what: str, also: int | None = None) -> bool:
        """Whether more responses follow."""
        if "Status" not in status:
            if time.monotonic() >= self._deadline:
                raise ArchiveLate(f"the archive did not end its C-{what.upper()} in time")
            raise ArchiveUnavailable(f"the archive did not answer the C-{what.upper()}, or broke off")
        code = int(status.Status)
        if code in _PENDING:
            return True
        if code in _BUSY:
            raise ArchiveBusy(
                f"the archive answered the C-{what.upper()} with 0x{code:04X}: out of resources"
            )
        if code not in (0x0000, also):
            raise ArchiveRefused(f"the archive answered the C-{what.upper()} with 0x{code:04X}")
        return False

    def _arm(self) -> None:
        """Limit the next wait to the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._association.abort()
            raise ArchiveLate("the archive did not answer in time")
        self._association.dimse_timeout = min(self._timeout_s, left)


@contextmanager
def open_archive(settings: ArchiveSettings, budget_s: float, destination: str = "") -> Iterator[Archive]:
    """Open an association for queries and retrieval (to the AE title `destination`), all of which end after
    `budget_s` seconds.

    Raises:
        ArchiveUnavailable: no connection, or a rejection; the text says which.
        ArchiveRefused: it offers neither queries nor retrieval.
    """
    deadline = time.monotonic() + budget_s
    peer: Peer = settings.model_copy(update={"timeout_s": min(settings.timeout_s, max(budget_s, 0.1))})
    try:
        with associated(peer, [FIND, MOVE]) as association:
            # A retrieval may be silent until everything is sent; only the deadline ends it.
            association.network_timeout = None
            yield Archive(association, settings.timeout_s, deadline, destination)
    except NoContext as error:
        raise ArchiveRefused("the archive offers no query or retrieval (study root)") from error
    except ConnectionLost as error:
        raise ArchiveUnavailable(str(error).replace("the destination", "the archive")) from error


def series_query(study_instance_uid: str, series_instance_uid: str) -> Dataset:
    """Return the identifier of a retrieval of one series (PS3.4 C.4.2.1.4)."""
    return _query("SERIES", StudyInstanceUID=study_instance_uid, SeriesInstanceUID=series_instance_uid)


def _query(level: str, **keys: str) -> Dataset:
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 192"
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _study_query() -> Dataset:
    query = _query("STUDY")
    for keyword in STUDY_FIELDS:
        setattr(query, keyword, None if keyword.startswith("NumberOf") else "")
    return query


def _study(answer: Dataset) -> FoundStudy:
    return found_study(lambda keyword: text(answer, keyword), _modalities(answer))


def _listed(answer: Dataset) -> ListedStudy:
    return ListedStudy(
        study_instance_uid=text(answer, "StudyInstanceUID"),
        study_description=text(answer, "StudyDescription"),
        modalities=_modalities(answer),
    )


def _modalities(answer: Dataset) -> tuple[str, ...]:
    return tuple(one for one in text(answer, "ModalitiesInStudy").split("\\") if one)


def _number(answer: Dataset, keyword: str) -> int | None:
    return count_of(text(answer, keyword))


def found_study(value: Callable[[str], str], modalities: Iterable[str]) -> FoundStudy:
    """Return the study in an answer, in DICOM or JSON; `value` reads an attribute as text, empty if
    absent.
    """
    return FoundStudy(
        study_instance_uid=value("StudyInstanceUID"),
        study_date=value("StudyDate"),
        study_time=value("StudyTime"),
        study_description=value("StudyDescription"),
        modalities=tuple(modalities),
        instances=count_of(value("NumberOfStudyRelatedInstances")),
        patient_id=value("PatientID"),
        issuer_of_patient_id=value("IssuerOfPatientID"),
        patient_birth_date=value("PatientBirthDate"),
        patient_sex=value("PatientSex"),
    )


def count_of(value: str) -> int | None:
    """Return a count in an answer, or None if there is no valid one."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
