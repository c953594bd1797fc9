"""The course of one study: drafted, reviewed, corrected, and delivered to any destinations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random

from sqlalchemy import select, update

from agent.database.audit.web_actor import Actor
from agent.database.session import database_now
from agent.database.tables import Draft, Job, Study
from agent.drafting.worker import DraftingWorker
from agent.foundation.failure import Failure, RetryPolicy
from agent.foundation.settings.tree import Settings
from agent.queue import deliveries
from agent.queue.deliveries import DeliveryClaim
from agent.receive.complete_study import complete_due_studies
from agent.reports.edited_report import Report, drafted_report
from agent.reports.sign_off import Observer, SignOffDecision, give
from agent.reports.withdraw import withdraw_due
from tests.support.house import FakeReporter, House, image

CHANGED = Report(findings=("There is a large left pneumothorax.",), impression=("Pneumothorax.",))


class StudyCourse:
    """One study in a service with these settings."""

    def __init__(self, house: House, settings: Settings, study: int = 1) -> None:
        self.house, self.settings, self.study = house, settings, study
        self.reporter = FakeReporter()

    def draft(self, number: int = 1, **attributes: object) -> None:
        """Receive an image, complete the study and draft it."""
        self.house.receive(image(self.study, number, **attributes))
        self.complete()
        DraftingWorker(
            self.house.database,
            self.house.store,
            self.settings,
            self.reporter,
        ).run_once()

    def complete(self) -> None:
        """Let the quiet time pass."""
        with self.house.database.transaction() as session:
            session.execute(update(Job).values(due_at=database_now(session) - timedelta(seconds=1)))
        complete_due_studies(self.house.database, self.settings, self.house.store)

    def judge(self, report: Report | None = CHANGED, reason: str = "") -> None:
        """Give the radiologist's verdict on what is shown; no report is a rejection."""
        with self.house.database.reading() as session:
            study = session.scalars(
                select(Study).where(Study.study_instance_uid == f"1.2.3.{self.study}")
            ).one()
            draft_id = session.scalars(
                select(Draft.id).where(Draft.study_id == study.id).order_by(Draft.id.desc()).limit(1)
            ).one()
            decision = SignOffDecision(
                study_id=study.id, draft_id=draft_id, revision=study.revision, report=report, reason=reason
            )
        observer = Observer(person_name="Reader^Rita", user_id=None, actor=Actor(name="rita", address=""))
        give(self.house.database, self.house.store, self.settings, decision, observer)

    def accept(self) -> None:
        """Verify the newest draft of the software as it is."""
        with self.house.database.reading() as session:
            drafts = select(Draft).where(Draft.outcome == "drafted").order_by(Draft.id.desc()).limit(1)
            drafted = session.scalars(drafts).one()
        self.judge(drafted_report(drafted.content, drafted.text))

    def withdraw(self) -> None:
        """Let housekeeping withdraw what is due."""
        withdraw_due(self.house.database, self.settings)

    def deliver(self, destination: str, failure: Failure | None = None) -> Sequence[DeliveryClaim]:
        """Deliver what is due to a destination, or let it fail; return what was sent, in order."""
        in_order = next(one.takes_messages for one in self.settings.destinations if one.name == destination)
        sent: list[DeliveryClaim] = []
        while claims := deliveries.claim(self.house.database, "d", destination, 60, 10, in_order=in_order):
            for claim in claims:
                sent.append(claim)
                if failure is None:
                    deliveries.stored(self.house.database, claim)
                else:
                    policy = RetryPolicy()
                    deliveries.fail(self.house.database, claim, failure, policy, chance=_LongestWait())
        return sent


class _LongestWait(Random):
    """Chance that waits the longest."""

    def random(self) -> float:
        """Just below one."""
        return 0.999
