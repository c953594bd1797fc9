"""A PACS that is down for a day, with a clock moved by hand; and several destinations at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.tables import Delivery
from agent.delivery.deliverer import Deliverer
from agent.foundation.errors import CommitmentUnsupported, DeliveryFailed
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.network.commitment_terms import CommitmentItem, CommitmentRequest
from agent.network.scu import ConnectionLost
from agent.queue import operator
from tests.integration.delivery.outbox import delivery_states, outbox, state_of
from tests.support.operator_context import operator_context_of

pytestmark = pytest.mark.integration
Letters = Callable[[int], Any]
HOUR = 3600.0


@dataclass(kw_only=True)
class Day:
    """Simulated seconds, for the database and for the breaker alike.

    stepped: how far (s) the database's clock was set forward.
    """

    passed: float = 0.0
    stepped: float = 0.0

    def seconds(self) -> float:
        """The breaker's clock."""
        return self.passed

    def now(self, session: Session) -> datetime:
        """The database's clock."""
        return database_now(session) + timedelta(seconds=self.passed + self.stepped)


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Day:
    """Make the outbox use our clock."""
    made = Day()
    for module in ("queue.deliveries", "queue.forward_steps", "delivery.commitments", "queue.operator"):
        monkeypatch.setattr(f"agent.{module}.database_now", made.now)
    return made


@dataclass(kw_only=True)
class Destination:
    """Keeps what it receives and commits to it, unless it is down or mute."""

    down: Exception | None = None
    mute: bool = False
    gone_once_stored: bool = False
    tries: int = 0
    asked: int = 0
    kept: dict[str, bytes] = field(default_factory=dict)

    @contextmanager
    def connect(self, _destination: DestinationSettings, _classes: Iterable[str]) -> Iterator[Destination]:
        """Open."""
        self.tries += 1
        if isinstance(self.down, ConnectionLost):
            raise self.down
        yield self

    def store(self, document: Any) -> None:
        """Keep."""
        if self.down is not None:
            raise self.down
        assert self.kept.setdefault(document.sop_instance_uid, document.content) == document.content

    def ask(self, _destination: DestinationSettings, _request: CommitmentRequest, _on_report: Any) -> None:
        """Offer no reports, only queries."""
        self.asked += 1
        if self.gone_once_stored:
            raise ConnectionLost("down")
        if self.down is not None:
            raise self.down
        raise CommitmentUnsupported("no storage commitment")

    def look_up(self, _destination: DestinationSettings, items: Iterable[CommitmentItem]) -> frozenset[str]:
        """Return what is held here."""
        if self.down is not None:
            raise self.down
        if self.mute:
            raise CommitmentUnsupported("no query")
        return frozenset(item.sop_instance_uid for item in items) & self.kept.keys()


def settings_of(*names: str) -> Settings:
    """Destinations with these names that commit."""
    return Settings(
        destinations=tuple(
            DestinationSettings(name=name, host="127.0.0.1", ae_title="PACS", commitment=True)
            for name in names
        )
    )


def deliverer(database: Database, day: Day, settings: Settings, **pacs: Destination) -> Deliverer:
    """A deliverer for these destinations."""

    class Way:
        def ask(self, destination: DestinationSettings, request: CommitmentRequest, on_report: Any) -> None:
            pacs[destination.name].ask(destination, request, on_report)

        def look_up(
            self, destination: DestinationSettings, items: Iterable[CommitmentItem]
        ) -> frozenset[str]:
            return pacs[destination.name].look_up(destination, items)

    def connect(destination: DestinationSettings, classes: Iterable[str]) -> Any:
        return pacs[destination.name].connect(destination, classes)

    return Deliverer(
        database, settings, owner="d", chance=Random(1), connect=connect, ask=Way(), seconds=day.seconds
    )


def pass_hours(sender: Deliverer, day: Day, hours: float, step_s: float = 300.0) -> None:
    """Let time pass, processing the outbox every few minutes."""
    until = day.passed + hours * HOUR
    while day.passed < until:
        sender.run_once()
        day.passed += step_s


@pytest.mark.parametrize("failure", [ConnectionLost("down"), DeliveryFailed("0xA700")], ids=["down", "full"])
def test_outage_of_most_of_a_day_loses_nothing(
    both_databases: Database, letters: Letters, day: Day, failure: Exception
) -> None:
    """After 23 hours everything arrives unchanged, after a number of attempts that a PACS can handle."""
    pacs = Destination(down=failure)
    sender = deliverer(both_databases, day, settings_of("pacs"), pacs=pacs)
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    with both_databases.transaction() as session:
        for one in session.scalars(select(Delivery)):
            one.give_up_at += timedelta(hours=23)  # a day, with the hour that `outbox` gave it
    pass_hours(sender, day, 23, 900)
    assert delivery_states(both_databases) == ["PENDING", "PENDING"]
    assert 20 < pacs.tries < 250
    pacs.down = None
    pass_hours(sender, day, 0.9)
    assert delivery_states(both_databases) == ["COMMITTED", "COMMITTED"]
    assert state_of(both_databases, job_id) == "DELIVERED"
    assert pacs.kept == {one.sop_instance_uid: one.content for one in letters(1)}


