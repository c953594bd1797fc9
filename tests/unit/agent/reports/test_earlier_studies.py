"""Rules for choosing a patient's earlier studies from the stored ones."""

from __future__ import annotations

import pytest

from agent.database.session import Database
from agent.database.tables import Instance
from agent.reports.earlier_studies import earlier_here, images_of
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
    """A stored study counts if it was made before and nothing contradicts that it is of the same patient."""
    with database.transaction() as session:
        at = now_of(database)
        new, other = add_study(session, "1.2.1", at=at), add_study(session, "1.2.2", at=at)
        for row, columns in ((new, NEW | DAY), (other, NEW | values)):
            for column, value in columns.items():
                setattr(row, column, value)
        session.flush()
        assert bool(earlier_here(session, new, 5)) == found


@pytest.mark.parametrize(
    ("positions", "order"),
    [
        (("LL", "PA"), ["PA", "LL"]),
        (("RL", ""), ["", "RL"]),
        (("LATERAL", "FRONTAL"), ["FRONTAL", "LATERAL"]),
        (("LL", "", "AP"), ["AP", "", "LL"]),
        (("lateral", "p.a."), ["p.a.", "lateral"]),
        (("LLD", "LL", "PA"), ["LLD", "PA", "LL"]),
    ],
)
def test_images_are_in_the_order_of_reading(
    database: Database, positions: tuple[str, ...], order: list[str]
) -> None:
    """The first image of an earlier study, which the page shows, is a frontal one if there is one."""
    with database.transaction() as session:
        study = add_study(session, "1.2.1", at=now_of(database))
        session.flush()
        for number, position in enumerate(positions):
            session.add(
                Instance(
                    study_id=study.id,
                    sop_instance_uid=f"1.2.1.{number}",
                    sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
                    transfer_syntax_uid="1.2.840.10008.1.2.1",
                    modality="DX",
                    view_position=position,
                    sha256=f"{number:064d}",
                    size_bytes=1,
                    received_at=now_of(database),
                )
            )
        session.flush()
        assert [one.view_position for one in images_of(session, study.id)] == order
