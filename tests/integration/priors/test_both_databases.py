"""Prior searches on SQLite and PostgreSQL: the same results, each search run by only one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from agent.database.session import Database
from agent.database.tables import PriorLink, PriorSearch
from agent.objects.store import InstanceStore
from agent.retrieve.priors.fetch import PriorFetcher
from tests.integration.priors.site import FakeArchive, Site, film, note_of, report, running_site

pytestmark = pytest.mark.integration
PRIOR = film("BOTH/before", StudyDate="20250101")


@pytest.fixture
def site(both_databases: Database, tmp_path: Path, free_port: int) -> Iterator[Site]:
    """A site on either database, whose archive has one earlier study and its report."""
    archive = FakeArchive(answers=[PRIOR], sends=[PRIOR, report(PRIOR, "Clear.")], to=free_port)
    store = InstanceStore(tmp_path / "instances", 0)
    with archive.running() as settings, running_site(both_databases, store, settings, free_port) as running:
        yield running


def test_earlier_study_is_found_and_used(site: Site) -> None:
    """Search, retrieval, link, event and release of the job work."""
    job_id = site.queue(film("BOTH/now"))
    assert site.claim() == []
    site.fetcher.run_once()
    (claim,) = site.claim()
    material = site.material(claim)
    assert (site.search_of(job_id).code, len(material.priors.headers)) == ("priors-found", 1)
    assert material.priors.findings == ("Report of 2025-01-01: Finding: Clear.",)
    assert "priors-found" in site.told(job_id)


def test_rejection_note_says_nothing_about_a_patient(site: Site) -> None:
    """Rejection notes that arrive before the images of the study or its prior do not set the patient."""
    now, other = film("BOTH/now"), {"PatientID": "OTHER", "PatientName": "ROE^RICHARD", "PatientSex": "M"}
    early = [note_of(one, "1.2.9", **other) for one in (now, PRIOR)]
    assert site.receive(*early) == [0, 0]
    job_id = site.queue(now)
    site.fetcher.run_once()
    (claim,) = site.claim()
    assert (site.search_of(job_id).code, len(site.material(claim).priors.headers)) == ("priors-found", 1)


@pytest.mark.parametrize("after", [False, True])
def test_rejected_earlier_image_is_not_compared_with(site: Site, *, after: bool) -> None:
    """An image that the archive still has is left out, whether its note came before or after it."""
    note, first = note_of(PRIOR, PRIOR.SOPInstanceUID), film("BOTH/first", StudyDate="20250601")
    if after:
        site.queue(first)
        site.fetcher.run_once()
        site.claim()
    assert site.receive(note) == [0]
    job_id = site.queue(film("BOTH/now"))
    site.fetcher.run_once()
    (claim,) = site.claim()
    assert (site.search_of(job_id).code, site.material(claim).priors.headers) == ("priors-not-received", ())


def test_two_processes_run_a_search_once(site: Site) -> None:
    """Each search has one owner, whichever process looks first."""
    site.queue(film("BOTH/now"))
    other = PriorFetcher(site.database, site.store, site.settings, site.incoming, owner="other")
    assert (other.run_once(), site.fetcher.run_once()) == (1, 0)
    other.stop()
    with site.database.reading() as session:
        assert session.scalars(select(PriorSearch.owner)).all() == ["other"]
        assert len(session.scalars(select(PriorLink.id)).all()) == 1


def test_each_revision_has_a_search_of_its_own(site: Site) -> None:
    """The draft with a late image is compared too; what is here already is not fetched again."""
    first = site.queue(film("BOTH/now"))
    site.fetcher.run_once()
    second = site.queue(film("BOTH/now", 2))
    site.fetcher.run_once()
    assert [site.search_of(job_id).code for job_id in (first, second)] == ["priors-found"] * 2
    (claim,) = site.claim()
    assert (claim.revision, len(site.material(claim).priors.headers)) == (2, 1)
    assert site.counts() == {"studies": 2, "jobs": 2, "listings": 0}
