"""Documents that inform the PACS that a study has no draft, if enabled in the settings.

A stopped job (SKIPPED, FAILED, DEAD) of the last day without any document gets one pair. The job keeps its
state; only its deliveries are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pydicom import Dataset
from sqlalchemy import exists, select
from sqlalchemy.orm import aliased

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Draft, Instance, Job, Study
from agent.foundation.errors import UnreadableImage
from agent.foundation.log import get_logger, study_ref
from agent.foundation.settings.tree import Settings
from agent.objects.pixels import load_header
from agent.objects.rejection_note import NOTE_CLASS
from agent.objects.store import InstanceStore
from agent.reports import publish
from agent.reports.compose import notice_record
from agent.reports.headers import as_told
from agent.reports.views import with_views
from dicom_sr.document import Algorithm, SourceStudy
from dicom_sr.errors import StructuredReportError
from dicom_sr.values import Outcome

LOOK_BACK = timedelta(days=1)
BATCH = 20
# The reason, worded for a radiologist; the status shows the code to the administrator.
_REASONS = {
    "image-unreadable": "an image of the study could not be read",
    "object-over-budget": "an image of the study could not be read",
    "instance-missing": "an image of the study is no longer available",
    "patient-conflict": "the images of the study name different patients",
}
_NO_CHEST = "by policy, no image of the study is an eligible chest radiograph"
_FAILED = "the drafting system could not process the study"


class Notices:
    """Writes the notices that are due."""

    def __init__(
        self, database: Database, store: InstanceStore, settings: Settings, algorithm: Algorithm
    ) -> None:
        self._database = database
        self._store = store
        self._settings = settings
        self._algorithm = algorithm
        # Jobs whose image headers cannot be named in a document: trying again would not help.
        self._hopeless: set[int] = set()
        self._log = get_logger("worker")

    @property
    def wanted(self) -> tuple[JobState, ...]:
        """The states that get a notice under the settings."""
        skipped = (JobState.SKIPPED,) if self._settings.worker.report_skipped else ()
        failed = (JobState.FAILED, JobState.DEAD) if self._settings.worker.report_failed else ()
        return (*skipped, *failed)

    def write_due(self) -> int:
        """Write the notices of stopped jobs that have none; return their number."""
        if not self.wanted:
            return 0
        # The outcome of a revision no longer matters when there is a newer one.
        later = aliased(Job)
        with self._database.reading() as session:
            due = session.execute(
                select(Job.id, Job.state, Job.code, Job.revision, Job.study_id, Study.study_instance_uid)
                .join(Study, Study.id == Job.study_id)
                .where(
                    Job.updated_at > database_now(session) - LOOK_BACK,
                    Job.state.in_([state.value for state in self.wanted]),
                    ~exists().where(Draft.job_id == Job.id),
                    ~exists().where(
                        later.study_id == Job.study_id, later.kind == Job.kind, later.revision > Job.revision
                    ),
                    Job.id.not_in(self._hopeless),
                )
                .order_by(Job.updated_at)
                .limit(BATCH)
            ).all()
        written = 0
        for job_id, state, code, revision, study_id, study_instance_uid in due:
            try:
                self._write(job_id, state, code, revision, study_id, study_instance_uid)
            except StructuredReportError as error:
                self._hopeless.add(job_id)
                self._log.warning(
                    "notice_impossible",
                    job_id=job_id,
                    code=error.code,
                    study_ref=study_ref(study_instance_uid),
                )
                continue
            written += 1
        return written

    def _write(
        self, job_id: int, state: str, code: str | None, revision: int, study_id: int, study_instance_uid: str
    ) -> None:
        outcome: Outcome = "not_attempted" if state == JobState.SKIPPED.value else "failed"
        reason = _NO_CHEST if outcome == "not_attempted" else _REASONS.get(code or "", _FAILED)
        with self._database.reading() as session:
            created = database_now(session).astimezone()
            before = publish.before_draft(session, study_id, study_instance_uid, self._settings.destinations)
        record = notice_record(
            SourceStudy(images=self._headers(study_id, revision)),
            self._algorithm,
            outcome,
            f"{reason}. {before.standing}" if before.standing else reason,
            revision=revision,
            created=created,
            predecessors=before.pairs,
        )
        record = with_views(record, self._settings)
        with self._database.transaction() as session:
            job = session.get_one(Job, job_id, with_for_update=True)
            # A person may have requested a retry in the meantime.
            if job.state == state:
                now = database_now(session)
                publish.write(session, job, record, self._algorithm, self._settings, now=now)

    def _headers(self, study_id: int, revision: int) -> Sequence[Dataset]:
        with self._database.reading() as session:
            digests = session.scalars(
                select(Instance.sha256)
                .where(
                    Instance.study_id == study_id,
                    Instance.revision <= revision,
                    Instance.prior.is_(False),
                    Instance.purged_at.is_(None),
                    # A rejection note may come first, and name the patient of a mistaken worklist entry.
                    Instance.sop_class_uid != NOTE_CLASS,
                )
                .order_by(Instance.id)
            ).all()
        headers = []
        for sha256 in digests:
            try:
                headers.append(load_header(self._store.open(sha256)))
            except UnreadableImage:
                continue  # any other image names the study as well
        return as_told(self._database, study_id, headers)
