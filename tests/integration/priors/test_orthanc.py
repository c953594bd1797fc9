"""Earlier studies from a real Orthanc: found, sent and compared, without triggering anything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import select

from agent.database.session import database_now
from agent.database.tables import Draft, Instance, Job, Study
from agent.foundation.settings.tree import DEFAULT_URGENCY
from agent.reports.compose import algorithm_of, draft_record
from agent.reports.earlier_studies import priors_of
from dicom_sr.document import encode
from dicom_sr.validate import validate_pair
from tests.integration.priors.site import PRIORS, Site, film, report
from tests.support.house import draft, identity
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration
Keep = Callable[..., None]


def test_two_newest_earlier_studies_are_fetched_and_compared_with(site: Site, archived: Keep) -> None:
    """The two newest of three come, with one report; the draft waits for them and names them."""
    old, middle, new = (
        film(f"ORTHANC-1/{year}", StudyDate=f"{year}0101", StudyDescription="Thorax")
        for year in (2020, 2022, 2024)
    )
    lateral = film("ORTHANC-1/2024", 2, StudyDate="20240101")
    later = film("ORTHANC-1/2027", StudyDate="20270101")
    archived(old, middle, new, lateral, later, report(middle, "Small left effusion.", "Heart normal."))
    job_id = site.queue(film("ORTHANC-1/now"))
    assert site.claim() == []
    assert site.fetcher.run_once() == 1
    assert (site.search_of(job_id).code, site.told(job_id)[-1]) == ("priors-found", "priors-found")
    (claim,) = site.claim()
    material = site.material(claim)
    assert material.priors.procedures == (
        "Earlier radiograph of 2024-01-01 (Thorax), 2 images.",
        "Earlier radiograph of 2022-01-01 (Thorax), 1 image.",
    )
    assert material.priors.findings == ("Report of 2022-01-01: Finding: Small left effusion. Heart normal.",)
    assert material.comparison == " ".join((*material.priors.procedures, *material.priors.findings))
    named = [str(header.SOPInstanceUID) for header in material.priors.headers]
    assert named == [new.SOPInstanceUID, lateral.SOPInstanceUID, middle.SOPInstanceUID]
    assert site.counts() == {"studies": 3, "jobs": 1, "listings": 0}
    assert site.audited() == [("query", True, None), ("priors-fetched", True, "priors-found")]
    with site.database.reading() as session:
        study = session.scalars(select(Study).where(Study.id == claim.study_id)).one()
        seen = [(one.study_date, len(one.images), one.report_from) for one in priors_of(session, study)]
    assert seen == [("20240101", 2, ""), ("20220101", 1, "archive")]


def test_documents_name_the_earlier_study_and_pass_the_gate(site: Site, archived: Keep) -> None:
    """Earlier studies have sections and evidence of their own, and are not among the draft's own findings."""
    prior = film("ORTHANC-2/before", StudyDate="20250101")
    archived(prior, report(prior, "Large right effusion."))
    site.queue(film("ORTHANC-2/now"))
    site.fetcher.run_once()
    (claim,) = site.claim()
    material = site.material(claim)
    record = draft_record(
        draft(0.0),
        material,
        algorithm_of(identity()),
        DEFAULT_URGENCY,
        revision=1,
        created=datetime(2026, 1, 2, tzinfo=UTC),
        predecessors={"comprehensive3d": None},
    )
    pair = record.documents["comprehensive3d"]
    sources = [*material.headers, *material.priors.headers]
    assert validate_pair(encode(pair.findings), encode(pair.report), sources=sources) == ()
    for document in (pair.findings, pair.report):
        (other,) = dcmread(BytesIO(encode(document))).PertinentOtherEvidenceSequence
        assert other.StudyInstanceUID == prior.StudyInstanceUID
    sections = [
        str(item.ConceptNameCodeSequence[0].CodeMeaning)
        for item in pair.report.ContentSequence
        if item.ValueType == "CONTAINER"
    ]
    assert sections == [
        "Summary",
        "Prior Procedure Descriptions",
        "Previous Findings",
        "Findings",
        "Impressions",
    ]
    assert record.content["priors"] == {
        "code": "priors-found",
        "used": [
            {
                "study_instance_uid": prior.StudyInstanceUID,
                "study_date": "20250101",
                "report_from": "archive",
            }
        ],
    }
    assert "effusion" not in str(record.content["findings"])


