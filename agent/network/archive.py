"""The configured archive, queried by DIMSE (C-FIND, C-MOVE, C-GET) or DICOMweb (QIDO-RS, WADO-RS).

Its answers are reduced to plain values and not trusted, and every wait ends at the caller's deadline. Objects
retrieved by C-MOVE arrive at the listener over a separate association; objects retrieved by C-GET or WADO-RS
are passed to the caller file by file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from agent.foundation.errors import AgentError
from agent.foundation.settings.tree import ArchiveSettings
from agent.network.get_scu import open_by_get
from agent.network.incoming import Incoming
from agent.network.query_scu import FoundInstance, FoundSeries, FoundStudy, StudyList, open_archive


class ArchiveConnection(Protocol):
    """A connection to an archive; every method raises the errors that `connect_archive` names."""

    def studies(
        self, *, patient_id: str, issuer_of_patient_id: str, since: str, until: str
    ) -> list[FoundStudy]:
        """Return the studies of a patient whose Study Date is in a range (DA values, both included)."""

    def list_studies(self, *, study_date: str, study_time: str, modality: str, most: int) -> StudyList:
        """Return the studies with a modality in a range of dates and times; at most about `most`."""

    def study(self, study_instance_uid: str) -> FoundStudy | None:
        """Return the archive's description of one study, or None if it does not have it."""

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """Return the series of a study."""

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> list[FoundInstance]:
        """Return the instances of a series."""

    def retrieve(self, study_instance_uid: str, series_instance_uid: str) -> None:
        """Retrieve a series to the destination in this connection's `Incoming`."""


@contextmanager
def connect_archive(
    settings: ArchiveSettings, budget_s: float, incoming: Incoming | None = None, *, by_get: bool = False
) -> Iterator[ArchiveConnection]:
    """Open a connection for queries and, if `incoming` is given, retrieval; it ends after `budget_s` seconds.

    by_get: a DICOM archive sends over this association (C-GET).

    Raises:
        ArchiveUnavailable: it cannot be reached, or the connection broke.
        ArchiveRefused: it refuses.
        ArchiveLate: the time is over.
    """
    if settings.kind == "dicomweb":
        from agent.network.dicomweb import (
            open_dicomweb,
        )  # an HTTP client that a DICOM-only site does not load

        with open_dicomweb(settings, budget_s, incoming) as web:
            yield web
        return
    if by_get and incoming is not None:
        with open_by_get(settings, budget_s, incoming.take) as association:
            yield association
        return
    with open_archive(settings, budget_s, "" if incoming is None else incoming.ae_title) as association:
        yield association


def archive_trouble(settings: ArchiveSettings, budget_s: float) -> str | None:
    """Query for a study that does not exist; return why the archive does not answer, or None if it does."""
    try:
        with connect_archive(settings, budget_s) as archive:
            archive.study("2.25.0")
    except AgentError as error:
        return str(error)
    return None
