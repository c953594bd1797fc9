"""The gate on both kinds of database: its locks do not block each other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from agent.database.session import Database, database_now
from agent.database.tables import Study
from agent.foundation.errors import PatientConflict
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.queue import operator
from agent.receive.complete_study import complete_due_studies
from agent.receive.intake import Intake
from tests.support.house import House, image
from tests.support.operator_context import operator_context_of

pytestmark = pytest.mark.integration


def test_gate_opens_with_the_correction_alone(both_databases: Database, tmp_path: Path) -> None:
    """A retry of a study with two patients is refused; the corrected image queues it."""
    store = InstanceStore(tmp_path / "instances", 0)
    house = House(database=both_databases, store=store, intake=Intake(both_databases, Settings().studies))

    def complete() -> None:
        with both_databases.reading() as session:
            later = database_now(session) + timedelta(hours=1)
        complete_due_studies(both_databases, Settings(), store, later)

    house.receive(image(1, 1, PatientID="PA"))
    job_id = house.receive(image(1, 2, PatientID="PB"))
    complete()
    with pytest.raises(PatientConflict):
        operator.retry(operator_context_of(both_databases, store), job_id, actor="me")
    newest = house.receive(image(1, 1, PatientID="PB"))
    complete()
    with both_databases.reading() as session:
        patient = session.scalars(select(Study.patient_id)).one()
    assert (house.job(job_id).state, house.job(newest).state, patient) == ("FAILED", "QUEUED", "PB")
