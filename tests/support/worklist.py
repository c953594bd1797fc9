"""Studies with drafts for the tests of the worklist, made in the same way as by the listener and the
worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.states import JobState
from agent.database.tables import Instance, Job, Study
from agent.foundation.settings.tree import Settings
from agent.objects.films.choosing.view import view_of
from agent.objects.header import read_stored
from agent.objects.pixels import StudyImage, load_header, load_image
from agent.objects.store import InstanceStore
from agent.queue.states import move
from agent.receive.intake import Intake
from agent.reports import publish as outbox
from agent.reports.compose import draft_record
from agent.reports.material import Material
from dicom_sr.document import Algorithm
from model.drafts.draft import DraftFlag, DraftSentence, DraftText
from model.findings.extract import extract_findings
from tests.support.films import chest_film, file_bytes

ALGORITHM = Algorithm(
    name="test", version="1", manufacturer="ECHO Agent", weights_sha256="0" * 64, demonstration=True
)
FINDINGS = ("There is a large left pneumothorax.", "No pleural effusion.")
IMPRESSION = ("Left pneumothorax.",)


def _image(path: Path) -> StudyImage:
    return load_image(path, view_of(load_header(path)))


def film(uid: str, **attributes: object) -> Dataset:
    """A small chest film of 12 bits; the study's UID makes those of series and image."""
    values: dict[str, object] = {
        "StudyInstanceUID": uid,
        "SeriesInstanceUID": f"{uid}.1",
        "SOPInstanceUID": f"{uid}.1.1",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "Rows": 32,
        "Columns": 32,
        "PixelData": (np.arange(1024, dtype=np.uint16) * 4).tobytes(),
    }
    return chest_film(**(values | attributes))


def receive_film(
    database: Database, store: InstanceStore, settings: Settings, uid: str, **attributes: object
) -> int:
    """Receive one film; return its study's row."""
    file = store.put([file_bytes(film(uid, **attributes))])
    Intake(database, settings.studies).receive(read_stored(store.open(file.sha256)), file, "MODALITY")
    with database.reading() as session:
        return session.scalars(select(Study.id).where(Study.study_instance_uid == uid)).one()


def write_draft(
    database: Database,
    store: InstanceStore,
    settings: Settings,
    study_id: int,
    *,
    findings: Sequence[str] = FINDINGS,
    impression: Sequence[str] = IMPRESSION,
) -> None:
    """Write the draft of a study's newest job; its impression is doubtful."""
    text = f"Findings: {' '.join(findings)} Impression: {' '.join(impression)}"
    answer = DraftText(
        findings_sentences=tuple(DraftSentence(text=one, confidence=0.9, doubtful=False) for one in findings),
        impression_sentences=tuple(
            DraftSentence(text=one, confidence=0.4, doubtful=True) for one in impression
        ),
        text=text,
        findings=extract_findings(text),
        flags=(DraftFlag(code="low_confidence", text="Parts of the draft are doubtful."),),
        tokens=8,
        forwards=1,
        blocks=1,
        seconds=0.1,
    )
    with database.transaction() as session:
        digests = session.scalars(select(Instance.sha256).where(Instance.study_id == study_id)).all()
        job = session.scalars(
            select(Job).where(Job.study_id == study_id, Job.kind == "draft").order_by(Job.id.desc()).limit(1)
        ).one()
        study = session.get_one(Study, study_id)
        now = database_now(session)
        images = tuple(_image(store.open(one)) for one in digests)
        before = outbox.before_draft(session, study_id, study.study_instance_uid, settings.destinations)
        record = draft_record(
            answer,
            Material(images=images, indication="", flags=()),
            ALGORITHM,
            settings.urgency,
            revision=job.revision,
            created=now,
            predecessors=before.pairs,
            standing=before.standing,
        )
        for state in (JobState.QUEUED, JobState.GENERATING, JobState.DRAFTED):
            move(session, job, state, now=now, admitted=state is JobState.QUEUED)
        outbox.write(session, job, record, ALGORITHM, settings, now=now)
