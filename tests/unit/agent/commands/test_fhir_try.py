"""`echo-agent fhir try` shows what would be sent, for files and for a received study; nothing is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.commands.cli import app
from agent.foundation.settings.tree import Settings
from agent.reports.preview import preview
from tests.support.films import chest_film, file_bytes
from tests.support.house import House
from tests.unit.agent.reports.test_views import draft

CONFIGURATION = """
destinations:
  - {name: emr, kind: fhir, fhir: {url: "https://fhir.example/r4", patient_system: "urn:oid:1.2.9"}}
  - {name: other, kind: fhir, fhir: {url: "https://other.example/r4", patient_system: "urn:oid:1.2.8"}}
"""


def run(tmp_path: Path, *arguments: str) -> tuple[int, Any]:
    """Run the command; return its exit status and output."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIGURATION, "utf-8")
    ended = CliRunner().invoke(app, ["fhir", "try", *arguments, "--json", "--config", str(config)])
    return ended.exit_code, json.loads(ended.stdout) if ended.stdout.strip() else None


def patient_systems(bundle: dict[str, Any]) -> set[str]:
    """The systems of the patient identifiers."""
    subjects = (entry["resource"].get("subject") for entry in bundle["entry"])
    return {one["identifier"]["system"] for one in subjects if one}


@pytest.mark.parametrize(("name", "system"), [("emr", "urn:oid:1.2.9"), ("other", "urn:oid:1.2.8")])
def test_files_are_shown_as_a_destination_would_get_them(tmp_path: Path, name: str, system: str) -> None:
    """A valid preliminary report is shown, with the settings of the named destination."""
    file = tmp_path / "film.dcm"
    file.write_bytes(file_bytes(chest_film(PatientID="P1", StudyInstanceUID="1.2.3")))
    status, shown = run(tmp_path, str(file), "--destination", name)
    assert status == 0
    (only,) = shown["bundles"]
    assert (shown["destination"], only["problems"]) == (name, [])
    (report,) = [
        one["resource"]
        for one in only["bundle"]["entry"]
        if one["resource"]["resourceType"] == "DiagnosticReport"
    ]
    assert (report["status"], patient_systems(only["bundle"])) == ("preliminary", {system})


def test_destination_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A name that is not a FHIR destination's ends with status 2."""
    assert run(tmp_path, "--destination", "pacs")[0] == 2


def test_study_that_is_here_is_shown_as_it_was_sent(house: House) -> None:
    """The preview of a received study has the content of the message that its destination was sent."""
    from sqlalchemy import select

    from agent.database.tables import Document, Study

    settings = Settings(
        destinations=[
            {
                "name": "emr",
                "kind": "fhir",
                "fhir": {"url": "http://127.0.0.1/fhir", "patient_system": "urn:oid:1"},
            }
        ]
    )
    draft(house, settings)
    with house.database.reading() as session:
        sent = session.scalars(select(Document.content).where(Document.role == "message")).one()
        uid = session.scalars(select(Study.study_instance_uid)).one()
        shown = json.loads(preview(session, uid, settings.destinations[0]))
    assert shown == json.loads(sent)
