"""Signed reports from other systems' Structured Reports."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select

from agent.database.signed import SignedReport
from agent.database.tables import Job
from agent.objects.header import read_stored
from agent.ris.signed.structured import enter_arrived, signed_of
from tests.integration.priors.site import film
from tests.integration.priors.site import report as structured_report
from tests.support.films import file_bytes
from tests.support.house import House


def verified(*sentences: str, **values: Any) -> Dataset:
    """A Basic Text SR that a radiologist has verified in another system."""
    made = structured_report(film("SIGNED/now", AccessionNumber="A1"), *sentences)
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = "Roe^Ann", "General"
    observer.VerificationDateTime = "20260102130000+0100"
    observer.VerifyingObserverIdentificationCodeSequence = []
    made.VerificationFlag, made.VerifyingObserverSequence = "VERIFIED", [observer]
    made.AccessionNumber = "A1"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_verified_report_is_a_signed_one() -> None:
    """Text, study, patient, signer and time come from the document."""
    signed = signed_of(verified("Small left effusion.", "Heart normal."))
    assert signed is not None
    assert signed.text == "Finding: Small left effusion. Heart normal."
    assert (signed.accession_number, signed.patient_id, signed.source) == ("A1", "SIGNED", "sr")
    assert signed.signed_at.isoformat() == "2026-01-02T13:00:00+01:00"
    assert signed.signed_by.startswith("Roe")


@pytest.mark.parametrize(
    "values",
    [
        {"VerificationFlag": "UNVERIFIED"},
        {"VerificationFlag": ""},
        {"ContentSequence": []},
        {"PreliminaryFlag": "PRELIMINARY"},
        {"CompletionFlag": "PARTIAL"},
    ],
)
def test_report_that_nobody_verified_is_no_truth(values: dict[str, Any]) -> None:
    """A report of an AI or a trainee, or an early one, is never compared with as if it were signed."""
    assert signed_of(verified("Clear.", **values)) is None


def test_final_and_complete_report_is_a_signed_one() -> None:
    """Explicit flags for a final and complete report do not prevent it."""
    assert signed_of(verified("Clear.", PreliminaryFlag="FINAL", CompletionFlag="COMPLETE")) is not None


def test_times_without_an_offset_are_the_documents() -> None:
    """The document's time zone counts; an unreadable time is replaced by the content's."""
    made = verified("Clear.", TimezoneOffsetFromUTC="+0200")
    made.VerifyingObserverSequence[0].VerificationDateTime = "20260102130000"
    signed = signed_of(made)
    assert signed is not None
    assert signed.signed_at.isoformat() == "2026-01-02T13:00:00+02:00"


def test_reports_that_arrive_are_entered_once_and_make_no_job(house: House) -> None:
    """Each is entered once, whatever else arrives and however often the search is repeated."""
    for dataset in (verified("Clear."), structured_report(film("SIGNED/other"), "Unverified.")):
        file = house.store.put([file_bytes(dataset)])
        header = read_stored(house.store.open(file.sha256))
        house.intake.receive(header, file, "PACS", prior=True)
    assert enter_arrived(house.database, house.store) == 1
    assert enter_arrived(house.database, house.store) == 0
    with house.database.reading() as session:
        assert session.scalars(select(SignedReport.text)).all() == ["Finding: Clear."]
        assert session.scalars(select(Job.id)).all() == []
