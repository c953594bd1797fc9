"""Actions are recorded in the transaction that does them, and the record contains no name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

from agent.database.session import Database
from agent.database.states import JobState
from agent.database.tables import AuditEvent, Study
from agent.foundation.failure import Failure, RetryPolicy
from agent.foundation.settings.tree import Settings, StudySettings
from agent.objects.header import read_stored
from agent.objects.store import InstanceStore, part10_head
from agent.operations.audit.process import audited
from agent.queue import deliveries, jobs
from agent.receive.intake import Intake
from tests.unit.agent.rows import add_draft, add_job, add_study, now_of

CR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.1.2.1"


def told(database: Database) -> list[tuple[str, str, bool, int | None]]:
    """Action, actor, success and study of every event."""
    with database.reading() as session:
        found = session.scalars(select(AuditEvent).order_by(AuditEvent.id))
        return [(one.action, one.actor, one.succeeded, one.study_id) for one in found]


def details(database: Database) -> list[dict[str, object]]:
    """The details of every event."""
    with database.reading() as session:
        return list(session.scalars(select(AuditEvent.details).order_by(AuditEvent.id)))


def test_received_image_is_on_record_once(
    database: Database, tmp_path: Path, chest_bytes: Callable[..., bytes]
) -> None:
    """The event has the sender, its address, the study and the class; a repeat is not recorded again."""
    store = InstanceStore(tmp_path / "instances", 0)
    intake = Intake(database, StudySettings())
    file = store.put((part10_head(CR, "1.2.3.1.1", EXPLICIT), chest_bytes()))
    for _ in range(2):
        intake.receive(read_stored(store.open(file.sha256)), file, "CR1", address="192.0.2.7")
    assert told(database) == [("instances-received", "CR1", True, 1)]
    assert details(database) == [{"sop_classes": [CR]}]
    with database.reading() as session:
        assert session.scalars(select(AuditEvent.address)).all() == ["192.0.2.7"]
        assert session.scalars(select(Study.patient_name)).one() not in repr(details(database))


@pytest.mark.parametrize(
    ("to", "action", "succeeded"),
    [(JobState.DRAFTED, "draft", True), (JobState.FAILED, "no-draft", False), (JobState.QUEUED, None, None)],
)
def test_end_of_drafting_is_on_record(
    database: Database, to: JobState, action: str | None, succeeded: bool | None
) -> None:
    """A draft is recorded, or why there is none; another attempt is not."""
    at = now_of(database)
    with database.transaction() as session:
        add_job(session, add_study(session, "1.2.3", at=at), "QUEUED", at=at)
    (claim,) = jobs.claim(database, "worker@a:1", 60, 1)
    with database.transaction() as session:
        jobs.finish(session, claim, to, now=at, code="image-unreadable", actor="worker@a:1")
    assert told(database) == ([] if action is None else [(action, "worker@a:1", succeeded, 1)])


@pytest.mark.parametrize("taken", [True, False])
def test_document_on_its_way_is_on_record(database: Database, taken: bool) -> None:
    """The start of a study's transfer and the end of each document's transfer are recorded."""
    at = now_of(database)
    with database.transaction() as session:
        job = add_job(session, add_study(session, "1.2.3", at=at), "DRAFTED", at=at)
        add_draft(session, job, at=at, stored_after_s=None)
    (claim,) = deliveries.claim(database, "deliverer@a:1", "pacs", 60, 5)
    if taken:
        deliveries.stored(database, claim, actor="deliverer@a:1")
    else:
        refused = Failure(code="delivery-refused", reason="no", retryable=False)
        deliveries.fail(database, claim, refused, RetryPolicy(), chance=Random(1), actor="deliverer@a:1")
    end = (
        ("document-sent", "deliverer@a:1", True, 1)
        if taken
        else ("document-not-sent", "deliverer@a:1", False, 1)
    )
    assert told(database) == [("document-sending", "deliverer@a:1", True, 1), end]
    assert [one["destination"] for one in details(database)] == ["pacs", "pacs"]


def test_failed_attempt_that_is_tried_again_is_not_on_record(database: Database) -> None:
    """A PACS that is down for a day does not fill the audit log."""
    at = now_of(database)
    with database.transaction() as session:
        job = add_job(session, add_study(session, "1.2.3", at=at), "DRAFTED", at=at)
        add_draft(session, job, at=at, stored_after_s=None)
    (claim,) = deliveries.claim(database, "deliverer@a:1", "pacs", 60, 5)
    down = Failure(code="delivery-failed", reason="down", retryable=True)
    deliveries.fail(database, claim, down, RetryPolicy(), chance=Random(1), actor="deliverer@a:1")
    assert [action for action, *_ in told(database)] == ["document-sending"]


@pytest.mark.parametrize("again", [True, False])
def test_life_of_a_process_is_on_record(database: Database, again: bool) -> None:
    """The start with the configuration's digest, the stop and a restart with another one are recorded."""
    with audited(database, Settings(), "worker", "worker@a:1", lambda: again):
        pass
    with audited(database, Settings(web={"port": 1}), "worker", "worker@a:1", lambda: False):
        pass
    actions = [action for action, *_ in told(database)]
    assert actions == ["start", *(["configuration"] if again else []), "stop", "start", "stop"]
    first, second = [one for one in details(database) if "settings" in one]
    assert first["settings"] != second["settings"]
    assert first["role"] == "worker"
