"""An image arrives after verification: what is drafted, which report stays valid, and what replaces it."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select

from agent.database.audit.web_actor import Actor
from agent.database.states import JobState
from agent.database.tables import Document, Draft, Listing, ListingTag, Study
from agent.database.verified import verified_report
from agent.drafting.worker import DraftingWorker
from agent.foundation.settings.tree import Settings
from agent.reports.edited_report import drafted_report
from agent.reports.sign_off import Observer, SignOffDecision, give

Film = Callable[..., Dataset]
Uids = tuple[str, ...]


class Desk:
    """A worker with a radiologist."""

    def __init__(self, house: Any, settings: Settings, reporter: Any) -> None:
        self.house, self.settings = house, settings
        self.worker = DraftingWorker(
            house.database, house.store, settings, reporter, owner="w", chance=Random(1)
        )

    def draft(self, *films: Dataset) -> Draft:
        """Receive and queue films, and draft the study."""
        self.house.queued(*films)
        self.worker.run_once()
        return self.newest()

    def newest(self) -> Draft:
        """The newest draft."""
        with self.house.database.reading() as session:
            return session.scalars(select(Draft).order_by(Draft.id.desc()).limit(1)).one()

    def judge(self, *, reason: str = "") -> Draft:
        """Accept the newest draft, or reject it with a reason."""
        with self.house.database.reading() as session:
            revision = session.scalars(select(Study.revision)).one()
        draft = self.newest()
        decision = SignOffDecision(
            study_id=draft.study_id,
            draft_id=draft.id,
            revision=revision,
            report=None if reason else drafted_report(draft.content, draft.text),
            reason=reason,
        )
        observer = Observer(person_name="Roe^Ann", user_id=None, actor=Actor(name="ann", address=""))
        give(self.house.database, self.house.store, self.settings, decision, observer)
        return self.newest()

    def documents(self, draft: Draft) -> list[Dataset]:
        """A draft's documents: first the findings, then the report."""
        with self.house.database.reading() as session:
            rows = session.scalars(
                select(Document).where(Document.draft_id == draft.id).order_by(Document.id)
            )
            return [dcmread(io.BytesIO(row.content)) for row in rows]

    def uids(self, draft: Draft) -> list[str]:
        """The SOP Instance UIDs of a draft's documents."""
        return [str(one.SOPInstanceUID) for one in self.documents(draft)]

    def shelf(self) -> tuple[str, bool]:
        """The study's shelf in the worklist, and whether it is flagged "new images after verification"."""
        with self.house.database.reading() as session:
            tags = session.scalars(select(ListingTag.tag)).all()
            return session.scalars(select(Listing.shelf)).one(), "flag:after_verification" in tags


@pytest.fixture
def desk(house: Any, settings: Settings, reporter: Any) -> Desk:
    """A worker and a radiologist without any study."""
    return Desk(house, settings, reporter)


def predecessors(document: Dataset) -> set[str]:
    """The SOP Instance UIDs of a document's predecessors."""
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in document.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def summary(document: Dataset) -> list[str]:
    """The lines of the report's Summary section."""
    sections = [item for item in document.ContentSequence if item.ValueType == "CONTAINER"]
    return [str(item.TextValue) for item in sections[0].ContentSequence]


def test_late_image_drafts_anew_and_the_verified_report_stands(desk: Desk, film: Film) -> None:
    """The new draft is preliminary, replaces nothing, and mentions the verified report in its text."""
    desk.draft(film(1, 1))
    verified = desk.judge()
    late = desk.draft(film(1, 2, ViewPosition="LL"))
    assert (late.outcome, late.revision) == ("drafted", 3)
    for document in desk.documents(late):
        assert (document.PreliminaryFlag, predecessors(document)) == ("PRELIMINARY", set())
    (flag,) = [one["text"] for one in late.content["flags"] if one["code"] == "after_verification"]
    assert flag.startswith("Images came after Roe Ann had verified the report of this study on ")
    assert desk.uids(verified)[1] in flag
    assert f"Please note: {flag}" in summary(desk.documents(late)[1])
    assert desk.shelf() == ("open", True)


def test_next_verdict_replaces_the_draft_and_the_verified_report(desk: Desk, film: Film) -> None:
    """The documents name those of the new draft and of the verified report as predecessors."""
    desk.draft(film(1, 1))
    verified = desk.judge()
    late = desk.draft(film(1, 2, ViewPosition="LL"))
    again = desk.judge()
    for place, document in enumerate(desk.documents(again)):
        assert (document.VerificationFlag, predecessors(document)) == (
            "VERIFIED",
            {desk.uids(late)[place], desk.uids(verified)[place]},
        )
    assert desk.shelf() == ("verified", False)


def test_rejecting_the_new_draft_leaves_the_verified_report_standing(desk: Desk, film: Film) -> None:
    """A rejection replaces only the rejected draft."""
    desk.draft(film(1, 1))
    verified = desk.judge()
    late = desk.draft(film(1, 2, ViewPosition="LL"))
    rejected = desk.judge(reason="The lateral view is another patient's.")
    for place, document in enumerate(desk.documents(rejected)):
        assert predecessors(document) == {desk.uids(late)[place]}
    with desk.house.database.reading() as session:
        valid = verified_report(session, verified.study_id)
    assert valid is not None
    assert valid.id == verified.id


def test_first_verdict_replaces_its_draft_alone(desk: Desk, film: Film) -> None:
    """Without a verified report the draft is the only predecessor."""
    first = desk.draft(film(1, 1))
    for place, document in enumerate(desk.documents(desk.judge())):
        assert predecessors(document) == {desk.uids(first)[place]}


def test_notice_replaces_no_verified_report(desk: Desk, film: Film) -> None:
    """If the late image cannot be drafted, a notice says so without replacing the verified report."""
    desk.settings = desk.settings.model_copy(
        update={"worker": desk.settings.worker.model_copy(update={"report_failed": True})}
    )
    desk.worker = DraftingWorker(
        desk.house.database,
        desk.house.store,
        desk.settings,
        desk.worker._reporter,
        owner="w",
        chance=Random(1),
    )
    desk.draft(film(1, 1))
    desk.judge()
    job_id = desk.house.receive(film(1, 2))
    desk.house.to(job_id, JobState.FAILED, code="image-unreadable")
    desk.worker.run_once()
    notice = desk.newest()
    assert notice.outcome == "failed"
    assert [predecessors(document) for document in desk.documents(notice)] == [set(), set()]
    assert "That report stands" in notice.content["reason"]
