"""Fills a database with workitems: drafts of all states and priorities, as a busy site has them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

from sqlalchemy import insert

from agent.database.session import Database
from agent.database.workitems import Workitem
from agent.ris.ups.records import as_json, search_columns
from agent.ris.ups.terms import PUSH, Readiness, StepState
from agent.ris.ups.wording import Reference, Station, WorkitemSubject, draft_workitem

_BATCH = 1000
# Stands for a number: valid in a UID, and in no other place of a workitem.
_NUMBER = "31415926535"
_IMAGE_CLASS = "1.2.840.10008.5.1.4.1.1.1.1"
# Most are final: they are kept for a day at least.
_STATES = ((StepState.COMPLETED, 0.80), (StepState.CANCELED, 0.05), (StepState.IN_PROGRESS, 0.01))
NAMES = ("Meyer", "Özdemir", "Nguyễn", "O'Brien", "García", "Kowalska", "Ivanova", "Sato", "Okafor", "Lind")


def fill(database: Database, count: int) -> None:
    """Add workitems, number 0 the oldest; patient `P<n>` has accession number `A<n>`, one name in each."""
    chance, station = Random(1), Station(ae_title="ECHO_AGENT", name="ECHO Agent")
    now = datetime.now(UTC)
    for start in range(0, count, _BATCH):
        with database.transaction() as session:
            rows = [
                _row(number, chance, station, now - timedelta(seconds=count - number))
                for number in range(start, min(start + _BATCH, count))
            ]
            session.execute(insert(Workitem), rows)


def _row(number: int, chance: Random, station: Station, at: datetime) -> dict[str, object]:
    state = StepState.SCHEDULED
    drawn = chance.random()
    for one, share in _STATES:
        if drawn < share:
            state = one
            break
        drawn -= share
    priority = chance.choice((0, 50, 50, 50, 50, 50, 50, 100))
    written, columns = _template(state, priority, NAMES[number % len(NAMES)], station)
    study = f"2.25.77.{number}"
    return {
        "uid": f"{study}.9",
        "state": state.value,
        "transaction_uid": None if state is StepState.SCHEDULED else f"{study}.8",
        "touched_at": at,
        "created_at": at,
        "final_at": at if state.final else None,
        "content": json.loads(written.replace(_NUMBER, str(number))),
        **{name: str(value).replace(_NUMBER, str(number)) for name, value in columns.items()},
        "urgency": columns["urgency"],
    }


@cache
def _template(state: StepState, priority: int, name: str, station: Station) -> tuple[str, dict[str, object]]:
    """A workitem as JSON, and its columns, with `_NUMBER` in place of its number."""
    study = f"2.25.77.{_NUMBER}"
    image = Reference(
        sop_class_uid=_IMAGE_CLASS, sop_instance_uid=f"{study}.1.1", series_instance_uid=f"{study}.1"
    )
    subject = WorkitemSubject(
        study_instance_uid=study,
        patient_name=f"{name}{_NUMBER}^Anna",
        patient_id=f"P{_NUMBER}",
        issuer_of_patient_id="",
        patient_birth_date="19700101",
        patient_sex="F",
        accession_number=f"A{_NUMBER}",
        images=[image],
    )
    starts = datetime(2026, 11, 28, 8, tzinfo=UTC)
    content = draft_workitem(subject, station, priority=priority, starts=starts, readiness=Readiness.READY)
    content.SOPClassUID, content.SOPInstanceUID, content.ProcedureStepState = PUSH, f"{study}.9", state.value
    return json.dumps(as_json(content)), search_columns(content)