def test_patient_without_earlier_studies_is_drafted_at_once(site: Site, archived: Keep) -> None:
    """Finding nothing is not a failure: no flag, no wait."""
    archived(film("ORTHANC-3-SOMEBODY-ELSE/before", StudyDate="20250101"))
    job_id = site.queue(film("ORTHANC-3/now"))
    site.fetcher.run_once()
    assert site.told(job_id)[-1] == "priors-none"
    (claim,) = site.claim()
    material = site.material(claim)
    assert (material.comparison, material.priors.warning) == ("", "")
    assert [flag.code for flag in material.flags] == ["missing_lateral"]


def test_prior_that_is_sent_for_real_later_makes_a_job(site: Site, archived: Keep) -> None:
    """A study that was fetched for comparison and is then auto-routed is drafted like any other."""
    prior = film("ORTHANC-4/before", StudyDate="20250101")
    archived(prior)
    site.queue(film("ORTHANC-4/now"))
    site.fetcher.run_once()
    site.claim()
    assert site.counts() == {"studies": 2, "jobs": 1, "listings": 0}
    site.queue(prior)
    site.fetcher.run_once()
    (claim,) = site.claim()
    assert claim.study_instance_uid == prior.StudyInstanceUID
    assert len(site.material(claim).images) == 1


def test_study_that_was_drafted_here_is_not_touched_by_its_copy(site: Site, archived: Keep) -> None:
    """A study received for drafting is compared as it is, without another transfer, with our own report."""
    prior = film("ORTHANC-5/before", StudyDate="20250101")
    archived(prior)
    first = site.queue(prior)
    site.fetcher.run_once()
    site.claim()
    with site.database.transaction() as session:
        study_id = session.get_one(Job, first).study_id
        values: dict[str, Any] = {"model_digest": "0", "model_name": "x", "demonstration": False}
        for revision, outcome in ((1, "drafted"), (2, "verified")):
            session.add(
                Draft(
                    study_id=study_id,
                    job_id=first,
                    revision=revision,
                    outcome=outcome,
                    text=f"Findings: {outcome}.",
                    content={},
                    created_at=database_now(session),
                    **values,
                )
            )
    site.queue(film("ORTHANC-5/now"))
    site.fetcher.run_once()
    (claim,) = site.claim()
    assert site.material(claim).priors.findings == ("Report of 2025-01-01: Findings: verified.",)
    with site.database.reading() as session:
        instances = session.scalars(select(Instance).where(Instance.study_id == study_id)).all()
        assert [one.prior for one in instances] == [False]


def test_late_and_repeated_prior_triggers_nothing(site: Site, archived: Keep) -> None:
    """An earlier study that is sent late or twice is still only an earlier study."""
    prior = film("ORTHANC-6/before", StudyDate="20250101")
    assert site.receive(prior, report(prior, "Clear."), prior, called=PRIORS) == [0, 0, 0]
    assert site.counts() == {"studies": 1, "jobs": 0, "listings": 0}
    assert site.complete() == []


def test_report_classes_are_offered_to_earlier_studies_only(site: Site) -> None:
    """A report auto-routed to us is given no presentation context, as it would be our own."""
    assert site.receive(report(film("ORTHANC-7/before"), "Clear."))[0] is None


def test_running_fetcher_lets_the_job_go_on(site: Site, archived: Keep) -> None:
    """The fetcher's thread finds the search by itself, and stops cleanly."""
    archived(film("ORTHANC-8/before", StudyDate="20250101"))
    site.fetcher.start()
    job_id = site.queue(film("ORTHANC-8/now"))
    wait_for(lambda: site.search_of(job_id).ended_at is not None)
    assert (site.search_of(job_id).code, len(site.claim())) == ("priors-found", 1)
