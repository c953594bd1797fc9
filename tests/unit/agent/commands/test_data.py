"""`echo-agent data`: verified studies, or a folder of DICOM files, as a data file without identity."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

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


def prepared(tmp_path: Path, table: str, **films: dict[str, str]) -> Result:
    """Run `data dicom` on one film per keyword; the films differ in the attributes given."""
    folder = tmp_path / "films"
    folder.mkdir()
    for number, (name, stated) in enumerate(films.items()):
        film = chest_film(
            **{"StudyInstanceUID": f"1.2.{number}", "SOPInstanceUID": f"1.2.{number}.1", **stated}
        )
        (folder / f"{name}.dcm").write_bytes(file_bytes(film))
    (tmp_path / "reports.csv").write_text(table, encoding="utf-8")
    reports, output = str(tmp_path / "reports.csv"), str(tmp_path / "train.jsonl")
    return CliRunner().invoke(app, ["data", "dicom", str(folder), "--reports", reports, "--output", output])


def texts(tmp_path: Path) -> list[str]:
    """Return the findings that were written."""
    lines = (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["findings"] for line in lines]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('1.2.0,"No secret.\n1.2.1,Mass.\n', "after line 1 a quotation mark is not closed"),
        ("1.2.0,No secret, large left pneumothorax.\n", "line 2: it has more fields than the first line"),
        ("1.2.0,No secret.\nLarge pneumothorax.\n", "line 3: `study_instance_uid` is not a UID"),
        ("1.2.0,No secret.\n1.2.1\n", "line 3: it ends before its text"),
        ("1.2.0,No secret.\n1.2.0,Large mass.\n", "lines 2 and 3 have the same study_instance_uid"),
    ],
)
def test_a_table_that_would_give_a_study_anothers_text_is_refused(
    tmp_path: Path, table: str, said: str
) -> None:
    """The line is named and nothing is written; no text appears in the message."""
    done = prepared(tmp_path, f"study_instance_uid,text\n{table}", a={}, b={})
    assert done.exit_code == 2
    assert said in done.output
    assert "secret" not in done.output
    assert not (tmp_path / "train.jsonl").exists()


def test_a_table_with_two_columns_of_one_name_is_refused(tmp_path: Path) -> None:
    """Which text is the report is not for us to guess."""
    done = prepared(tmp_path, "study_instance_uid,text,text\n1.2.0,Clear.,Mass.\n", a={})
    assert done.exit_code == 2
    assert "`text` twice" in done.output


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_is_taken_as_shadow_import_takes_it(tmp_path: Path, separator: str) -> None:
    """A spreadsheet's separator, and names of columns in any case; the same line twice is one report."""
    line = f'1.2.0{separator}"No effusion; no\tmass."\n'
    done = prepared(tmp_path, f"Study_Instance_UID{separator}Text\n{line}{line}", a={})
    assert done.exit_code == 0, done.output
    assert texts(tmp_path) == ["No effusion; no mass."]


def test_an_accession_number_of_two_patients_gives_no_report(tmp_path: Path) -> None:
    """Nothing says whose report it is; a study that the table names by its UID has its own."""
    both = {"AccessionNumber": "A1"}
    done = prepared(
        tmp_path,
        "study_instance_uid,accession_number,text\n,A1,Clear.\n1.2.2,,Mass.\n",
        a=both | {"PatientID": "P1"},
        b=both | {"PatientID": "P2"},
        c=both | {"PatientID": "P3"},
    )
    assert texts(tmp_path) == ["Mass."]
    assert "left out: 2 (images of several patient IDs have the accession number" in done.output


def test_a_study_of_two_patients_or_another_one_gives_no_report(tmp_path: Path) -> None:
    """A UID that two patients' images have, and a table that names another patient than the image."""
    done = prepared(
        tmp_path,
        "study_instance_uid,patient_id,text\n1.2.0,P1,Clear.\n1.2.2,P9,Mass.\n",
        a={"PatientID": "P1"},
        b={"PatientID": "P2", "StudyInstanceUID": "1.2.0"},
        c={"PatientID": "P3"},
    )
    assert "left out: 2 (the images of the study name several patient IDs)" in done.output
    assert "left out: 1 (the table names another patient ID)" in done.output
