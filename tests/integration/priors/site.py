"""What the tests of earlier studies use: an agent without a network, and real and misbehaving archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    generate_uid,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from sqlalchemy import func, select

from agent.commands.demo.orthanc import free_ports
from agent.commands.demo.sending import parcel_of, send
from agent.database.session import Database, database_now
from agent.database.tables import AuditEvent, Job, JobEvent, Listing, PriorSearch, Study
from agent.foundation.settings.tree import (
    ArchiveSettings,
    ListenerSettings,
    PriorSettings,
    Settings,
    StudySettings,
)
from agent.network.incoming import Incoming
from agent.objects.store import InstanceStore
from agent.queue import jobs
from agent.queue.jobs import Claim
from agent.receive.complete_study import Completed, complete_due_studies
from agent.receive.intake import Intake
from agent.receive.retrieved import incoming_of
from agent.receive.scp import StorageScp
from agent.reports.material import Material, gather
from agent.retrieve.priors.fetch import PriorFetcher
from tests.support.films import with_meta
from tests.support.house import image

PRIORS = "ECHO_PRIORS"


def film(name: str, number: int = 1, **attributes: object) -> Dataset:
    """A chest film of a study with this name, from which the UIDs and the patient are derived."""
    study = generate_uid(entropy_srcs=[name])
    values: dict[str, object] = {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": generate_uid(entropy_srcs=[name, str(number)]),
        "SOPInstanceUID": generate_uid(entropy_srcs=[name, str(number), "image"]),
        "PatientID": name.split("/")[0],
        "PatientName": "CANARY^PATIENT",
        "PatientSex": "F",
        "ViewPosition": "PA" if number == 1 else "LL",
    }
    return with_meta(image(1, number, **(values | attributes)))


def report(of: Dataset, *sentences: str, **attributes: object) -> Dataset:
    """A Basic Text SR as another system writes it."""
    dataset = Dataset()
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        setattr(dataset, keyword, of.get(keyword))
    dataset.StudyDate, dataset.StudyTime = of.StudyDate, of.StudyTime
    dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName = "", "", ""
    dataset.SOPClassUID = BasicTextSRStorage
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[*sentences, "series", of.StudyInstanceUID])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[*sentences, "report", of.StudyInstanceUID])
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "SR", 1, 1
    dataset.ContentDate, dataset.ContentTime = of.StudyDate, "130000"
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [_code("18748-4", "LN", "Diagnostic Imaging Report")]
    dataset.ContentSequence = [_sentence(one) for one in sentences]
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return with_meta(dataset)


def note_of(of: Dataset, *rejected: str, **attributes: object) -> Dataset:
    """A rejection note for a study, as a modality writes it."""
    note = report(of, "rejected", Modality="KO", SOPClassUID=KeyObjectSelectionDocumentStorage)
    note.ConceptNameCodeSequence, note.ContentSequence = [_code("113001", "DCM", "Rejected")], []
    study, series = Dataset(), Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = of.StudyInstanceUID, [series]
    series.SeriesInstanceUID, series.ReferencedSOPSequence = of.SeriesInstanceUID, []
    for uid in rejected:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = of.SOPClassUID, uid
        series.ReferencedSOPSequence.append(item)
    note.CurrentRequestedProcedureEvidenceSequence = [study]
    for keyword, value in attributes.items():
        setattr(note, keyword, value)
    return with_meta(note)


def _sentence(words: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
    item.TextValue = words
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


@dataclass(kw_only=True)
class Site:
    """A listener with its database and the component that fetches earlier studies."""

    database: Database
    store: InstanceStore
    settings: Settings
    port: int
    fetcher: PriorFetcher
    incoming: Incoming

    def receive(self, *datasets: Dataset, called: str = "ECHO_AGENT") -> list[int | None]:
        """Send objects to the listener, and return the statuses."""
        parcels = [parcel_of(dataset, "object") for dataset in datasets]
        sent = send(parcels, host="127.0.0.1", port=self.port, called=called, calling="CR_ROOM_1")
        return [one.status for one in sent]

    def complete(self) -> list[Completed]:
        """Make every study in RECEIVING due, and complete it."""
        with self.database.transaction() as session:
            for job in session.scalars(select(Job).where(Job.state == "RECEIVING")):
                job.due_at = database_now(session) - timedelta(seconds=1)
        return complete_due_studies(self.database, self.settings, self.store)

    def queue(self, *datasets: Dataset) -> int:
        """Receive and complete a study; return its job."""
        assert self.receive(*datasets) == [0] * len(datasets)
        (done,) = self.complete()
        assert done.state == "QUEUED"
        return done.job_id

    def search_of(self, job_id: int) -> PriorSearch:
        """The prior search of a job."""
        with self.database.reading() as session:
            return session.get_one(PriorSearch, job_id)

    def told(self, job_id: int) -> list[str | None]:
        """The codes of a job's history."""
        with self.database.reading() as session:
            events = select(JobEvent.code).where(JobEvent.job_id == job_id).order_by(JobEvent.id)
            return list(session.scalars(events))

    def claim(self) -> list[Claim]:
        """Claim what is available to a worker now."""
        return jobs.claim(self.database, "worker", 60, 10)

    def material(self, claim: Claim) -> Material:
        """What a draft is made from."""
        return gather(self.database, self.store, self.settings, claim)

    def counts(self) -> dict[str, int]:
        """The rows that a study sent for drafting leaves behind."""
        with self.database.reading() as session:
            return {
                table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
                for table in (Study, Job, Listing)
            }

    def audited(self) -> list[tuple[str, bool, Any]]:
        """The audit events about earlier studies: action, success and code."""
        with self.database.reading() as session:
            rows = session.scalars(
                select(AuditEvent)
                .where(AuditEvent.action.in_(("query", "priors-fetched")))
                .order_by(AuditEvent.id)
            )
            return [(row.action, row.succeeded, row.details.get("code")) for row in rows]


