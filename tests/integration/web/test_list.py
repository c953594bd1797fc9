"""The list's sort orders, filters and pages; the same on both databases."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from agent.database.session import Database, database_now
from agent.database.tables import Draft, Job, Listing, ListingTag, Study
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.reports import worklist_row as listing
from tests.support.worklist import write_draft

from .conftest import judge

pytestmark = pytest.mark.integration
Receive = Callable[..., int]
NORMAL = ("The lungs are clear.",)
RIB = ("There is a right rib fracture.",)


def names(client: TestClient, address: str) -> list[str]:
    """The patients on a page of the list, in its order."""
    return re.findall(r'<th scope="row"><a href="/studies/\d+[^"]*">([^<]*)</a>', client.get(address).text)


@pytest.fixture
def three(drafted: Receive) -> None:
    """Three studies: ANN with a pneumothorax, BOB with a broken rib, CARL with nothing."""
    drafted("1.2.3", PatientName="CARL", StudyDate="20260103", impression=NORMAL, findings=NORMAL)
    drafted("1.2.4", PatientName="BOB", StudyDate="20260101", impression=RIB, findings=RIB)
    drafted("1.2.5", PatientName="ann", StudyDate="20260102")


@pytest.mark.usefixtures("three")
def test_list_sorts_by_urgency_arrival_patient_and_study_time(client: TestClient) -> None:
    """The list sorts by each order that a reader can choose; names sort regardless of case."""
    found = {order: names(client, f"/?order={order}") for order in ("waiting", "arrival", "patient", "study")}
    assert names(client, "/")[0] == "ann"
    assert found == {
        "waiting": ["CARL", "BOB", "ann"],
        "arrival": ["ann", "BOB", "CARL"],
        "patient": ["ann", "BOB", "CARL"],
        "study": ["CARL", "ann", "BOB"],
    }


@pytest.mark.usefixtures("three")
def test_list_filters_by_finding_and_mark(client: TestClient) -> None:
    """An absent finding does not match; an unknown finding or flag is ignored."""
    asked = ("finding=pneumothorax", "finding=rib_fracture", "finding=pleural_effusion", "finding=normal",
             "flag=low_confidence&finding=rib_fracture", "flag=truncated", "finding=%27%20OR%201=1", "flag=x",
             "flag=conflict", "show=all&order=patient&finding=pneumothorax")  # fmt: skip
    assert {one: sorted(names(client, f"/?{one}")) for one in asked} == {
        "finding=pneumothorax": ["ann"],
        "finding=rib_fracture": ["BOB"],
        "finding=pleural_effusion": [],
        "finding=normal": ["CARL"],
        "flag=low_confidence&finding=rib_fracture": ["BOB"],
        "flag=truncated": [],
        "finding=%27%20OR%201=1": ["BOB", "CARL", "ann"],
        "flag=x": ["BOB", "CARL", "ann"],
        "flag=conflict": [],
        "show=all&order=patient&finding=pneumothorax": ["ann"],
    }
    page = client.get("/?finding=rib_fracture").text
    assert '<option value="rib_fracture" selected>' in page
    assert 'href="/?finding=pneumothorax" data-finding="pneumothorax"' in client.get("/").text


@pytest.mark.parametrize("order", ["urgency", "waiting", "arrival", "patient", "study"])
@pytest.mark.parametrize("show", ["open", "all"])
def test_pages_show_each_study_once(database: Database, client: TestClient, order: str, show: str) -> None:
    """In every order the second page continues where the first ended, and there is no third."""
    with database.transaction() as session:
        listed(session, 70)
    first = client.get(f"/?order={order}&show={show}")
    address = re.search(r'data-more="(/\?[^"]*after=[^"]*)"', first.text)
    assert address is not None
    second = client.get(address[1].replace("&amp;", "&"), headers={"hx-request": "true"})
    assert "<strong>70</strong> studies" in first.text
    assert "Show more" not in second.text
    shown = [re.findall(r'data-study="(\d+)"', one.text) for one in (first, second)]
    assert [len(one) for one in shown] == [50, 20]
    assert len({*shown[0], *shown[1]}) == 70


@pytest.mark.parametrize("cursor", ["zz", "W10=", "WzEsMl0=", "WyJ4IiwxLDJd", "WzUwLCJub3ciLDFd", "bnVsbA=="])
def test_cursor_that_is_not_ours_counts_as_none(client: TestClient, drafted: Receive, cursor: str) -> None:
    """An address with an invalid cursor shows the list from its top."""
    drafted("1.2.3")
    assert client.get(f"/?after={cursor}").text.count('data-study="') == 1


def test_list_keeps_the_newest_draft_alone(database: Database, drafted: Receive) -> None:
    """An older draft that is entered late changes nothing."""
    study_id = drafted("1.2.3")
    with database.transaction() as session:
        newest = session.scalars(select(Draft)).one()
        older = Draft(id=newest.id - 1, study_id=study_id, outcome="rejected", urgency=1, content={})
        older.created_at, older.demonstration = newest.created_at, False
        listing.enter(session, older)
        line = session.scalars(select(Listing)).one()
        tags = set(session.scalars(select(ListingTag.tag)))
    assert (line.draft_id, line.shelf) == (newest.id, "open")
    assert tags == {"pneumothorax", "flag:low_confidence", "flag:demonstration"}


def test_new_images_after_verification_are_said_and_the_report_stands(
    client: TestClient,
    drafted: Receive,
    receive: Receive,
    database: Database,
    store: InstanceStore,
    settings: Settings,
) -> None:
    """The study returns to the list with a flag; its page shows the verified report until the verdict."""
    study_id = drafted("1.2.3")
    assert judge(client, study_id, findings="Verified words.", impression="Verified too.")[0] == 303
    assert names(client, "/?show=verified") == ["JANE DOE"]
    receive("1.2.3", SOPInstanceUID="1.2.3.1.2")
    assert "new images after verification" in client.get("/?show=verified").text
    write_draft(database, store, settings, study_id)
    assert (names(client, "/?flag=after_verification"), names(client, "/?show=verified")) == (
        ["JANE DOE"],
        [],
    )
    page = client.get(f"/studies/{study_id}").text
    assert "stays the report of this study until" in page
    assert "Verified words." in page
    assert judge(client, study_id)[0] == 303
    assert names(client, "/?flag=after_verification&show=all") == []
    assert "stays the report of this study until" not in client.get(f"/studies/{study_id}").text


def listed(session: Session, count: int) -> None:
    """Enter studies that share urgency, times and names, so that only their numbers tell them apart."""
    now = database_now(session)
    studies = [
        Study(study_instance_uid=f"1.9.{number}", first_received_at=now, last_received_at=now)
        for number in range(1, count + 1)
    ]
    session.add_all(studies)
    session.flush()
    times = {"run_after": now, "created_at": now, "updated_at": now}
    jobs = [
        Job(idempotency_key=str(one.id), study_id=one.id, revision=1, state="DRAFTED", **times)
        for one in studies
    ]
    session.add_all(jobs)
    session.flush()
    drafts = [
        Draft(study_id=job.study_id, job_id=job.id, revision=1, model_digest="0", model_name="test")
        for job in jobs
    ]
    for draft in drafts:
        draft.demonstration, draft.text, draft.content, draft.created_at = False, "", {}, now
    session.add_all(drafts)
    session.flush()
    for draft in drafts:
        listing.enter(session, draft)
