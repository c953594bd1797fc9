"""What a receiver of messages is told of a study, from its draft to its end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from agent.database.audit.web_actor import Actor
from agent.database.session import database_now
from agent.database.tables import Delivery, Document, Draft, Job, Study
from agent.drafting.worker import DraftingWorker
from agent.foundation.failure import Failure, RetryPolicy
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.hl7.message import Message
from agent.hl7.parse import parse
from agent.queue import deliveries
from agent.receive.complete_study import complete_due_studies
from agent.reports.edited_report import Report
from agent.reports.sign_off import Observer, SignOffDecision, give
from agent.reports.withdraw import withdraw_due
from tests.support.house import FakeReporter, House, image

RIS = DestinationSettings(name="ris", kind="hl7", host="127.0.0.1", port=2575)
PACS = DestinationSettings(name="pacs", host="127.0.0.1", port=4242)
SETTINGS = Settings(destinations=(PACS, RIS))
REPORT = Report(findings=("There is a large left pneumothorax.",), impression=("Pneumothorax.",))


class Study1:
    """One study on its way, and what the receiver is told of it."""

    def __init__(self, house: House, settings: Settings = SETTINGS) -> None:
        self.house, self.settings = house, settings

    def draft(self, number: int = 1, **attributes: object) -> None:
        """Receive an image, complete the study and draft it."""
        self.house.receive(image(1, number, **attributes))
        with self.house.database.transaction() as session:
            session.execute(update(Job).values(due_at=database_now(session) - timedelta(seconds=1)))
        complete_due_studies(self.house.database, self.settings, self.house.store)
        DraftingWorker(self.house.database, self.house.store, self.settings, FakeReporter()).run_once()  # type: ignore[arg-type]

    def judge(self, report: Report | None = REPORT, reason: str = "") -> None:
        """Give the radiologist's verdict on what is shown."""
        with self.house.database.reading() as session:
            draft_id = session.scalars(select(Draft.id).order_by(Draft.id.desc()).limit(1)).one()
            study = session.scalars(select(Study)).one()
            decision = SignOffDecision(
                study_id=study.id, draft_id=draft_id, revision=study.revision, report=report, reason=reason
            )
        observer = Observer(person_name="Reader^Rita", user_id=None, actor=Actor(name="rita", address=""))
        give(self.house.database, self.house.store, self.settings, decision, observer)

    def told(self, failure: Failure | None = None) -> list[tuple[str, str]]:
        """Deliver what is due to the receiver; return status and Patient ID of each message, in order."""
        sent: list[tuple[str, str]] = []
        while claims := deliveries.claim(self.house.database, "d", "ris", 60, 10, in_order=True):
            for claim in claims:
                message = parse(claim.content)
                sent.append((_status(message), next(message.all("PID")).text(3, 1)))
                if failure is None:
                    deliveries.stored(self.house.database, claim)
                else:
                    policy = RetryPolicy()
                    deliveries.fail(self.house.database, claim, failure, policy, chance=_Never())
        return sent


class _Never:
    """Chance that waits the longest."""

    def random(self) -> float:
        """Just below one."""
        return 0.999


def _status(message: Message) -> str:
    return next(message.all("OBR")).text(25)


@pytest.fixture
def study(house: House) -> Study1:
    """A study at a hospital with a PACS and a RIS."""
    return Study1(house)


def test_messages_of_a_study_follow_its_verdicts(study: Study1) -> None:
    """R for the draft, F for the verdict, C for the correction of it."""
    study.draft()
    assert [one for one, _id in study.told()] == ["R"]
    study.judge()
    study.judge(Report(findings=("No pneumothorax.",), impression=("Normal.",)))
    assert [one for one, _id in study.told()] == ["F", "C"]


def test_messages_that_were_not_sent_yet_arrive_in_order(study: Study1) -> None:
    """A receiver that was down all day hears the draft before its rejection."""
    study.draft()
    study.judge(None, "wrong patient position")
    assert [one for one, _id in study.told()] == ["R", "X"]


def test_message_of_a_rejection_needs_a_draft_that_was_told(house: House) -> None:
    """A draft that the receiver refused for good is not taken back there."""
    study = Study1(house)
    study.draft()
    study.told(Failure(code="delivery-refused", reason="AE", retryable=False))
    study.judge(None, "useless")
    assert study.told() == []


def test_messages_never_put_a_draft_over_a_verified_report(study: Study1) -> None:
    """A late image after the verdict makes a draft for the PACS; the receiver keeps what was verified."""
    study.draft()
    study.judge()
    study.told()
    study.draft(2)
    assert study.told() == []
    study.judge()
    assert [one for one, _id in study.told()] == ["C"]


def test_messages_take_back_the_old_patients_draft_before_the_new_ones(study: Study1) -> None:
    """A corrected patient: X under the old one, then R under the new one, also if withdrawing is late."""
    study.draft(PatientID="PA", PatientName="Alpha^A")
    assert study.told() == [("R", "PA")]
    study.draft(PatientID="PB", PatientName="Beta^B")
    withdraw_due(study.house.database, SETTINGS)
    assert study.told() == [("X", "PA"), ("R", "PB")]


def test_messages_are_stored_once_and_named_by_their_document(study: Study1) -> None:
    """Each message is a row with bytes of its own; no DICOM reader ever gets it."""
    study.draft()
    with study.house.database.reading() as session:
        row = session.scalars(select(Document).where(Document.status.is_not(None))).one()
        destination = session.scalars(
            select(Delivery.destination).where(Delivery.document_id == row.id)
        ).one()
        assert (row.role, row.status, row.sop_class_uid, destination) == ("message", "unverified", "", "ris")
        assert row.content.startswith(b"MSH|")


@pytest.mark.parametrize("outcome", ["failed", "not_attempted"])
def test_notice_only_takes_back(house: House, outcome: str) -> None:
    """A study that was never drafted is not mentioned; one that was is withdrawn."""
    settings = SETTINGS.model_copy(
        update={"worker": SETTINGS.worker.model_copy(update={"report_skipped": True})}
    )
    study = Study1(house, settings)
    study.draft(1, Modality="CT" if outcome == "failed" else "MR")
    assert study.told() == []
