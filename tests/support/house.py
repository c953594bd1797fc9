"""A database with received studies, and a network that is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Job, Study
from agent.foundation.settings.tree import DestinationSettings
from agent.objects.header import read_stored
from agent.objects.store import InstanceStore
from agent.queue.states import JobState, move
from agent.receive.intake import Intake
from model.errors import ModelError
from model.findings.types import Finding, Laterality, Presence
from tests.support.films import chest_film, file_bytes

LOOPBACK = DestinationSettings(name="pacs", host="127.0.0.1", port=4242, ae_title="PACS")


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeSentence:
    """A sentence."""

    text: str
    confidence: float = 0.9
    doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeFlag:
    """A flag."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeDraft:
    """A draft."""

    findings_sentences: tuple[FakeSentence, ...]
    impression_sentences: tuple[FakeSentence, ...]
    text: str
    findings: tuple[Finding, ...]
    flags: tuple[FakeFlag, ...] = ()
    tokens: int = 16
    forwards: int = 2
    blocks: int = 2
    seconds: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeIdentity:
    """A network's identity."""

    name: str = "fake"
    version: str = "1"
    weights_sha256: str = "0" * 64
    demonstration: bool = False
    block_size: int = 8
    stage: str = "echo"


def draft(mean: float) -> FakeDraft:
    """A draft that depends on the pixels."""
    side = Laterality.LEFT if mean > 127 else Laterality.RIGHT
    sentence = f"There is a {side} pneumothorax."
    return FakeDraft(
        findings_sentences=(FakeSentence(text=sentence),),
        impression_sentences=(FakeSentence(text="Pneumothorax."),),
        text=f"Findings: {sentence} Impression: Pneumothorax.",
        findings=(
            Finding(concept="pneumothorax", presence=Presence.PRESENT, laterality=side, evidence=sentence),
        ),
    )


@dataclass(kw_only=True)
class FakeReporter:
    """Answers one study after the other, and does what `before` says first.

    An error of the model that `before` raises is the study's; any other breaks the stream, as a device does.
    choose: which of the studies in hand is done next.
    """

    identity: FakeIdentity = field(default_factory=FakeIdentity)
    before: Callable[[Any], None] = lambda study: None
    choose: Callable[[Sequence[Any]], int] = lambda hand: 0
    slots: int = 4
    asked: list[Any] = field(default_factory=list)

    def draft_stream(self, source: Any, *, ahead: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Draft what the source has."""
        hand: list[Any] = []
        more = True
        while more or hand:
            if more:
                taken = source.take(self.slots + (ahead or 0) - len(hand), idle=not hand)
                more = taken is not None
                hand.extend(taken or ())
            if not hand:
                continue
            study = hand.pop(self.choose(hand))
            try:
                self.before(study)
            except ModelError as error:
                yield study.key, error
                continue
            self.asked.append(study)
            yield study.key, draft(float(study.images[0].pixels.mean()))


def image(study: int, number: int = 1, **attributes: object) -> Dataset:
    """A chest film that is number `number` of a study of a patient of its own."""
    values: dict[str, object] = {
        "SOPInstanceUID": f"1.2.3.{study}.1.{number}",
        "StudyInstanceUID": f"1.2.3.{study}",
        "SeriesInstanceUID": f"1.2.3.{study}.{number}",
        "PatientID": f"P{study}",
        "PatientName": "CANARY^PATIENT",
        "AccessionNumber": f"A{study}",
    }
    return chest_film(**(values | attributes))


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What a worker works on."""

    database: Database
    store: InstanceStore
    intake: Intake

    def receive(self, dataset: Dataset) -> int:
        """Receive one image; return the id of the job that it belongs to."""
        file = self.store.put([file_bytes(dataset)])
        self.intake.receive(read_stored(self.store.open(file.sha256)), file, "MODALITY")
        with self.database.reading() as session:
            return int(
                session.scalars(
                    select(Job.id)
                    .join(Study, Study.id == Job.study_id)
                    .where(Study.study_instance_uid == dataset.StudyInstanceUID)
                    .order_by(Job.id.desc())
                    .limit(1)
                ).one()
            )

    def to(self, job_id: int, state: JobState, *, code: str | None = None) -> None:
        """Bring a job into a state."""
        with self.database.transaction() as session:
            job = session.get_one(Job, job_id)
            move(session, job, state, now=database_now(session), code=code)

    def queued(self, *datasets: Dataset) -> int:
        """Receive a study's images and queue its job."""
        job_id = [self.receive(dataset) for dataset in datasets][-1]
        self.to(job_id, JobState.QUEUED)
        return job_id

    def job(self, job_id: int) -> Job:
        """A job as it is now."""
        with self.database.relaxed() as session:
            return session.get_one(Job, job_id)
