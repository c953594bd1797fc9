"""Signed reports that a real archive holds for drafted studies, found by C-FIND or QIDO and retrieved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select

from agent.commands.demo.orthanc import Orthanc
from agent.database.session import database_now
from agent.database.signed import SignedReport
from agent.database.tables import Document, Draft, Instance, Job
from agent.foundation.errors import ArchiveUnavailable
from agent.foundation.settings.tree import ArchiveSettings
from agent.ris.signed.archive_poll import ArchiveReports
from agent.ris.signed.structured import enter_arrived
from tests.integration.priors.conftest import archived, site_with
from tests.integration.priors.site import PRIORS, Site, film, report

pytestmark = pytest.mark.integration
__all__ = ["archived", "site_with"]
Keep = Callable[..., None]
WEEK_S = 604_800.0


@pytest.fixture(params=["dicom", "dicomweb"])
def archive(request: pytest.FixtureRequest, orthanc: Orthanc, free_port: int) -> ArchiveSettings:
    """Orthanc, queried over DIMSE or DICOMweb."""
    if request.param == "dicomweb":
        if not orthanc.dicomweb:
            pytest.skip("Orthanc has no DICOMweb plugin")
        return ArchiveSettings(url=f"{orthanc.url}/dicom-web", ae_title="WEBPACS")
    orthanc.put("/modalities/agent", ["ECHO_AGENT", "127.0.0.1", free_port])
    orthanc.put("/modalities/priors", [PRIORS, "127.0.0.1", free_port])
    return ArchiveSettings(host=orthanc.host, port=orthanc.port, ae_title=orthanc.ae_title)


@pytest.fixture
def polled(archive: ArchiveSettings, site_with: Callable[..., Site]) -> Site:
    """A site that queries this archive."""
    return site_with(archive)


def poll_of(site: Site, look_back_s: float = WEEK_S) -> ArchiveReports:
    """The poll that housekeeping runs."""
    archive = site.settings.archive
    assert archive is not None
    return ArchiveReports(site.database, archive, site.incoming, look_back_s)


def name_for(site: Site, name: str) -> str:
    """The name of a study that no other test has stored in this Orthanc."""
    archive = site.settings.archive
    assert archive is not None
    return f"{name}-{archive.kind}/now"


def drafted(site: Site, name: str, *, ours: Dataset | None = None, age_s: float = 0) -> Dataset:
    """The image of a study that was received and drafted; `ours` is a document of that draft."""
    image = film(name)
    job_id = site.queue(image)
    with site.database.transaction() as session:
        values: dict[str, Any] = {"model_digest": "0", "model_name": "x", "demonstration": False}
        draft = Draft(
            study_id=session.get_one(Job, job_id).study_id,
            job_id=job_id,
            revision=1,
            outcome="drafted",
            text="Findings: clear.",
            content={},
            created_at=database_now(session) - timedelta(seconds=age_s),
            **values,
        )
        session.add(draft)
        session.flush()
        if ours is not None:
            session.add(
                Document(
                    draft_id=draft.id,
                    role="report",
                    variant="comprehensive3d",
                    sop_class_uid=ours.SOPClassUID,
                    sop_instance_uid=ours.SOPInstanceUID,
                    series_instance_uid=ours.SeriesInstanceUID,
                    sha256="0" * 64,
                    content=b"",
                )
            )
    return image


def signed(image: Dataset, *sentences: str) -> Dataset:
    """A report that a radiologist verified in another system."""
    made = report(image, *sentences)
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization = "Roe^Ann", "General"
    observer.VerificationDateTime = "20260102130000+0100"
    observer.VerifyingObserverIdentificationCodeSequence = []
    made.VerificationFlag, made.VerifyingObserverSequence = "VERIFIED", [observer]
    return made


def entered(site: Site) -> list[tuple[str, str]]:
    """The signed reports: study and text."""
    enter_arrived(site.database, site.store)
    with site.database.reading() as session:
        rows = session.execute(select(SignedReport.study_instance_uid, SignedReport.text))
        return [(row.study_instance_uid, row.text) for row in rows]


def test_signed_report_of_a_drafted_study_is_found_and_entered_once(polled: Site, archived: Keep) -> None:
    """It is retrieved like an earlier study's, makes no job, and its study is not queried again."""
    image = drafted(polled, name_for(polled, "POLL-1"))
    poll = poll_of(polled)
    archived(image)
    assert poll.run_once() == 0
    archived(signed(image, "Small left effusion."))
    while (retrieved := poll.run_once()) == 0:  # the previous poll ended the round
        pass
    assert retrieved == 1
    assert entered(polled) == [(image.StudyInstanceUID, "Finding: Small left effusion.")]
    assert [poll.run_once(), poll.run_once()] == [0, 0]
    assert entered(polled) == [(image.StudyInstanceUID, "Finding: Small left effusion.")]
    assert polled.counts() == {"studies": 1, "jobs": 1, "listings": 0}


def test_unverified_report_is_retrieved_once_and_no_truth(polled: Site, archived: Keep) -> None:
    """A resident's draft is kept, but not fetched at every poll; the verified report that follows counts."""
    image = drafted(polled, name_for(polled, "POLL-2"))
    archived(image, report(image, "Preliminary."))
    poll = poll_of(polled)
    assert [poll.run_once() for _ in range(4)] == [1, 0, 0, 0]
    assert entered(polled) == []
    archived(signed(image, "Clear."))
    assert sum(poll.run_once() for _ in range(3)) == 1
    assert entered(polled) == [(image.StudyInstanceUID, "Finding: Clear.")]


def test_own_documents_are_never_retrieved(polled: Site, archived: Keep) -> None:
    """Our report in the archive, even if verified, is neither fetched nor compared with itself."""
    ours = signed(film(name_for(polled, "POLL-3")), "Written by us.")
    image = drafted(polled, name_for(polled, "POLL-3"), ours=ours)
    archived(image, ours)
    poll = poll_of(polled)
    assert [poll.run_once() for _ in range(3)] == [0, 0, 0]
    assert entered(polled) == []
    with polled.database.reading() as session:
        uids = session.scalars(select(Instance.sop_instance_uid)).all()
    assert uids == [image.SOPInstanceUID]


def test_old_draft_is_not_asked_for(polled: Site, archived: Keep) -> None:
    """`archive_look_back_s` limits the wait for a report that nobody signs."""
    image = drafted(polled, name_for(polled, "POLL-4"), age_s=WEEK_S + 60)
    archived(image, signed(image, "Clear."))
    assert poll_of(polled).run_once() == 0


def test_archive_that_is_away_is_asked_again(
    orthanc: Orthanc, site_with: Callable[..., Site], archived: Keep, free_port: int
) -> None:
    """The caller has to retry after the failure, and the next poll begins with the same study."""
    away = site_with(ArchiveSettings(url="http://127.0.0.1:9/dicom-web", ae_title="WEBPACS", timeout_s=2))
    image = drafted(away, "POLL-5/now")
    with pytest.raises(ArchiveUnavailable):
        poll_of(away).run_once()
    if not orthanc.dicomweb:
        pytest.skip("Orthanc has no DICOMweb plugin")
    archived(image, signed(image, "Clear."))
    back = ArchiveSettings(url=f"{orthanc.url}/dicom-web", ae_title="WEBPACS")
    assert ArchiveReports(away.database, back, away.incoming, WEEK_S).run_once() == 1
