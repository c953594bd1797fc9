"""`echo-agent data`: verified studies, or a folder of DICOM files, as a data file without identity."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from agent.commands.cli import app
from agent.commands.data_files import SkippedFiles, verified_studies
from agent.database.session import Database
from agent.database.tables import Draft, Instance, Job, Study
from agent.objects.store import InstanceStore
from model.train.sources.study import write_lines
from tests.support.films import chest_film, chest_pixels, file_bytes

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _study(database: Database, store: InstanceStore, uid: str, outcome: str) -> None:
    content = file_bytes(chest_film(StudyInstanceUID=uid, SOPInstanceUID=f"{uid}.1"))
    stored = store.put([content])
    with database.transaction() as session:
        study = Study(
            study_instance_uid=uid,
            patient_id="P1",
            patient_name="DOE^JANE",
            first_received_at=NOW,
            last_received_at=NOW,
        )
        session.add(study)
        session.flush()
        job = Job(
            study_id=study.id,
            revision=1,
            state="DELIVERED",
            idempotency_key=uid,
            run_after=NOW,
            created_at=NOW,
            updated_at=NOW,
        )
        session.add(job)
        session.flush()
        session.add(
            Instance(
                study_id=study.id,
                sop_instance_uid=f"{uid}.1",
                sop_class_uid="1",
                transfer_syntax_uid="1",
                sha256=stored.sha256,
                size_bytes=len(content),
                received_at=NOW,
            )
        )
        session.add(
            Draft(
                study_id=study.id,
                job_id=job.id,
                revision=1,
                model_digest="d",
                model_name="m",
                demonstration=False,
                outcome=outcome,
                text="Findings: No mass. Impression: Normal.",
                content={},
                created_at=NOW,
            )
        )


def test_verified_studies_become_lines_without_identity(database: Database, tmp_path: Path) -> None:
    """Only verified studies are written, with the signed text, and neither UID nor name."""
    store = InstanceStore(tmp_path / "store", 1)
    _study(database, store, "1.2.3", "verified")
    _study(database, store, "1.2.4", "drafted")
    output, skipped = tmp_path / "out.jsonl", SkippedFiles(files=Counter())

    written = write_lines(verified_studies(database, store, tmp_path / "images", skipped), output)

    text = output.read_text()
    line = json.loads(text)
    assert written.studies == 1
    assert (line["findings"], line["impression"], line["views"]) == ("No mass.", "Normal.", ["frontal"])
    assert not any(secret in text for secret in ("1.2.3", "DOE", "P1"))
    assert (tmp_path / line["images"][0]).is_file()


def test_a_folder_of_dicom_becomes_lines_and_says_what_it_left_out(
    tmp_path: Path,
) -> None:
    """Dense is bright in either photometric interpretation; each reason is shown with its number of files."""
    folder = tmp_path / "Röntgen"
    folder.mkdir()
    upright = chest_pixels()
    films = {
        "a": {"StudyInstanceUID": "1.2.1", "AccessionNumber": "A1"},
        "b": {
            "StudyInstanceUID": "1.2.2",
            "AccessionNumber": "A2",
            "PhotometricInterpretation": "MONOCHROME1",
            "PixelData": (255 - upright).tobytes(),
        },
        "c": {"StudyInstanceUID": "1.2.3", "NumberOfFrames": 2, "PixelData": upright.tobytes() * 2},
        "d": {"StudyInstanceUID": "1.2.4", "AccessionNumber": "A4"},
    }
    for number, (name, attributes) in enumerate(films.items()):
        film = chest_film(SOPInstanceUID=f"1.2.{number}.1", **attributes)
        (folder / f"{name}.dcm").write_bytes(file_bytes(film))
    (folder / "notes.txt").write_text("no image")
    table = tmp_path / "reports.csv"
    table.write_bytes(
        "\ufeffaccession_number,text\r\n"
        'A1,"FINDINGS: No mass.\r\nIMPRESSION: Normal."\r\nA2,Unauffälliger Thorax.\r\nA3,None.\r\n'.encode()
    )
    output = tmp_path / "own" / "train.jsonl"

    with warnings.catch_warnings():
        done = CliRunner().invoke(
            app, ["data", "dicom", str(folder), "--reports", str(table), "--output", str(output)]
        )

    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [(line["findings"], line["impression"]) for line in lines] == [
        ("No mass.", "Normal."), ("Unauffälliger Thorax.", ""),
    ]  # fmt: skip
    pixels = [np.asarray(Image.open(output.parent / line["images"][0])) for line in lines]
    assert np.array_equal(*pixels)
    assert done.output.splitlines()[1:] == [
        "  left out: 1 (no report)",
        "  left out: 1 (the file cannot be parsed as DICOM: the file has no DICM prefix)",
        "  left out: 1 (the object has several frames; only single images are drafted)",
    ]
