"""The order of messages at one destination."""

from __future__ import annotations

from datetime import timedelta

from agent.database.session import Database, database_now
from agent.database.states import DeliveryState
from agent.database.tables import Delivery, Document, Draft, Job, Study
from agent.foundation.document_roles import DocumentRole
from agent.queue import deliveries
from agent.queue.order import was_overtaken
from tests.unit.agent.rows import add_job, add_study


def _message(database: Database, study_id: int, number: int, *, destination: str = "ris") -> int:
    """Add a draft of a study with one message; return the delivery's id."""
    with database.transaction() as session:
        now = database_now(session)
        job = session.get_one(Job, study_id)
        draft = Draft(
            study_id=study_id,
            job_id=job.id,
            revision=number,
            model_digest=f"{number}",
            model_name="test",
            demonstration=False,
            text="",
            content={},
            created_at=now,
        )
        session.add(draft)
        session.flush()
        document = Document(
            draft_id=draft.id,
            role=DocumentRole.MESSAGE.value,
            variant=destination,
            sop_class_uid="",
            sop_instance_uid=f"2.25.{study_id}{number}",
            series_instance_uid="",
            sha256="0" * 64,
            content=b"MSH",
        )
        session.add(document)
        session.flush()
        # Later messages are more urgent, as a verdict or a withdrawal may be.
        delivery = deliveries.add(
            session, document, job, destination, now=now, give_up_after_s=60, priority=50 - number
        )
        session.flush()
        return delivery.id


def _studies(database: Database, count: int) -> list[int]:
    with database.transaction() as session:
        now = database_now(session)
        made = [add_study(session, f"1.2.{number}", at=now) for number in range(count)]
        for study in made:
            add_job(session, study, "DRAFTED", at=now)
        return [study.id for study in made]


def _claimed(database: Database) -> list[int]:
    claims = deliveries.claim(database, "test", "ris", 60, 16, in_order=True)
    return [one.delivery_id for one in claims]


def test_message_waits_for_the_earlier_ones_of_its_study(database: Database) -> None:
    """Only one message of a study is in flight; the next follows once that one is stored or given up."""
    first, second = _studies(database, 2)
    one, other = _message(database, first, 1), _message(database, second, 1)
    later = _message(database, first, 2)
    assert sorted(_claimed(database)) == [one, other]
    assert _claimed(database) == []
    for state, expected in ((DeliveryState.PENDING, []), (DeliveryState.STORED, [later])):
        with database.transaction() as session:
            delivery = session.get_one(Delivery, one)
            delivery.state = state.value
            delivery.run_after = database_now(session) + timedelta(seconds=60)
        assert _claimed(database) == expected


def test_message_that_was_overtaken_is_known(database: Database) -> None:
    """A stopped message that a later one has overtaken would undo it, and is not sent again."""
    (study,) = _studies(database, 1)
    one, later = _message(database, study, 1), _message(database, study, 2)
    elsewhere = _message(database, study, 3, destination="other")
    with database.reading() as session:
        found = [was_overtaken(session, session.get_one(Delivery, key)) for key in (one, later, elsewhere)]
    assert found == [True, False, False]


def test_message_order_of_one_study_holds_nobody_else_up(database: Database) -> None:
    """A study whose first message waits for its next attempt delays no other study."""
    first, second = _studies(database, 2)
    _message(database, first, 1)
    _message(database, first, 2)
    with database.transaction() as session:
        for delivery in session.query(Delivery).filter(Delivery.id == 1):
            delivery.run_after = database_now(session) + timedelta(seconds=60)
        assert session.get_one(Study, first).id == first
    other = _message(database, second, 1)
    assert _claimed(database) == [other]
