"""The demo's result, read from the agent's database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from agent.commands.demo.outcome import DemoResult, StudyResult, as_object, read_model, read_outcomes
from agent.commands.demo.sending import Sent
from agent.database.session import Database
from agent.database.states import JobState
from model.findings.types import Finding, Presence
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of

CONTENT = {
    "findings": [
        {"concept": "mass", "presence": "present"},
        {"concept": "pneumothorax", "presence": "absent"},
    ],
    "flags": [{"code": "missing_lateral", "text": "No lateral view."}],
    "statistics": {"tokens": 90, "forwards": 12, "blocks": 12},
}
TRUTH = (
    Finding(concept="mass", presence=Presence.PRESENT),
    Finding(concept="nodule", presence=Presence.ABSENT),
)


def result_of(database: Database, output: Path) -> DemoResult:
    """One delivered study and one that a rule skipped."""
    at = now_of(database) - timedelta(minutes=1)
    with database.transaction() as session:
        job = add_job(session, add_study(session, "1.1", at=at), "DELIVERED", at=at + timedelta(seconds=3))
        add_draft(session, job, at=at + timedelta(seconds=2), stored_after_s=3, content=CONTENT)
        add_job(session, add_study(session, "1.2", at=at), "SKIPPED", at=at, code="other-body-part")
    outcomes = read_outcomes(database, ["1.1", "1.2", "1.3"])
    return DemoResult(
        results=[
            StudyResult(outcome=outcomes["1.1"], truth=TRUTH, sr=[output / "report.dcm"]),
            StudyResult(outcome=outcomes["1.2"], truth=None, sr=[]),
        ],
        objects=[
            Sent(label="a", study_instance_uid="1.1", status=0, reason="0x0000"),
            Sent(label="b", study_instance_uid="", status=None, reason="not DICOM"),
        ],
        model=read_model(database, {"block_size": 8}, list(outcomes.values())),
        output=output,
    )


def test_outcome_of_a_study_that_never_came_is_left_out(database: Database) -> None:
    """Only a study that the agent has received has an outcome."""
    assert read_outcomes(database, ["1.3"]) == {}


def test_result_counts_and_times(database: Database, tmp_path: Path) -> None:
    """The object that `--json` prints: counts, seconds from the last image, and the model."""
    found = as_object(result_of(database, tmp_path))
    assert [found[key] for key in ("studies", "delivered", "skipped", "failed")] == [2, 1, 1, 0]
    assert found["seconds"]["last_image_to_stored_p50"] == 5.0
    assert found["model"] == {
        "name": "test model",
        "revision": "d" * 64,
        "demonstration": True,
        "block_size": 8,
        "forwards_per_report": 12.0,
    }
    assert found["objects"] == {
        "sent": 2,
        "accepted": 1,
        "not_accepted": [{"object": "b", "reason": "not DICOM"}],
    }


def test_result_has_draft_and_truth_of_each_study(database: Database, tmp_path: Path) -> None:
    """The findings of the draft are listed with those that the phantom was drawn from."""
    delivered, skipped = as_object(result_of(database, tmp_path))["reports"]
    assert delivered["findings"] == {"present": ["mass"], "absent": ["pneumothorax"], "indeterminate": []}
    assert delivered["truth"] == {"present": ["mass"], "absent": ["nodule"]}
    assert delivered["sr"] == [str(tmp_path / "report.dcm")]
    assert (skipped["state"], skipped["code"], skipped["truth"]) == ("SKIPPED", "other-body-part", None)


def test_study_that_has_not_ended_counts_as_failed(database: Database, tmp_path: Path) -> None:
    """The demo never counts a study as a success unless the PACS has it."""
    at = now_of(database)
    with database.transaction() as session:
        add_job(session, add_study(session, "1.4", at=at), "QUEUED", at=at)
    outcome = read_outcomes(database, ["1.4"])["1.4"]
    result = DemoResult(
        results=[StudyResult(outcome=outcome, truth=None, sr=[])], objects=[], model={}, output=tmp_path
    )
    assert (outcome.state, result.failed) == (JobState.QUEUED, 1)
