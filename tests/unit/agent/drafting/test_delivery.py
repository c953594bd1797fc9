"""From the outbox to a destination that answers, refuses, is down, or aborts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select, update

from agent.database.session import Database
from agent.database.tables import Delivery, Document, Job, JobEvent
from agent.delivery.deliverer import Deliverer
from agent.drafting.worker import DraftingWorker
from agent.foundation.errors import DeliveryFailed, DeliveryRefused
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.network.store_scu import ConnectionLost
from agent.operations.advice import advice_for
from agent.operations.health import judge
from agent.operations.history import job_history
from agent.operations.status import read_status
from agent.queue import deliveries, operator
from tests.support.operator_context import operator_context_of

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
OTHER = DestinationSettings(name="archive", host="127.0.0.1", port=4243, ae_title="ARCHIVE")


@dataclass(kw_only=True)
class FakePacs:
    """Keeps the documents it is sent; `answers` are exceptions to raise in turn, None for success."""

    answers: list[Exception | None] = field(default_factory=list)
    down: Exception | None = None
    kept: list[tuple[str, bytes]] = field(default_factory=list)
    tried: list[tuple[str, bytes]] = field(default_factory=list)
    connections: int = 0
    # The warning with which everything is stored.
    warning: str | None = None

    @contextmanager
    def connect(self, destination: DestinationSettings, _classes: Iterable[str]) -> Iterator[FakePacs]:
        """Open."""
        self.connections += 1
        if self.down is not None:
            raise self.down
        yield self

    def store(self, document: Any) -> str | None:
        """Keep the document, or raise the next answer."""
        self.tried.append((document.sop_instance_uid, document.content))
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.kept.append((document.sop_instance_uid, document.content))
        return self.warning


@dataclass
class Watch:
    """A clock that stands still."""

    now: float = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def drafted(
    house: Any, settings: Settings, reporter: Any, film: Callable[..., Dataset]
) -> Callable[[int], int]:
    """Draft study number n; return its job's id."""

    def draft(number: int) -> int:
        job_id = house.queued(film(number))
        DraftingWorker(
            house.database, house.store, settings, reporter, owner="w", chance=Random(1)
        ).run_once()
        return int(job_id)

    return draft


def deliverer(house: Any, settings: Settings, pacs: FakePacs, watch: Watch | None = None) -> Deliverer:
    """A deliverer to a fake PACS."""
    return Deliverer(
        house.database,
        settings,
        owner="d",
        chance=Random(1),
        connect=pacs.connect,  # type: ignore[arg-type]
        seconds=watch or Watch(),
    )


def states(database: Database) -> list[str]:
    """The deliveries' states, in order."""
    with database.reading() as session:
        return list(session.scalars(select(Delivery.state).order_by(Delivery.id)))


def make_due(database: Database) -> None:
    """End every backoff."""
    with database.transaction() as session:
        session.execute(update(Delivery).values(run_after=Delivery.created_at))


