"""Misbehaving archives: no draft waits beyond its budget, none uses another patient's images."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from agent.commands.demo.orthanc import free_ports
from agent.database.session import database_now
from agent.database.tables import Job, JobEvent, PriorSearch
from agent.foundation.failure import RetryPolicy
from agent.foundation.settings.tree import ArchiveSettings
from tests.integration.priors.site import FakeArchive, Site, film

pytestmark = pytest.mark.integration
SiteWith = Callable[..., Site]


def outcome(site: Site, job_id: int) -> tuple[str | None, str | None, str]:
    """How a search ended: its code, the history's last code, and the warning for the draft's reader."""
    (claim,) = site.claim()
    assert claim.job_id == job_id
    material = site.material(claim)
    assert material.priors.procedures == ()
    return site.search_of(job_id).code, site.told(job_id)[-2], material.priors.warning


UNAVAILABLE = "Drafted without earlier studies: the archive did not deliver them in time."
MISMATCH = "Drafted without earlier studies: those in the archive may be of another patient."


def test_archive_that_is_down_costs_no_time(site_with: SiteWith) -> None:
    """A refused connection ends the search at once, and the draft says so."""
    site = site_with(ArchiveSettings(host="127.0.0.1", port=free_ports(1)[0]))
    job_id = site.queue(film("DOWN/now"))
    site.fetcher.run_once()
    assert outcome(site, job_id) == ("archive-unavailable", "archive-unavailable", UNAVAILABLE)
    assert site.audited() == [("query", False, None)]


def test_silent_archive_costs_no_more_than_the_budget(site_with: SiteWith) -> None:
    """A query that an archive accepts but never answers is abandoned at the deadline."""
    free = threading.Event()
    archive = FakeArchive(before_find=lambda: free.wait(30) and None)
    site = site_with(archive, time_budget_s=1)
    try:
        job_id = site.queue(film("SILENT/now"))
        site.fetcher.run_once()
        assert outcome(site, job_id) == ("archive-late", "archive-late", UNAVAILABLE)
    finally:
        free.set()


def test_job_goes_on_at_its_deadline_without_anybody(site_with: SiteWith) -> None:
    """Without a running fetcher the deadline passes, and the worker drafts without earlier studies."""
    site = site_with(FakeArchive(), time_budget_s=0.2, stat_time_budget_s=0.1)
    job_id = site.queue(film("NOBODY/now", RequestedProcedurePriority="STAT"))
    with site.database.reading() as session:
        job = session.get_one(Job, job_id)
        search = session.get_one(PriorSearch, job_id)
        assert job.run_after == search.deadline
        assert search.deadline - job.updated_at == timedelta(seconds=0.1)
    threading.Event().wait(0.25)
    (claim,) = site.claim()
    assert site.material(claim).priors.warning == UNAVAILABLE
    site.fetcher.run_once()
    assert (site.search_of(job_id).code, site.told(job_id)[-1]) == ("priors-late", "priors-late")


def test_archive_that_moves_nothing(site_with: SiteWith) -> None:
    """A successful C-MOVE without any object yields no earlier study."""
    prior = film("EMPTY/before", StudyDate="20250101")
    site = site_with(FakeArchive(answers=[prior]))
    job_id = site.queue(film("EMPTY/now"))
    site.fetcher.run_once()
    assert outcome(site, job_id) == ("priors-not-received", "priors-not-received", UNAVAILABLE)


@pytest.mark.parametrize(
    ("archive", "code"),
    [
        (FakeArchive(find_status=0xA700), "archive-busy"),
        (FakeArchive(find_status=0xA900), "archive-refused"),
        (
            FakeArchive(answers=[film("REFUSED/before", StudyDate="20250101")], knows_us=False),
            "archive-refused",
        ),
    ],
)
def test_archive_that_refuses(site_with: SiteWith, archive: FakeArchive, code: str) -> None:
    """A failure status of C-FIND or C-MOVE ends the search, and is reported by its code."""
    site = site_with(archive)
    job_id = site.queue(film("REFUSED/now"))
    site.fetcher.run_once()
    assert outcome(site, job_id) == (code, code, UNAVAILABLE)


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": "OTHER"},
        {"PatientBirthDate": "19500102"},
        {"PatientSex": "M"},
    ],
)
def test_answers_of_another_patient_are_not_even_fetched(
    site_with: SiteWith, changes: dict[str, str]
) -> None:
    """An answer with another patient ID, birth date or sex is not retrieved, and this is audited."""
    archive = FakeArchive(answers=[film("WRONG/before", StudyDate="20250101", **changes)])
    site = site_with(archive)
    job_id = site.queue(film("WRONG/now"))
    site.fetcher.run_once()
    assert outcome(site, job_id) == ("patient-mismatch", "patient-mismatch", MISMATCH)
    assert archive.moves == []
    assert site.audited() == [("query", True, None), ("priors-fetched", False, "patient-mismatch")]


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientID": "OTHER"},
        {"PatientID": ""},
        {"PatientBirthDate": "19500102"},
        {"PatientSex": "M"},
    ],
)
def test_images_of_another_patient_are_never_used(site_with: SiteWith, changes: dict[str, str]) -> None:
    """One image of another patient excludes the whole study, even if the answer named the right patient."""
    answer = film("SWAPPED/before", StudyDate="20250101")
    wrong = film("SWAPPED/before", 2, StudyDate="20250101", **changes)
    site = site_with(FakeArchive(answers=[answer], sends=[answer, wrong]))
    job_id = site.queue(film("SWAPPED/now"))
    site.fetcher.run_once()
    assert outcome(site, job_id) == ("patient-mismatch", "patient-mismatch", MISMATCH)
    assert site.audited()[-1] == ("priors-fetched", False, "patient-mismatch")
    assert site.counts() == {"studies": 2, "jobs": 1, "listings": 0}


def test_images_of_another_study_are_not_used(site_with: SiteWith) -> None:
    """A study sent unasked leads to no job and no comparison."""
    answer = film("STRAY/before", StudyDate="20250101")
    stray = film("STRAY/other", StudyDate="20240101")
    site = site_with(FakeArchive(answers=[answer], sends=[stray]))
    job_id = site.queue(film("STRAY/now"))
    site.fetcher.run_once()
    assert outcome(site, job_id) == ("priors-not-received", "priors-not-received", UNAVAILABLE)
    assert site.counts() == {"studies": 2, "jobs": 1, "listings": 0}


def test_interrupted_retrieval_uses_what_has_come(site_with: SiteWith) -> None:
    """If the archive stops responding after the first of two earlier studies, that one is compared."""
    free = threading.Event()
    calls: list[int] = []

    def second_is_silent() -> None:
        calls.append(1)
        if len(calls) > 1:
            free.wait(30)
            archive.knows_us = False  # the requester has gone

    first, second = (film(f"HALF/{year}", StudyDate=f"{year}0101") for year in (2025, 2024))
    archive = FakeArchive(answers=[first, second], sends=[first], before_move=second_is_silent)
    site = site_with(archive, time_budget_s=3)
    try:
        job_id = site.queue(film("HALF/now"))
        site.fetcher.run_once()
        (claim,) = site.claim()
        material = site.material(claim)
        assert site.search_of(job_id).code == "priors-found"
        assert material.priors.procedures == ("Earlier radiograph of 2025-01-01, 1 image.",)
    finally:
        free.set()


def test_archive_that_fails_again_and_again_is_left_alone(
    site_with: SiteWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three failures in a row the archive is not queried for a while, and no query is audited."""
    monkeypatch.setattr("agent.retrieve.priors.fetch.QUERY_PAUSES", RetryPolicy(first_s=3600, longest_s=3600))
    site = site_with(ArchiveSettings(host="127.0.0.1", port=free_ports(1)[0]))
    for number in range(4):
        site.queue(film(f"DEAD-{number}/now"))
        site.fetcher.run_once()
    with site.database.reading() as session:
        codes = session.scalars(select(PriorSearch.code)).all()
        ended = select(JobEvent.reason).where(JobEvent.code == "archive-unavailable").order_by(JobEvent.id)
        reasons = session.scalars(ended).all()
    assert list(codes) == ["archive-unavailable"] * 4
    assert ["is not queried for a while" in (one or "") for one in reasons] == [False, False, False, True]
    assert site.audited() == [("query", False, None)] * 3


@pytest.mark.parametrize("changes", [{"PatientID": ""}, {"StudyDate": ""}])
def test_study_that_names_nobody_asks_nobody(site_with: SiteWith, changes: dict[str, str]) -> None:
    """Without a patient ID or a study date no query is sent; this is not a failure."""
    site = site_with(FakeArchive())
    job_id = site.queue(film("UNKNOWN/now", **changes))
    site.fetcher.run_once()
    assert outcome(site, job_id) == ("priors-not-asked", "priors-not-asked", "")
    assert site.audited() == []


def test_late_result_does_not_disturb_a_job_that_has_gone_on(site_with: SiteWith) -> None:
    """A result after the deadline is recorded, and does not change the job."""
    site = site_with(FakeArchive(), time_budget_s=0.2)
    job_id = site.queue(film("AFTER/now"))
    threading.Event().wait(0.25)
    (claim,) = site.claim()
    site.fetcher.run_once()
    with site.database.transaction() as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.lease_token) == ("GENERATING", claim.token)
        assert job.lease_until is not None
        assert job.lease_until > database_now(session)
