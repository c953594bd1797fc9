"""`echo-agent data verified`: studies that radiologists have verified, as a data file without identity."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from agent.commands.data_files import SkippedFiles, verified_studies
from agent.database.session import Database
from agent.database.tables import Draft, Instance, Job, Study
from agent.objects.store import InstanceStore
from model.train.sources.study import write_lines
from tests.support.films import chest_film, file_bytes

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
    """Only what was verified, with the text that was signed; neither UID nor name is written."""
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
