"""A database with received studies, and a fake network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Job, Study
from agent.foundation.settings.tree import DestinationSettings
from agent.objects.header import read_stored
from agent.objects.store import InstanceStore
from agent.queue.states import move
from agent.receive.intake import Intake
from model.drafts.draft import DraftFlag, DraftSentence, DraftText, FlagCode, ModelIdentity
from model.errors import ModelError
from model.findings.types import Finding, Laterality, Presence
from tests.support.films import chest_film, file_bytes

LOOPBACK = DestinationSettings(name="pacs", host="127.0.0.1", port=4242, ae_title="PACS")


# Every draft of the fake network has a flag, as a real network's may.
UNSURE = DraftFlag(code=FlagCode.LOW_CONFIDENCE, text="The model was unsure of “Pneumothorax.”.")


def identity(*, demonstration: bool = False) -> ModelIdentity:
    """A network's identity."""
    return ModelIdentity(
        name="fake",
        version="1",
        weights_sha256="0" * 64,
        demonstration=demonstration,
        licence="none",
        block_size=8,
        stage="echo",
    )


def draft(mean: float) -> DraftText:
    """A draft that depends on the pixels."""
    side = Laterality.LEFT if mean > 127 else Laterality.RIGHT
    sentence = f"There is a {side} pneumothorax."
    return DraftText(
        findings_sentences=(DraftSentence(text=sentence, confidence=0.9),),
        impression_sentences=(DraftSentence(text="Pneumothorax.", confidence=0.4, doubtful=True),),
        text=f"Findings: {sentence} Impression: Pneumothorax.",
        findings=(
            Finding(concept="pneumothorax", presence=Presence.PRESENT, laterality=side, evidence=sentence),
        ),
        flags=(UNSURE,),
        tokens=16,
        forwards=2,
        blocks=2,
        seconds=0.01,
    )


@dataclass(kw_only=True)
class FakeReporter:
    """Answers one study after the other, calling `before` first.

    A model error raised by `before` belongs to the study; any other error breaks the stream, as a broken
    device would. choose: which of the available studies is next. least: how many must be available before it
    chooses, unless no more will come; otherwise slow decoding would leave no choice.
    """

    identity: ModelIdentity = field(default_factory=identity)
    before: Callable[[Any], None] = lambda study: None
    choose: Callable[[Sequence[Any]], int] = lambda hand: 0
    slots: int = 4
    least: int = 1
    asked: list[Any] = field(default_factory=list)

    def draft_stream(self, source: Any, *, ahead: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Draft what the source has."""
        hand: list[Any] = []
        more = True
        while more or hand:
            if more:
                wait = len(hand) < self.least
                taken = source.take(self.slots + (ahead or 0) - len(hand), idle=wait)
                more = taken is not None
                hand.extend(taken or ())
            if not hand or (more and len(hand) < self.least):
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
    """A chest film: number `number` of a study whose patient has no other study."""
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
    """What a worker needs."""

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
            admitted = state is JobState.QUEUED
            move(session, job, state, now=database_now(session), code=code, admitted=admitted)

    def queued(self, *datasets: Dataset) -> int:
        """Receive a study's images and queue its job."""
        job_id = [self.receive(dataset) for dataset in datasets][-1]
        self.to(job_id, JobState.QUEUED)
        return job_id

    def job(self, job_id: int) -> Job:
        """A job as it is now."""
        with self.database.relaxed() as session:
            return session.get_one(Job, job_id)
