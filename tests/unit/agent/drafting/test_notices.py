"""Documents that report that there is no draft."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select

from agent.database.states import JobState
from agent.database.tables import Delivery, Document, Draft
from agent.drafting.worker import DraftingWorker
from agent.foundation.settings.tree import Settings, WorkerSettings
from agent.queue import operator
from tests.support.operator_context import operator_context_of

Film = Callable[..., Dataset]
BOTH = WorkerSettings(report_skipped=True, report_failed=True)


def documents(house: Any) -> list[tuple[str, Dataset]]:
    """The stored documents with their roles."""
    with house.database.reading() as session:
        rows = session.execute(select(Document.role, Document.content).order_by(Document.id)).all()
    return [(role, dcmread(io.BytesIO(content))) for role, content in rows]


def work(house: Any, settings: Settings, reporter: Any) -> None:
    """One run of the worker."""
    DraftingWorker(house.database, house.store, settings, reporter, owner="w", chance=Random(1)).run_once()


def skipped(house: Any, film: Film) -> int:
    """A study that a rule skipped."""
    job_id = house.receive(film(1, BodyPartExamined="HAND"))
    house.to(job_id, JobState.SKIPPED, code="not-a-chest")
    return int(job_id)


def test_notice_of_a_skipped_study_says_so(house: Any, settings: Settings, reporter: Any, film: Film) -> None:
    """A pair of documents without findings is delivered as usual; the job stays SKIPPED."""
    job_id = skipped(house, film)
    wanted = settings.model_copy(update={"worker": BOTH})
    work(house, wanted, reporter)
    work(house, wanted, reporter)
    found = documents(house)
    assert [role for role, _document in found] == ["findings", "report"]
    assert all("no draft" in str(document.SeriesDescription) for _role, document in found)
    assert house.job(job_id).state == "SKIPPED"
    with house.database.reading() as session:
        assert session.scalars(select(Draft.outcome)).all() == ["not_attempted"]
        assert session.scalars(select(Delivery.state)).all() == ["PENDING", "PENDING"]


def test_notice_of_a_failed_study_says_so(house: Any, settings: Settings, reporter: Any, film: Film) -> None:
    """An unreadable image gives a document where a reader would find the draft."""
    job_id = house.queued(film(1, BitsStored=4, HighBit=2))
    work(house, settings.model_copy(update={"worker": BOTH}), reporter)
    assert house.job(job_id).state == "FAILED"
    assert b"could not be read" in documents(house)[1][1].to_json().encode()


def test_notice_is_replaced_by_the_draft_that_comes_after_all(
    house: Any, settings: Settings, reporter: Any, film: Film
) -> None:
    """A retry by a person makes a draft whose documents name the notice as their predecessor."""
    job_id = house.queued(film(1))
    for path in (parked := list(house.store.path.glob("??/*.dcm"))):
        path.rename(path.with_suffix(".gone"))
    wanted = settings.model_copy(update={"worker": BOTH})
    # Without a readable header the study cannot be named: no notice, and no crash.
    work(house, wanted, reporter)
    assert documents(house) == []
    for path in parked:
        path.with_suffix(".gone").rename(path)
    work(house, wanted, reporter)
    assert len(documents(house)) == 2
    operator.retry(operator_context_of(house.database, house.store, settings), job_id, actor="admin")
    work(house, wanted, reporter)
    found = documents(house)
    assert len(found) == 4
    named = found[2][1].PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == found[0][1].SOPInstanceUID
    assert house.job(job_id).state == "DRAFTED"


@pytest.mark.parametrize("worker", [WorkerSettings(), WorkerSettings(report_failed=True)])
def test_notice_only_where_the_settings_want_it(
    house: Any, settings: Settings, reporter: Any, film: Film, worker: WorkerSettings
) -> None:
    """By default nothing is sent for a skipped study."""
    skipped(house, film)
    work(house, settings.model_copy(update={"worker": worker}), reporter)
    assert documents(house) == []