def test_clock_that_is_set_forward_by_days_gives_nothing_up(
    both_databases: Database, letters: Letters, day: Day
) -> None:
    """A waiting delivery and one being sent have been tried for minutes only; both arrive later."""
    pacs = Destination(down=ConnectionLost("down"))
    sender = deliverer(both_databases, day, settings_of("pacs"), pacs=pacs)
    outbox(both_databases, letters(1), 1, "pacs")
    pass_hours(sender, day, 0.5)
    with both_databases.transaction() as session:
        one = session.scalars(select(Delivery).order_by(Delivery.id)).first()
        assert one is not None
        one.state, one.lease_owner, one.lease_token = "SENDING", "another", 7
        one.lease_until = day.now(session) + timedelta(minutes=1)
    day.stepped = 50 * HOUR
    pass_hours(sender, day, 0.3)
    assert delivery_states(both_databases) == ["PENDING", "PENDING"]
    pacs.down = None
    pass_hours(sender, day, 0.5)
    assert delivery_states(both_databases) == ["COMMITTED", "COMMITTED"]


def test_outage_beyond_the_day_is_dead_and_can_be_revived(
    both_databases: Database, letters: Letters, day: Day
) -> None:
    """What waited too long is DEAD with its code; a person retries it, and it arrives unchanged."""
    pacs = Destination(down=ConnectionLost("down"))
    sender = deliverer(both_databases, day, settings_of("pacs"), pacs=pacs)
    job_id = outbox(both_databases, letters(1), 1, "pacs")
    pass_hours(sender, day, 2)
    assert delivery_states(both_databases) == ["DEAD", "DEAD"]
    assert state_of(both_databases, job_id) == "DEAD"
    with both_databases.reading() as session:
        assert set(session.scalars(select(Delivery.code))) == {"gave-up"}
    pacs.down = None
    operator.retry(operator_context_of(both_databases), job_id, actor="me")
    pass_hours(sender, day, 1)
    assert delivery_states(both_databases) == ["COMMITTED", "COMMITTED"]
    assert pacs.kept == {one.sop_instance_uid: one.content for one in letters(1)}


def test_outage_of_one_of_three_destinations(both_databases: Database, letters: Letters, day: Day) -> None:
    """Two receive and keep their documents while the third is down; then it receives the same ones."""
    pacs = {name: Destination() for name in ("first", "second", "third")}
    pacs["second"].down = ConnectionLost("down")
    sender = deliverer(both_databases, day, settings_of(*pacs), **pacs)
    job_id = outbox(both_databases, letters(1), 1, *pacs)
    pass_hours(sender, day, 0.2)
    assert [len(one.kept) for one in pacs.values()] == [2, 0, 2]
    assert delivery_states(both_databases).count("COMMITTED") == 4
    assert state_of(both_databases, job_id) == "DELIVERING"
    pacs["second"].down = None
    pass_hours(sender, day, 0.7)
    assert delivery_states(both_databases) == ["COMMITTED"] * 6
    assert pacs["second"].kept == pacs["first"].kept


def test_outage_between_storing_and_commitment(both_databases: Database, letters: Letters, day: Day) -> None:
    """A PACS that goes down before the request costs no attempt: the request is sent when it is back."""
    pacs = Destination()
    settings = settings_of("pacs")
    outbox(both_databases, letters(1), 1, "pacs")
    store_only = settings.destinations[0].model_copy(update={"commitment": False})
    sender = deliverer(both_databases, day, Settings(destinations=(store_only,)), pacs=pacs)
    sender.run_once()
    with both_databases.transaction() as session:
        for one in session.scalars(select(Delivery)):
            one.commit_at = one.stored_at
    pacs.down = ConnectionLost("down")
    sender = deliverer(both_databases, day, settings, pacs=pacs)
    pass_hours(sender, day, 12, 900)
    assert delivery_states(both_databases) == ["STORED", "STORED"]
    assert pacs.asked < 60
    pacs.down = None
    pass_hours(sender, day, 1)
    assert delivery_states(both_databases) == ["COMMITTED", "COMMITTED"]


def test_clock_that_is_set_forward_gives_no_commitment_up(
    both_databases: Database, letters: Letters, day: Day
) -> None:
    """A PACS that is gone after storing is asked for a whole day after the step, and then no more."""
    pacs = Destination(gone_once_stored=True)
    sender = deliverer(both_databases, day, settings_of("pacs"), pacs=pacs)
    outbox(both_databases, letters(1), 1, "pacs")
    pass_hours(sender, day, 1)
    day.stepped = 50 * HOUR
    pass_hours(sender, day, 22, 900)
    assert delivery_states(both_databases) == ["STORED", "STORED"]
    pass_hours(sender, day, 4, 900)
    assert delivery_states(both_databases) == ["UNCOMMITTED", "UNCOMMITTED"]


@pytest.mark.parametrize("mute", [True, False], ids=["mute", "down"])
def test_outage_that_never_ends_leaves_an_alert(
    both_databases: Database, letters: Letters, day: Day, mute: bool
) -> None:
    """A PACS stores and then does not answer, or is down for a day: UNCOMMITTED, with the reason."""
    pacs = Destination()
    sender = deliverer(both_databases, day, settings_of("pacs"), pacs=pacs)
    outbox(both_databases, letters(1), 1, "pacs")
    pacs.mute = mute
    pacs.gone_once_stored = not mute
    pass_hours(sender, day, 26, 900)
    assert delivery_states(both_databases) == ["UNCOMMITTED", "UNCOMMITTED"]
    with both_databases.reading() as session:
        codes = set(session.scalars(select(Delivery.code)))
        waiting = session.scalar(select(func.count()).where(Delivery.commit_at.is_not(None)))
    assert codes == {"commitment-unsupported" if mute else "delivery-failed"}
    assert waiting == 0
