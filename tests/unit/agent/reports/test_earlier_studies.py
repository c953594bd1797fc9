"""Rules of which stored studies are a patient's earlier ones."""

from __future__ import annotations

import pytest

from agent.database.session import Database
from agent.reports.earlier_studies import earlier_here
from tests.unit.agent.rows import add_study, now_of

NEW = {"patient_id": "P1", "patient_name": "DOE^JANE", "patient_birth_date": "19600101"}
DAY = {"study_date": "20260102", "study_time": "090000"}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"study_date": "20260101"}, True),
        ({"study_date": "20260101", "patient_birth_date": ""}, True),
        ({"study_date": "20260101", "issuer_of_patient_id": "HOSPITAL"}, True),
        ({"study_date": "20260101", "patient_birth_date": "19610101"}, False),
        ({"study_date": "20260101", "patient_id": "P2"}, False),
        ({"study_date": "20260101", "conflict": "patient-conflict"}, False),
        ({"study_date": "20260102", "study_time": "08"}, True),
        ({"study_date": "20260102", "study_time": "0900"}, False),
        ({"study_date": "20260103"}, False),
        ({"study_date": ""}, False),
    ],
)
def test_earlier_study_is_of_the_same_patient_and_made_before(
    database: Database, values: dict[str, str], found: bool
) -> None:
    """A stored study counts if nothing contradicts that its patient is the same, and it was made before."""
    with database.transaction() as session:
        at = now_of(database)
        new, other = add_study(session, "1.2.1", at=at), add_study(session, "1.2.2", at=at)
        for row, columns in ((new, NEW | DAY), (other, NEW | values)):
            for column, value in columns.items():
                setattr(row, column, value)
        session.flush()
        assert bool(earlier_here(session, new, 5)) == found
