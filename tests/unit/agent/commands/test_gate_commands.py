"""No command bypasses the patient check: one Study UID, PA/Alpha and PB/Beta, two frontals."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, update

from agent.database.session import Database
from agent.database.tables import AuditEvent, Draft, Job, Study
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.receive.intake import Intake
from tests.support.house import House, image
from tests.unit.agent.commands.conftest import Run

UID = "1.2.3.1"


@pytest.fixture
def mixed(database: Database, tmp_path: Path) -> House:
    """A study with images of two patients, whose job is FAILED."""
    store = InstanceStore(tmp_path / "instances", 0)
    house = House(database=database, store=store, intake=Intake(database, Settings().studies))
    house.receive(image(1, 1, PatientID="PA", PatientName="Alpha^A"))
    house.receive(image(1, 2, PatientID="PB", PatientName="Beta^B"))
    with database.transaction() as session:
        session.execute(update(Job).values(state="FAILED", code="patient-conflict"))
    return house


@pytest.mark.parametrize(
    "command", [("dead", "retry", "--all"), ("dead", "retry", "1"), ("queue", "retry", "1")]
)
def test_retry_leaves_a_patient_conflict_where_it_is(
    run: Run, mixed: House, command: tuple[str, ...]
) -> None:
    """The command says why and ends with an error; nothing is queued or drafted."""
    result = run(*command)
    assert result.exit_code != 0
    assert "[patient-conflict]" in result.stdout + result.stderr
    assert mixed.job(1).state == "FAILED"
    with mixed.database.reading() as session:
        assert session.scalars(select(Draft.id)).all() == []


def test_resolve_takes_a_reason_and_records_who_gave_it(run: Run, mixed: House) -> None:
    """Without a reason nothing happens; with one the job is queued, and the audit has reason and user."""
    assert run("study", "resolve", UID, "--patient-of", "1.2.3.1.1.2").exit_code == 2
    result = run("study", "resolve", UID, "--patient-of", "1.2.3.1.1.2", "--reason", "worklist mix-up")
    assert (result.exit_code, result.stdout) == (0, "the study is QUEUED\n")
    with mixed.database.reading() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "conflict-resolved")).one()
    assert (event.details["reason"], event.actor.startswith("cli:")) == ("worklist mix-up", True)


def test_resolve_by_the_newest_picture_ends_an_instance_conflict(run: Run, mixed: House) -> None:
    """Exactly one of the two decisions must be given."""
    with mixed.database.transaction() as session:
        session.execute(update(Study).values(conflict="instance-conflict"))
    for wrong in ((), ("--newest", "--patient-of", "1.2.3.1.1.2")):
        assert run("study", "resolve", UID, "--reason", "resent", *wrong).exit_code == 2
    result = run("study", "resolve", UID, "--newest", "--reason", "resent")
    assert (result.exit_code, "has ended" in result.stdout) == (0, True)
    with mixed.database.reading() as session:
        assert session.scalars(select(Study.conflict)).one() is None


def test_resolve_of_a_study_without_conflict_is_refused(run: Run, mixed: House) -> None:
    """A decision ends a conflict; without a conflict the patient cannot be chosen."""
    run("study", "resolve", UID, "--patient-of", "1.2.3.1.1.2", "--reason", "mix-up")
    again = run("study", "resolve", UID, "--patient-of", "1.2.3.1.1.1", "--reason", "other")
    assert (again.exit_code, "[invalid-transition]" in again.stderr) == (2, True)
