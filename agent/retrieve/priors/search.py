"""One search for earlier studies: query the archive, retrieve them, and check which patient they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.identity.patient import Patient, patient_of, same_patient
from agent.database.priors import (
    ARCHIVE,
    FOUND,
    NONE_FOUND,
    NOT_RECEIVED,
    OURS,
    PATIENT_MISMATCH,
    REPORT_MODALITY,
)
from agent.database.session import Database
from agent.database.states import REJECTED
from agent.database.tables import Instance, Study
from agent.database.verified import verified_report
from agent.foundation.errors import (
    AgentError,
    ArchiveLate,
    ArchiveRefused,
    ArchiveUnavailable,
    InstanceMissing,
    UnreadableInstance,
)
from agent.foundation.settings.tree import ArchiveSettings, PriorSettings
from agent.network.archive import ArchiveConnection, connect_archive
from agent.network.incoming import Incoming
from agent.network.query_scu import FoundSeries
from agent.objects.guarded_read import read_whole
from agent.objects.header import read_stored
from agent.objects.rejection_note import NOTE_CLASS
from agent.objects.store import InstanceStore
from agent.retrieve.priors.choice import PriorChoice, choose_priors, earliest
from agent.retrieve.priors.rejected import mark_rejected
from dicom_sr.errors import StructuredReportError
from dicom_sr.narrative import Narrative, narrative, shortened

# Length of the text of one earlier report, in characters.
LONGEST_REPORT = 1500
# Number of reports fetched for one earlier study: the last ones that the archive lists.
MOST_REPORTS = 5
_UNREADABLE = (
    StructuredReportError,
    UnreadableInstance,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTask:
    """A search: its job, study and patient, and how long (s) it may take."""

    job_id: int
    study_id: int
    study_instance_uid: str
    study_date: str
    study_time: str
    patient: Patient
    budget_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPrior:
    """An earlier study to compare with, and its report."""

    study_instance_uid: str
    report: str
    report_from: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The outcome of a search.

    answers: studies that the archive listed; None if it did not answer.
    refused: how many of them may belong to another patient.
    outage: whether the archive itself failed.
    asked: whether this is the result of a query, sent or tried: one without is not audited.
    """

    code: str
    reason: str
    links: tuple[FoundPrior, ...] = ()
    answers: int | None = None
    refused: int = 0
    outage: bool = False
    asked: bool = True