@contextmanager
def running_site(
    database: Database, store: InstanceStore, archive: ArchiveSettings, port: int, **priors: Any
) -> Iterator[Site]:
    """Start a listener and a fetcher for this archive."""
    settings = Settings(
        listener=ListenerSettings(port=port),
        studies=StudySettings(quiet_time_s=60),
        archive=archive,
        priors=PriorSettings(**({"enabled": True, "time_budget_s": 20} | priors)),
    )
    intake = Intake(database, settings.studies)
    scp = StorageScp(settings.listener, store, intake, prior_ae_title=PRIORS)
    scp.start()
    incoming = incoming_of(settings, store, intake, lambda event: None, prior=True)
    fetcher = PriorFetcher(database, store, settings, incoming)
    try:
        yield Site(
            database=database, store=store, settings=settings, port=port, fetcher=fetcher, incoming=incoming
        )
    finally:
        fetcher.stop()
        scp.stop(2)


@dataclass(kw_only=True)
class FakeArchive:
    """An archive that behaves as configured: what it lists in answers and what it sends on retrieval."""

    answers: Sequence[Dataset] = ()
    sends: Sequence[Dataset] = ()
    to: int = 0
    find_status: int = 0x0000
    knows_us: bool = True
    before_find: Callable[[], None] = lambda: None
    before_move: Callable[[], None] = lambda: None
    moves: list[str] = field(default_factory=list)

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Answer a C-FIND: studies as configured, series and instances from the objects."""
        self.before_find()
        if self.find_status:
            yield self.find_status, None
            return
        query = event.identifier
        for one in self.answers:
            answer = Dataset()
            answer.QueryRetrieveLevel = query.QueryRetrieveLevel
            for element in query:
                if element.keyword not in ("QueryRetrieveLevel", "SpecificCharacterSet"):
                    setattr(answer, element.keyword, one.get(element.keyword))
            if query.QueryRetrieveLevel == "STUDY":
                answer.ModalitiesInStudy = one.Modality
            elif one.StudyInstanceUID != query.StudyInstanceUID:
                continue
            yield 0xFF00, answer

    def move(self, event: evt.Event) -> Iterator[Any]:
        """Answer a C-MOVE."""
        self.moves.append(event.move_destination or "")
        self.before_move()
        if not self.knows_us:
            yield None, None  # answered 0xA801, move destination unknown
            return
        yield "127.0.0.1", self.to
        yield len(self.sends)
        for dataset in self.sends:
            yield 0xFF00, dataset

    @contextmanager
    def running(self, *, offers: bool = True) -> Iterator[ArchiveSettings]:
        """Listen, with or without query and retrieval."""
        entity = AE("FAKE")
        entity.add_supported_context(Verification)
        if offers:
            entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
            entity.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
        for uid in {one.SOPClassUID for one in self.sends}:
            entity.add_requested_context(uid, ExplicitVRLittleEndian)
        handlers: list[Any] = [(evt.EVT_C_FIND, self.find), (evt.EVT_C_MOVE, self.move)]
        port = free_ports(1)[0]
        server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        assert server is not None
        try:
            yield ArchiveSettings(host="127.0.0.1", port=port, ae_title="FAKE", timeout_s=20)
        finally:
            server.shutdown()
