"""The archive as the backfill sees it: studies by date, series of a study, and retrieval."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from agent.foundation.settings.tree import ArchiveSettings, BackfillSettings
from agent.network.archive import connect_archive
from agent.network.incoming import Incoming
from agent.network.query_scu import FoundSeries, StudyList
from agent.retrieve.backfill.slices import DateSlice


class Retrieval(Protocol):
    """A connection for one study; it ends at its deadline."""

    def series(self, study_instance_uid: str) -> list[FoundSeries]:
        """Return the series of a study."""

    def retrieve(self, study_instance_uid: str, series_instance_uid: str) -> None:
        """Retrieve a series; return when it is done."""


class DatedArchive:
    """The archive of the settings."""

    def __init__(
        self, archive: ArchiveSettings, settings: BackfillSettings, incoming: Incoming | None
    ) -> None:
        """incoming: where retrieved objects go; None if nothing is retrieved."""
        self._archive, self._settings, self._incoming = archive, settings, incoming

    def list_studies(self, dates: DateSlice) -> StudyList:
        """Return the studies of a slice.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveBusy, ArchiveLate: there is no answer.
        """
        with connect_archive(self._archive, self._settings.retrieve_timeout_s) as archive:
            return archive.list_studies(
                study_date=dates.study_date,
                study_time=dates.study_time,
                modality=dates.modality,
                most=self._settings.answer_limit,
            )

    @contextmanager
    def opened(self) -> Iterator[Retrieval]:
        """Open a connection for one study.

        Raises:
            ArchiveUnavailable, ArchiveRefused, ArchiveBusy, ArchiveLate: it cannot be used.
        """
        with connect_archive(
            self._archive,
            self._settings.retrieve_timeout_s,
            self._incoming,
            by_get=self._settings.retrieve == "c-get",
        ) as archive:
            yield archive