class PriorSearcher:
    """Runs searches; keeps no state between them."""

    def __init__(
        self,
        database: Database,
        store: InstanceStore,
        archive: ArchiveSettings,
        settings: PriorSettings,
        incoming: Incoming,
    ) -> None:
        self._database = database
        self._store = store
        self._archive = archive
        self._settings = settings
        self._incoming = incoming

    def search(self, task: SearchTask) -> SearchResult:
        """Query, retrieve and check; whatever the archive does, this takes little longer than the budget.

        Raises:
            DatabaseUnavailable: the arrived instances cannot be looked up.
            StorageFull: objects from a DICOMweb archive cannot be stored.
        """
        trouble: AgentError | None = None
        choice, answers = PriorChoice(studies=(), refused=0), None
        try:
            with connect_archive(self._archive, task.budget_s, self._incoming) as archive:
                found = archive.studies(
                    patient_id=task.patient.patient_id,
                    issuer_of_patient_id=task.patient.issuer_of_patient_id,
                    since=earliest(task.study_date, self._settings.maximum_age_days),
                    until=task.study_date,
                )
                answers = len(found)
                choice = choose_priors(
                    found,
                    task.patient,
                    uid=task.study_instance_uid,
                    before=task.study_date + task.study_time,
                    modalities=self._settings.modalities,
                )
                trouble = self._fetch_some(archive, choice)
        except (ArchiveUnavailable, ArchiveLate, ArchiveRefused) as error:
            trouble = error
        # After an interrupted retrieval, the instances that arrived are used.
        links, refused = self._judge([one.study_instance_uid for one in choice.studies], task.patient)
        code, reason = _outcome(links, choice, choice.refused + refused, trouble)
        return SearchResult(
            code=code,
            reason=reason,
            links=links,
            answers=answers,
            refused=choice.refused + refused,
            outage=isinstance(trouble, ArchiveUnavailable | ArchiveLate),
        )

    def _fetch_some(self, archive: ArchiveConnection, choice: PriorChoice) -> ArchiveRefused | None:
        """Retrieve the wanted number of studies; return the last refusal.

        Raises:
            ArchiveUnavailable, ArchiveLate: the archive can no longer be used.
        """
        refusal, fetched = None, 0
        for study in choice.studies:
            if fetched == self._settings.maximum:
                break
            try:
                fetched += self._fetch(archive, study.study_instance_uid)
            except ArchiveRefused as error:  # the next study may be sent
                refusal = error
        return refusal

    def _fetch(self, archive: ArchiveConnection, study_instance_uid: str) -> bool:
        """Retrieve the images and reports of one study; return False if it has no usable image.

        Raises:
            ArchiveRefused: none of the images was sent.
            ArchiveUnavailable, ArchiveLate: the archive can no longer be used.
        """
        series = archive.series(study_instance_uid)
        wanted = {one.upper() for one in self._settings.modalities}
        images = [one for one in series if one.modality.upper() in wanted]
        reports = [one for one in series if one.modality.upper() == REPORT_MODALITY][-MOST_REPORTS:]
        if not images:
            return False
        refusals = []
        for one in self._missing((*images, *reports)):
            try:
                archive.retrieve(study_instance_uid, one.series_instance_uid)
            except ArchiveRefused as error:
                refusals.append((one, error))
        if len([one for one, _error in refusals if one in images]) == len(images):
            raise refusals[0][1]
        return True

    def _missing(self, series: Sequence[FoundSeries]) -> list[FoundSeries]:
        """Return the series that are not stored completely."""
        with self._database.reading() as session:
            return [
                one
                for one in series
                if one.instances is None or _held(session, one.series_instance_uid) < one.instances
            ]

    def _judge(self, uids: Sequence[str], patient: Patient) -> tuple[tuple[FoundPrior, ...], int]:
        """Return the arrived studies of the patient, and the number of studies of other patients."""
        links: list[FoundPrior] = []
        refused = 0
        for uid in uids:
            try:
                mark_rejected(self._database, self._store, uid)
            except (InstanceMissing, UnreadableInstance):
                continue  # which images count is unknown
            with self._database.reading() as session:
                received = session.execute(
                    select(Instance.sop_instance_uid, Instance.sha256, Instance.modality)
                    .join(Study, Study.id == Instance.study_id)
                    .where(
                        Study.study_instance_uid == uid,
                        Instance.purged_at.is_(None),
                        # Nothing to compare with, and it may name the patient of a mistaken worklist entry.
                        Instance.sop_class_uid != NOTE_CLASS,
                        Instance.skipped_by.is_distinct_from(REJECTED),
                    )
                    .order_by(Instance.id)
                ).all()
                # Content that has since been replaced no longer identifies the patient.
                rows = list({row.sop_instance_uid: row for row in received}.values())
                report = _our_report(session, uid)
            try:
                headers = [read_stored(self._store.open(row.sha256)) for row in rows]
            except AgentError:
                continue  # a file is gone or damaged: not usable for comparison
            if not all(same_patient(patient, patient_of(header)) for header in headers):
                refused += 1
                continue
            if all(row.modality == REPORT_MODALITY for row in rows):
                continue
            source = OURS if report else ARCHIVE
            report = report or self._newest_report([r.sha256 for r in rows if r.modality == REPORT_MODALITY])
            links.append(
                FoundPrior(study_instance_uid=uid, report=report, report_from=source if report else "")
            )
        return tuple(links[: self._settings.maximum]), refused

    def _newest_report(self, digests: Sequence[str]) -> str:
        """Return the text of the newest finished report; a verified one takes precedence."""
        read: list[Narrative] = []
        for digest in digests:
            try:
                one = narrative(read_whole(self._store.open(digest)), LONGEST_REPORT)
            except _UNREADABLE:
                continue  # another vendor's report may fail in any way: the study then has no report
            if one.final and one.text:
                read.append(one)
        return max(read, key=lambda one: (one.verified, one.written)).text if read else ""


def _outcome(
    links: Sequence[FoundPrior], choice: PriorChoice, refused: int, trouble: AgentError | None
) -> tuple[str, str]:
    """Return the code of a search's outcome, and a description."""
    if links:
        with_report = sum(bool(link.report) for link in links)
        return FOUND, f"{_studies(len(links))} to compare with, {with_report} with a report"
    if trouble is not None:
        return trouble.code, str(trouble)
    if refused:
        reason = f"{_studies(refused)} in the archive may belong to another patient: not used"
        return PATIENT_MISMATCH, reason
    if choice.studies:
        return NOT_RECEIVED, "the archive has earlier studies, but sent nothing usable"
    return NONE_FOUND, "the archive has no earlier study of this patient"


def _studies(count: int) -> str:
    return "1 earlier study" if count == 1 else f"{count} earlier studies"


def _held(session: Session, series_instance_uid: str) -> int:
    """Count the instances of a series that have arrived."""
    count = session.scalar(
        select(func.count(Instance.sop_instance_uid.distinct())).where(
            Instance.series_instance_uid == series_instance_uid, Instance.purged_at.is_(None)
        )
    )
    return count or 0


def _our_report(session: Session, study_instance_uid: str) -> str:
    """Return the text of a study's report that a radiologist verified here; empty if there is none."""
    study_id = session.scalar(select(Study.id).where(Study.study_instance_uid == study_instance_uid))
    report = None if study_id is None else verified_report(session, study_id)
    return shortened(" ".join(("" if report is None else report.text).split()), LONGEST_REPORT)
