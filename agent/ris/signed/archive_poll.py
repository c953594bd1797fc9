"""Queries the archive for Structured Reports of drafted studies that have no signed report yet.

What it finds is retrieved like an earlier study, so that it never creates a job;
`agent.ris.signed.structured` reads it.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from agent.database.outbox import Document
from agent.database.priors import REPORT_MODALITY
from agent.database.session import Database, database_now
from agent.database.signed import SignedReport
from agent.database.tables import Draft, Instance, Study
from agent.foundation.errors import ArchiveRefused
from agent.foundation.settings.tree import ArchiveSettings
from agent.network.archive import connect_archive
from agent.network.incoming import Incoming

_BATCH = 20
_BUDGET_S = 120.0


class ArchiveReports:
    """Cycles through the drafts of the last weeks, a few in each poll."""

    def __init__(
        self, database: Database, archive: ArchiveSettings, incoming: Incoming, look_back_s: float
    ) -> None:
        self._database = database
        self._archive = archive
        self._incoming = incoming
        self._look_back_s = look_back_s
        self._last = 0

    def run_once(self) -> int:
        """Query for the next studies; return the number of series that were retrieved.

        Raises:
            ArchiveUnavailable, ArchiveLate: the rest is queried in the next poll.
        """
        waiting = self._waiting()
        if not waiting:
            self._last = 0
            return 0
        count = 0
        with connect_archive(self._archive, _BUDGET_S, self._incoming) as archive:
            for study_id, uid in waiting:
                try:
                    for series in archive.series(uid):
                        if series.modality.upper() == REPORT_MODALITY and self._wanted(
                            series.series_instance_uid, series.instances
                        ):
                            archive.retrieve(uid, series.series_instance_uid)
                            count += 1
                except ArchiveRefused:
                    pass  # it refuses this study; others may be available
                self._last = study_id
        return count

    def _waiting(self) -> list[tuple[int, str]]:
        """Return the next drafted studies without a signed report, by row and UID."""
        with self._database.reading() as session:
            since = database_now(session) - timedelta(seconds=self._look_back_s)
            signed = select(SignedReport.id).where(
                SignedReport.study_instance_uid == Study.study_instance_uid
            )
            drafted = select(Draft.id).where(
                Draft.study_id == Study.id, Draft.outcome == "drafted", Draft.created_at >= since
            )
            rows = session.execute(
                select(Study.id, Study.study_instance_uid)
                .where(Study.id > self._last, drafted.exists(), ~signed.exists())
                .order_by(Study.id)
                .limit(_BATCH)
            ).all()
        return [(row.id, row.study_instance_uid) for row in rows]

    def _wanted(self, series_instance_uid: str, instances: int | None) -> bool:
        """Return whether a series is another system's and not completely stored here.

        The intake drops our own documents, so they would be retrieved in every poll.
        """
        with self._database.reading() as session:
            ours = select(Document.id).where(Document.series_instance_uid == series_instance_uid).limit(1)
            if session.scalar(ours) is not None:
                return False
            here = session.scalar(
                select(func.count(Instance.sop_instance_uid.distinct())).where(
                    Instance.series_instance_uid == series_instance_uid
                )
            )
        return not here or (instances is not None and here < instances)
