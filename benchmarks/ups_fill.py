"""Fills a database with workitems: drafts in all states and priorities, as at a busy site."""

from __future__ import annotations

import json
from collections.abc import Set
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

from sqlalchemy import insert

from agent.database.session import Database
from agent.database.workitems import Workitem, WorkitemValue
from agent.ris.ups.index import Entry, comparable, entries_of, rows_of
from agent.ris.ups.records import as_json, dicom_time
from agent.ris.ups.terms import PUSH, Readiness, StepState
from agent.ris.ups.wording import Reference, Station, WorkitemSubject, draft_workitem, performed

_BATCH = 1000
# A placeholder for a number: valid in a UID, and occurring nowhere else in a workitem.
_NUMBER = "31415926535"
# Placeholders for its start and end times.
_STARTS, _ENDS = "19990101000000.000000+0000", "19990102000000.000000+0000"
_IMAGE_CLASS, _REPORT_CLASS = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.88.33"
# Most are final: they are kept for at least a day.
_STATES = ((StepState.COMPLETED, 0.80), (StepState.CANCELED, 0.05), (StepState.IN_PROGRESS, 0.01))
NAMES = ("Meyer", "Özdemir", "Nguyễn", "O'Brien", "García", "Kowalska", "Ivanova", "Sato", "Okafor", "Lind")


def fill(database: Database, count: int) -> None:
    """Add workitems, number 0 the oldest; patient `P<n>` has accession number `A<n>`, one name in each."""
    chance, now = Random(1), datetime.now(UTC)
    for start in range(0, count, _BATCH):
        made = [
            _rows(number, chance, now - timedelta(seconds=count - number))
            for number in range(start, min(start + _BATCH, count))
        ]
        with database.transaction() as session:
            session.execute(insert(Workitem), [row for row, _ in made])
            session.execute(insert(WorkitemValue), [value for _, values in made for value in values])


def _rows(number: int, chance: Random, at: datetime) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A workitem's row, and those of its values."""
    state = StepState.SCHEDULED
    drawn = chance.random()
    for one, share in _STATES:
        if drawn < share:
            state = one
            break
        drawn -= share
    priority = chance.choice((0, 50, 50, 50, 50, 50, 50, 100))
    written, entries = _template(state, priority, NAMES[number % len(NAMES)])
    times = {_STARTS: dicom_time(at), _ENDS: dicom_time(at + timedelta(seconds=40))}
    for stands, moment in times.items():
        written = written.replace(stands, moment)
    study = f"2.25.77.{number}"
    row = {
        "id": number + 1,
        "uid": f"{study}.9",
        "state": state.value,
        "transaction_uid": None if state is StepState.SCHEDULED else f"{study}.8",
        "touched_at": at,
        "created_at": at,
        "final_at": at if state.final else None,
        "content": json.loads(written.replace(_NUMBER, str(number))),
        "urgency": priority,
    }
    compared = {comparable("DT", stands): comparable("DT", moment) for stands, moment in times.items()}
    values = {(path, compared.get(value) or value.replace(_NUMBER, str(number))) for path, value in entries}
    return row, rows_of(number + 1, values)


@cache
def _template(state: StepState, priority: int, name: str) -> tuple[str, Set[Entry]]:
    """A workitem as JSON, and its values, with `_NUMBER` in place of its number."""
    study, station = f"2.25.77.{_NUMBER}", Station(ae_title="ECHO_AGENT", name="ECHO Agent")
    image = Reference(
        sop_class_uid=_IMAGE_CLASS, sop_instance_uid=f"{study}.1.1", series_instance_uid=f"{study}.1"
    )
    subject = WorkitemSubject(
        study_instance_uid=study,
        patient_name=f"{name}{_NUMBER}^Anna",
        patient_id=f"P{_NUMBER}",
        issuer_of_patient_id="HOSPITAL",
        patient_birth_date="19700101",
        patient_sex="F",
        accession_number=f"A{_NUMBER}",
        images=[image],
    )
    starts, ends = datetime(1999, 1, 1, tzinfo=UTC), datetime(1999, 1, 2, tzinfo=UTC)
    content = draft_workitem(subject, station, priority=priority, starts=starts, readiness=Readiness.READY)
    if state is StepState.COMPLETED:
        outputs = [
            Reference(
                sop_class_uid=_REPORT_CLASS,
                sop_instance_uid=f"{study}.{series}.1",
                series_instance_uid=f"{study}.{series}",
                study_instance_uid=study,
                retrieve_ae_title="ARCHIVE",
            )
            for series in (5, 6)
        ]
        done = performed(content, station, began=starts, ended=ends, outputs=outputs)
        content.UnifiedProcedureStepPerformedProcedureSequence = [done]
    content.SOPClassUID, content.SOPInstanceUID, content.ProcedureStepState = PUSH, f"{study}.9", state.value
    written = as_json(content)
    text = json.dumps(written).replace(dicom_time(starts), _STARTS).replace(dicom_time(ends), _ENDS)
    return text, entries_of(written)
