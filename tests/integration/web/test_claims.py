"""Claims: who is reading a study, for how long, and how it is taken over; the same on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from agent.database.audit.web_actor import Actor
from agent.database.session import Database
from agent.database.tables import AuditEvent, ReadingClaim
from agent.foundation.errors import NotFound
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.web.accounts import Role, add_user
from agent.web.app import create_app
from agent.web.claims import Reader, claim, read_claim, release, renew

from .conftest import PASSWORD, fields_of, judge, sign_in

pytestmark = pytest.mark.integration
Receive = Callable[..., int]


def reader(name: str) -> Reader:
    """A radiologist."""
    return Reader(holder=f"user:{name}", name=name, actor=Actor(name=name, address="127.0.0.1"))


ANN, BOB, CY = reader("ann"), reader("bob"), reader("cy")


def abandon(database: Database) -> None:
    """Let every lease expire."""
    with database.transaction() as session:
        for row in session.scalars(select(ReadingClaim)):
            row.lease_until -= timedelta(hours=1)


def holder_of(database: Database, study_id: int) -> str:
    """The holder of a study's claim."""
    standing = read_claim(database, study_id)
    return "" if standing is None else standing.holder


def test_claim_is_the_first_readers_until_it_is_taken_over(database: Database, receive: Receive) -> None:
    """A second reader gets the claim only by naming its current holder."""
    study_id = receive("1.2.3")
    assert claim(database, study_id, ANN, 15).holder == ANN.holder
    assert claim(database, study_id, BOB, 15).holder == ANN.holder
    assert claim(database, study_id, BOB, 15, over=CY.holder).holder == ANN.holder
    assert claim(database, study_id, BOB, 15, over=ANN.holder).holder == BOB.holder
    release(database, ANN, study_id)
    assert holder_of(database, study_id) == BOB.holder
    release(database, BOB, study_id)
    assert read_claim(database, study_id) is None
    with database.reading() as session:
        done = [
            (one.action, one.actor) for one in session.scalars(select(AuditEvent).order_by(AuditEvent.id))
        ]
    assert [one for one in done if "claim" in one[0]] == [
        ("claim", "ann"),
        ("claim-taken-over", "bob"),
        ("claim-released", "bob"),
    ]


def test_abandoned_claim_ends_with_its_lease(database: Database, receive: Receive) -> None:
    """Only the holder's own actions extend the lease, and not after it has expired."""
    study_id = receive("1.2.3")
    first = claim(database, study_id, ANN, 15)
    renew(database, study_id, BOB.holder, 60)
    renew(database, study_id, ANN.holder, 60)
    standing = read_claim(database, study_id)
    assert standing is not None
    assert standing.until >= first.until + timedelta(minutes=40)
    assert standing.since == first.since
    abandon(database)
    assert read_claim(database, study_id) is None
    renew(database, study_id, ANN.holder, 15)
    assert read_claim(database, study_id) is None
    assert claim(database, study_id, BOB, 15).holder == BOB.holder


def test_claim_of_no_study_is_refused(database: Database) -> None:
    """A study that does not exist cannot be claimed."""
    with pytest.raises(NotFound):
        claim(database, 999, ANN, 15)


def test_page_claims_shows_and_takes_over(
    settings: Settings, database: Database, store: InstanceStore, drafted: Receive
) -> None:
    """The list shows who is reading; another reader's verdict is refused, and its text is kept."""
    study_id = drafted("1.2.3")
    add_user(database, "rod", "Roe^Rod", Role.RADIOLOGIST, PASSWORD)
    add_user(database, "ann", "Poe^Ann", Role.RADIOLOGIST, PASSWORD)
    add_user(database, "rita", "Reader^Rita", Role.READER, PASSWORD)
    app = create_app(settings, database, store)
    rod, ann, rita = (TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) for _ in range(3))
    for client, name in ((rod, "rod"), (ann, "ann"), (rita, "rita")):
        assert sign_in(client, name) == 303

    def post(client: TestClient, what: str, **fields: str) -> str:
        token = fields_of(client.get(f"/studies/{study_id}").text)["form_token"]
        return client.post(f"/studies/{study_id}/{what}", data={"form_token": token} | fields).text

    assert "You are reading" in post(rod, "claim")
    assert "Rod Roe is reading" in ann.get("/").text
    assert "you are reading" in rod.get("/").text
    assert "only a radiologist" in post(rita, "claim")
    assert "Take it over" not in rita.get(f"/studies/{study_id}").text
    status, page = judge(ann, study_id, findings="Kept text.")
    assert (status, "Rod Roe is reading this study" in page, "Kept text." in page) == (409, True, True)
    holder = ann.get(f"/studies/{study_id}/state").json()["claim"]["holder"]
    assert "You are reading" in post(ann, "claim", over=holder)
    assert rod.get(f"/studies/{study_id}/state").json()["claim"]["mine"] is False
    assert judge(rod, study_id)[0] == 409
    assert judge(ann, study_id)[0] == 303
    assert read_claim(database, study_id) is None


def test_sign_out_ends_the_claims(client: TestClient, database: Database, drafted: Receive) -> None:
    """Signing out releases the user's claims."""
    study_id = drafted("1.2.3")
    add_user(database, "rod", "Roe^Rod", Role.RADIOLOGIST, PASSWORD)
    sign_in(client, "rod")
    token = fields_of(client.get("/").text)["form_token"]
    client.post(f"/studies/{study_id}/claim", data={"form_token": token})
    assert read_claim(database, study_id) is not None
    client.post("/sign-out", data={"form_token": token})
    assert read_claim(database, study_id) is None


def test_open_page_renews_its_claim_by_acts_alone(
    client: TestClient, database: Database, drafted: Receive
) -> None:
    """A page left open polls for changes, which does not renew its claim."""
    study_id = drafted("1.2.3")
    token = fields_of(client.get(f"/studies/{study_id}").text)["form_token"]
    client.post(f"/studies/{study_id}/claim", data={"form_token": token})
    with database.transaction() as session:
        session.execute(update(ReadingClaim).values(lease_until=ReadingClaim.claimed_at))
        session.scalars(select(ReadingClaim)).one().lease_until += timedelta(minutes=5)
    before = read_claim(database, study_id)
    client.get(f"/studies/{study_id}/state")
    assert read_claim(database, study_id) == before
    client.get(f"/studies/{study_id}/state?act=1")
    after = read_claim(database, study_id)
    assert before is not None
    assert after is not None
    assert after.until > before.until
