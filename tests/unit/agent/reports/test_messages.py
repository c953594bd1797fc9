"""Messages that a receiver gets about a study, from its draft to its end."""

from __future__ import annotations

import base64

import pypdfium2
import pytest
from sqlalchemy import select

from agent.database.tables import Delivery, Document
from agent.foundation.failure import Failure
from agent.foundation.settings.hl7 import Hl7DestinationSettings
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.messages.hl7.message import Message
from agent.messages.hl7.parse import parse
from agent.reports.edited_report import Report
from agent.reports.withdraw import withdraw_due
from tests.support.course import StudyCourse
from tests.support.house import House

RIS = DestinationSettings(name="ris", kind="hl7", host="127.0.0.1", port=2575)
PACS = DestinationSettings(name="pacs", host="127.0.0.1", port=4242)
SETTINGS = Settings(destinations=(PACS, RIS))


class Study1(StudyCourse):
    """One study on its way, and the messages that the receiver gets about it."""

    def __init__(self, house: House, settings: Settings = SETTINGS) -> None:
        super().__init__(house, settings)

    def told(self, failure: Failure | None = None) -> list[tuple[str, str]]:
        """Deliver what is due to the receiver; return status and Patient ID of each message, in order."""
        messages = [parse(claim.content) for claim in self.deliver("ris", failure)]
        return [(_status(one), next(one.all("PID")).text(3, 1)) for one in messages]


def _status(message: Message) -> str:
    return next(message.all("OBR")).text(25)


@pytest.fixture
def study(house: House) -> Study1:
    """A study at a hospital with a PACS and a RIS."""
    return Study1(house)


def test_messages_of_a_study_follow_its_verdicts(study: Study1) -> None:
    """R for the draft, F for the verdict, C for its correction."""
    study.draft()
    assert [one for one, _id in study.told()] == ["R"]
    study.judge()
    study.judge(Report(findings=("No pneumothorax.",), impression=("Normal.",)))
    assert [one for one, _id in study.told()] == ["F", "C"]


def test_messages_that_were_not_sent_yet_arrive_in_order(study: Study1) -> None:
    """A receiver that was down all day gets the draft before its rejection."""
    study.draft()
    study.judge(None, "wrong patient position")
    assert [one for one, _id in study.told()] == ["R", "X"]


def test_message_of_a_rejection_needs_a_draft_that_was_told(house: House) -> None:
    """A draft that the receiver refused for good is not withdrawn there."""
    study = Study1(house)
    study.draft()
    study.told(Failure(code="delivery-refused", reason="AE", retryable=False))
    study.judge(None, "useless")
    assert study.told() == []


def test_messages_never_put_a_draft_over_a_verified_report(study: Study1) -> None:
    """A late image after the verdict makes a draft for the PACS; the receiver keeps the verified report."""
    study.draft()
    study.judge()
    study.told()
    study.draft(2)
    assert study.told() == []
    study.judge()
    assert [one for one, _id in study.told()] == ["C"]


def test_messages_take_back_the_old_patients_draft_before_the_new_ones(study: Study1) -> None:
    """For a corrected patient X is sent under the old one before R under the new one, even if it is late."""
    study.draft(PatientID="PA", PatientName="Alpha^A")
    assert study.told() == [("R", "PA")]
    study.draft(PatientID="PB", PatientName="Beta^B")
    withdraw_due(study.house.database, SETTINGS)
    assert study.told() == [("X", "PA"), ("R", "PB")]


def test_messages_are_stored_once_and_named_by_their_document(study: Study1) -> None:
    """Each message is a row with its own bytes; no DICOM reader ever gets it."""
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
    """A study that was never drafted is not mentioned."""
    settings = SETTINGS.model_copy(
        update={"worker": SETTINGS.worker.model_copy(update={"report_skipped": True})}
    )
    study = Study1(house, settings)
    study.draft(1, Modality="CT" if outcome == "failed" else "MR")
    assert study.told() == []


def test_notice_takes_back_the_draft_that_was_told(house: House) -> None:
    """The only image was replaced by one that is not drafted: the receiver must not keep the first draft."""
    settings = SETTINGS.model_copy(
        update={"worker": SETTINGS.worker.model_copy(update={"report_skipped": True})}
    )
    study = Study1(house, settings)
    study.draft(1)
    assert [one for one, _id in study.told()] == ["R"]
    study.draft(1, Modality="CT")
    assert [one for one, _id in study.told()] == ["X"]


def test_message_has_the_pdf_with_its_banner(house: House) -> None:
    """Where the receiver wants the PDF, the draft's has a warning on its page, the verdict's does not."""
    ris = RIS.model_copy(update={"hl7": Hl7DestinationSettings(pdf=True)})
    study = Study1(house, Settings(destinations=(PACS, ris)))
    study.draft()
    study.judge()
    pages = []
    for claim in study.deliver("ris"):
        (one,) = [obx for obx in parse(claim.content).all("OBX") if obx.text(2) == "ED"]
        with pypdfium2.PdfDocument(base64.b64decode(one.text(5, 5))) as pdf:
            pages.append(pdf[0].get_textpage().get_text_bounded())
    assert ["NOT VERIFIED" in one for one in pages] == [True, False]
    with house.database.reading() as session:
        rows = select(Document.role).join(Delivery).where(Delivery.destination == "pacs")
        assert set(session.scalars(rows)) == {"findings", "report"}


def test_corrected_images_of_another_order_leave_the_first_ones_number(study: Study1) -> None:
    """Patient and accession number corrected: the first is withdrawn, and the second has its own number."""
    study.draft(PatientID="PA", PatientName="Alpha^A", AccessionNumber="A1")
    study.told()
    study.draft(PatientID="PB", PatientName="Beta^B", AccessionNumber="A2")
    study.withdraw()
    requests = [next(parse(claim.content).all("OBR")) for claim in study.deliver("ris")]
    assert [(one.text(25), one.text(3, 1), one.text(18)) for one in requests] == [
        ("X", "A1", "A1"),
        ("R", "A2", "A2"),
    ]