def test_delivery_stores_findings_then_report_and_ends_the_job(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """Both documents go over one association, findings first, with the bytes stored in the database."""
    job_id, pacs = drafted(1), FakePacs()
    assert deliverer(house, settings, pacs).run_once() == 2
    with house.database.reading() as session:
        documents = session.execute(select(Document.sop_instance_uid, Document.content)).all()
        steps = session.scalars(select(JobEvent.to_state).where(JobEvent.job_id == job_id)).all()
    assert pacs.kept == [tuple(one) for one in documents]
    assert pacs.connections == 1
    assert states(house.database) == ["STORED", "STORED"]
    assert list(steps)[-3:] == ["DRAFTED", "DELIVERING", "DELIVERED"]


def test_delivery_retry_sends_the_same_bytes(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """After a failure the delivery waits; the next attempt sends the same document under the same UID."""
    job_id, pacs = drafted(1), FakePacs(answers=[DeliveryFailed("0xA700"), None])
    sender = deliverer(house, settings, pacs)
    sender.run_once()
    assert states(house.database) == ["PENDING", "STORED"]
    assert house.job(job_id).state == "DELIVERING"
    make_due(house.database)
    sender.run_once()
    assert house.job(job_id).state == "DELIVERED"
    failed, other, again = pacs.tried
    assert again == failed
    assert pacs.kept == [other, again]


def test_delivery_refusal_is_dead_at_once(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """A permanent failure ends the delivery and the job."""
    job_id, pacs = drafted(1), FakePacs(answers=[DeliveryRefused("0x0122"), None])
    deliverer(house, settings, pacs).run_once()
    assert states(house.database) == ["DEAD", "STORED"]
    assert (house.job(job_id).state, house.job(job_id).code) == ("DEAD", "delivery-refused")


def test_delivery_without_any_context_is_dead_at_once(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """A PACS that accepts none of the SOP classes will not accept them later either."""
    job_id, pacs = drafted(1), FakePacs(down=DeliveryRefused("no context"))
    deliverer(house, settings, pacs).run_once()
    assert states(house.database) == ["DEAD", "DEAD"]
    assert house.job(job_id).state == "DEAD"


def test_delivery_broken_association_counts_for_the_document_in_hand_only(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """A document that was not tried has used no attempt."""
    drafted(1)
    pacs = FakePacs(answers=[ConnectionLost("aborted")])
    deliverer(house, settings, pacs).run_once()
    with house.database.reading() as session:
        found = session.execute(select(Delivery.state, Delivery.attempts).order_by(Delivery.id)).all()
    assert [tuple(one) for one in found] == [("PENDING", 1), ("PENDING", 0)]


def test_delivery_dead_pacs_is_left_alone_then_tried_with_one_document(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """The breaker opens after some failures and allows an attempt after a pause; everything is delivered."""
    ids = [drafted(number) for number in (1, 2, 3)]
    pacs, watch = FakePacs(down=ConnectionLost("down")), Watch()
    sender = deliverer(house, settings, pacs, watch)
    for _ in range(10):
        make_due(house.database)
        sender.run_once()
    assert pacs.connections == 3
    watch.now, pacs.down = 1000.0, None
    make_due(house.database)
    assert sender.run_once() == 1
    assert sender.run_once() == 5
    assert [house.job(job_id).state for job_id in ids] == ["DELIVERED"] * 3


def test_delivery_dead_pacs_does_not_hold_the_other_destination(
    house: Any, settings: Settings, reporter: Any, film: Callable[..., Dataset]
) -> None:
    """While one destination is down, the other gets its documents."""
    both = settings.model_copy(update={"destinations": (*settings.destinations, OTHER)})
    job_id = house.queued(film(1))
    DraftingWorker(house.database, house.store, both, reporter, owner="w").run_once()
    up, down = FakePacs(), FakePacs(down=ConnectionLost("down"))

    def connect(destination: DestinationSettings, classes: Iterable[str]) -> Any:
        return (up if destination.name == "archive" else down).connect(destination, classes)

    Deliverer(house.database, both, owner="d", chance=Random(1), connect=connect).run_once()
    assert states(house.database) == ["PENDING", "PENDING", "STORED", "STORED"]
    assert house.job(job_id).state == "DELIVERING"


def test_delivery_gives_up_after_its_time(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """A document that a dead PACS never accepted becomes DEAD, visibly, and can be retried."""
    job_id, pacs, watch = drafted(1), FakePacs(down=ConnectionLost("down")), Watch()
    sender = deliverer(house, settings, pacs, watch)
    sender.run_once()
    with house.database.transaction() as session:
        session.execute(update(Delivery).values(give_up_at=Delivery.created_at))
    sender.upkeep()
    assert states(house.database) == ["DEAD", "DEAD"]
    assert (house.job(job_id).state, house.job(job_id).code) == ("DEAD", "gave-up")
    operator.retry(operator_context_of(house.database, house.store, settings), job_id, actor="admin")
    pacs.down, watch.now = None, 1000.0
    for _ in range(3):
        sender.run_once()
    assert house.job(job_id).state == "DELIVERED"


def test_delivery_lost_lease_is_not_written(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """A deliverer that was too slow does not change a delivery that another has taken over."""
    drafted(1)
    pacs = FakePacs()
    original = pacs.store

    def slow(document: Any) -> str:
        with house.database.transaction() as session:
            session.execute(update(Delivery).values(lease_token="another"))
        return original(document)

    pacs.store = slow  # type: ignore[method-assign]
    deliverer(house, settings, pacs).run_once()
    assert states(house.database) == ["SENDING", "SENDING"]


def test_delivery_of_a_dead_deliverer_is_taken_over(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """A delivery whose lease has expired is sent again, and its attempt counts."""
    job_id = drafted(1)
    assert len(deliveries.claim(house.database, "gone", "pacs", 60, 10)) == 2
    with house.database.transaction() as session:
        session.execute(update(Delivery).values(lease_until=Delivery.created_at))
    pacs = FakePacs()
    sender = deliverer(house, settings, pacs)
    sender.upkeep()
    make_due(house.database)
    sender.run_once()
    assert house.job(job_id).state == "DELIVERED"
    with house.database.reading() as session:
        assert list(session.scalars(select(Delivery.attempts))) == [2, 2]


def test_delivery_canceled_job_is_not_sent(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """The documents of a cancelled job are not sent."""
    job_id, pacs = drafted(1), FakePacs()
    operator.cancel(house.database, job_id, reason="wrong patient", actor="admin")
    assert deliverer(house, settings, pacs).run_once() == 0
    assert states(house.database) == ["CANCELED", "CANCELED"]
    with house.database.reading() as session:
        assert session.scalars(select(Job.state)).one() == "CANCELED"


def test_delivery_urgent_documents_go_first(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """A priority set by a person orders the outbox."""
    first, second = drafted(1), drafted(2)
    operator.prioritise(house.database, second, 0)
    pacs = FakePacs()
    deliverer(house, settings, pacs).run_once()
    with house.database.reading() as session:
        order = list(
            session.scalars(
                select(Delivery.job_id)
                .join(Document, Document.id == Delivery.document_id)
                .where(Document.sop_instance_uid == pacs.kept[0][0])
            )
        )
    assert order == [second]
    assert first != second


def test_delivery_keeps_the_warning_that_a_document_was_stored_with(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """The document counts as stored; the warning is in the history, with the delivery and in `status`."""
    job_id = drafted(1)
    deliverer(house, settings, FakePacs(warning="0xB007, does not match its SOP class")).run_once()
    assert states(house.database) == ["STORED", "STORED"]
    found = job_history(house.database, job_id)
    assert found.job.state == "DELIVERED"
    assert {one.warning for one in found.deliveries} == {"0xB007, does not match its SOP class"}
    assert sum(step.code == "stored-with-warning" for step in found.steps) == 2
    status = read_status(house.database, settings)
    assert dict(status.destinations[0].warnings_last_day) == {"0xB007": 2}
    assert "stored-with-warning" in {one.code for one in judge(status, settings)}


def test_delivery_that_fails_shows_at_once_with_its_code(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """Status is not OK while every delivery fails, even if the destination answers and nothing is old yet."""
    drafted(1)
    pacs = FakePacs(answers=[DeliveryFailed("the destination answered 0xA700")] * 4)
    sender = deliverer(house, settings, pacs)
    sender.run_once()
    status = read_status(house.database, settings)
    assert (status.destinations[0].failing, status.destinations[0].attempts) == (2, 1)
    (problem,) = [one for one in judge(status, settings) if one.code == "deliveries-failing"]
    assert "0xA700" in problem.text
    assert "delivery-failed" in problem.text
    make_due(house.database)
    sender.run_once()
    assert read_status(house.database, settings).destinations[0].attempts == 2


def test_delivery_given_up_names_the_last_failure_of_each_destination(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """The job's code says that it was given up, its reason names the last failure."""
    job_id, pacs = drafted(1), FakePacs(answers=[DeliveryFailed("the destination answered 0xA700")] * 2)
    sender = deliverer(house, settings, pacs)
    sender.run_once()
    with house.database.transaction() as session:
        session.execute(update(Delivery).values(give_up_at=LONG_AGO))
    sender.upkeep()
    job = house.job(job_id)
    assert (job.state, job.code) == ("DEAD", "gave-up")
    name = settings.destinations[0].name
    assert job.reason.startswith(f"{name}: not stored until the time to give up")
    assert "the destination answered 0xA700 [delivery-failed]" in job.reason
    assert "dead retry" in advice_for(job.code)


def test_delivery_that_was_not_tried_keeps_its_last_failure(
    house: Any, settings: Settings, drafted: Callable[[int], int]
) -> None:
    """An association that ends before its turn does not replace the destination's last answer."""
    drafted(1)
    answers: list[Exception | None] = [DeliveryFailed("the destination answered 0xA700")] * 2
    sender = deliverer(house, settings, FakePacs(answers=[*answers, ConnectionLost("broke off")]))
    sender.run_once()
    make_due(house.database)
    sender.run_once()
    with house.database.reading() as session:
        codes = session.scalars(select(Delivery.code).order_by(Delivery.id)).all()
    assert list(codes) == ["delivery-failed", "delivery-failed"]


def test_destination_is_sent_the_documents_that_it_chose(
    house: Any, settings: Settings, reporter: Any, film: Callable[..., Dataset]
) -> None:
    """`documents` selects what a destination gets; the other destination still gets both."""
    chosen = OTHER.model_copy(update={"documents": ("report",)})
    both = settings.model_copy(update={"destinations": (*settings.destinations, chosen)})
    job_id = house.queued(film(1))
    DraftingWorker(house.database, house.store, both, reporter, owner="w", chance=Random(1)).run_once()
    with house.database.reading() as session:
        sent = session.execute(
            select(Delivery.destination, Document.role)
            .join(Document, Document.id == Delivery.document_id)
            .where(Delivery.job_id == job_id)
            .order_by(Delivery.id)
        ).all()
    assert [tuple(one) for one in sent] == [("pacs", "findings"), ("pacs", "report"), ("archive", "report")]
