"""The worklist's pages: what they show, what they refuse, and what a verdict writes."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable

import numpy as np
import pytest
from pydicom import dcmread
from sqlalchemy import select
from starlette.testclient import TestClient

from agent.database.session import Database
from agent.database.tables import AuditEvent, Delivery, Document, Draft, Verdict
from agent.foundation.errors import AccountInvalid, WebUnprotected
from agent.foundation.settings.tree import Settings, WebSettings
from agent.web.accounts import Role, add_user, set_password
from agent.web.app import check_protected
from dicom_sr.validate import validate

from .conftest import PASSWORD, fields_of, judge, sign_in

pytestmark = pytest.mark.integration
Receive = Callable[..., int]


def test_list_shows_urgency_with_its_reason_patient_and_flags(client: TestClient, drafted: Receive) -> None:
    """A row shows the patient, the urgency with its reason, the findings and the flags."""
    drafted("1.2.3")
    html = client.get("/").text
    for words in ("critical", "left pneumothorax", "JANE DOE", "A1", "2026-01-01", "low confidence",
                  "demonstration model", "preliminary"):  # fmt: skip
        assert words in html


def test_list_filters_searches_and_pages(client: TestClient, drafted: Receive) -> None:
    """All search words must match, in any case; % and _ are ordinary characters; a wrong value is ignored."""
    drafted("1.2.3", PatientName="ABLE^ANN", PatientID="P_1")
    drafted("1.2.4", PatientName="BAKER^BOB", PatientID="PX1")
    shown = {
        query: [name for name in ("ANN ABLE", "BOB BAKER") if name in client.get(f"/?{query}").text]
        for query in (
            "q=able",
            "q=p_1",
            "q=baker+px",
            "q=%25",
            "show=verified",
            "show=nonsense&after=zz&limit=x",
        )
    }
    assert shown == {
        "q=able": ["ANN ABLE"],
        "q=p_1": ["ANN ABLE"],
        "q=baker+px": ["BOB BAKER"],
        "q=%25": [],
        "show=verified": [],
        "show=nonsense&after=zz&limit=x": ["ANN ABLE", "BOB BAKER"],
    }


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'; DROP TABLE studies;--"]
)
def test_markup_and_sql_are_text(client: TestClient, drafted: Receive, hostile: str) -> None:
    """What a modality or a reader enters is shown literally and never executed."""
    study_id = drafted("1.2.3", PatientName=hostile, StudyDescription=hostile)
    for address in ("/", f"/studies/{study_id}"):
        html = client.get(address).text
        assert "<script>alert" not in html
        assert "<img src=x" not in html
    assert client.get("/", params={"q": hostile}).status_code == 200
    assert client.get("/").text.count('class="study') == 1


def test_accepting_writes_a_verified_revision_that_names_the_draft(
    client: TestClient, drafted: Receive, database: Database
) -> None:
    """The report is COMPLETE, VERIFIED, with observer and predecessor; the draft stays, deliveries wait."""
    study_id = drafted("1.2.3")
    assert judge(client, study_id)[0] == 303
    with database.reading() as session:
        drafts = session.scalars(select(Draft).order_by(Draft.id)).all()
        verdict = session.scalars(select(Verdict)).one()
        documents = session.scalars(select(Document).order_by(Document.id)).all()
        states = session.scalars(select(Delivery.state)).all()
    assert [(one.revision, one.outcome) for one in drafts] == [(1, "drafted"), (2, "verified")]
    assert (verdict.kind, verdict.edited_words, verdict.observer_name) == ("accepted", 0, "Roe^Richard")
    assert states == ["PENDING"] * 4
    report = dcmread(io.BytesIO(documents[3].content))
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "VERIFIED")
    assert report.VerifyingObserverSequence[0].VerifyingObserverName == "Roe^Richard"
    predecessor = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == documents[1].sop_instance_uid
    assert [validate(one.content) for one in documents] == [()] * 4


def test_accepting_with_changes_keeps_every_line_and_counts_the_edit(
    client: TestClient, drafted: Receive, database: Database
) -> None:
    """The findings follow the edited text; the agreement is recorded per concept."""
    study_id = drafted("1.2.3")
    changed = "No pneumothorax.\nNo pleural effusion.\nRecommendation: none needed."
    assert judge(client, study_id, findings=changed, impression="Normal chest.")[0] == 303
    with database.reading() as session:
        verdict = session.scalars(select(Verdict)).one()
        result = session.get_one(Draft, verdict.result_id)
    assert verdict.kind == "changed"
    assert verdict.edited_words > 0
    assert verdict.agreement["pneumothorax"] == ["present", "absent"]
    assert verdict.agreement["pleural_effusion"] == ["absent", "absent"]
    assert "Recommendation: none needed." in result.text
    assert "pneumothorax" in client.get("/statistics").text


def test_rejecting_needs_a_reason_and_sends_no_finding(
    client: TestClient, drafted: Receive, database: Database
) -> None:
    """Without a reason nothing is written; with one, the documents give it and none of the findings."""
    study_id = drafted("1.2.3")
    assert judge(client, study_id, verdict="reject", reason=" ")[0] == 422
    assert judge(client, study_id, verdict="reject", reason="wrong side")[0] == 303
    with database.reading() as session:
        verdict = session.scalars(select(Verdict)).one()
        contents = session.scalars(
            select(Document.content).where(Document.draft_id == verdict.result_id)
        ).all()
    assert (verdict.kind, verdict.reason) == ("rejected", "wrong side")
    assert [validate(one) for one in contents] == [(), ()]
    assert all(b"wrong side" in one for one in contents)
    with database.reading() as session:
        drafts = session.scalars(select(Document.content).where(Document.draft_id != verdict.result_id)).all()
    assert [sum(b"neumothorax" in one for one in some) for some in (drafts, contents)] == [2, 0]


def test_stale_edit_is_refused_and_keeps_the_text(
    client: TestClient, drafted: Receive, receive: Receive, database: Database
) -> None:
    """If an image arrives while the page is open, nothing is signed and the typed text is shown again."""
    study_id = drafted("1.2.3")
    before = fields_of(client.get(f"/studies/{study_id}").text)
    receive("1.2.3", SOPInstanceUID="1.2.3.1.2")
    text = "A sentence that must not be lost."
    status, html = judge(client, study_id, findings=text, **before)
    assert status == 409
    assert text in html
    assert "Another revision of this study arrived" in html
    with database.reading() as session:
        assert session.scalars(select(Verdict)).all() == []
    assert judge(client, study_id, findings=text)[0] == 303


def test_film_keeps_all_grey_levels_and_its_window(client: TestClient, drafted: Receive) -> None:
    """1,024 stored values arrive as 1,024 different values, with the window of the image."""
    study_id = drafted("1.2.3", WindowCenter="2048", WindowWidth="2048")
    address = re.search(r'data-film="([^"]+)"', client.get(f"/studies/{study_id}").text)
    assert address is not None
    answer = client.get(address[1])
    about, values = json.loads(answer.headers["x-film"]), np.frombuffer(answer.content, "<u2")
    assert (about["rows"], about["columns"], len(np.unique(values))) == (32, 32, 1024)
    assert 0.2 < about["low"] / 65535 < 0.3
    assert 0.7 < about["high"] / 65535 < 0.8


def test_every_view_is_audited(client: TestClient, drafted: Receive, database: Database) -> None:
    """Each view of the list, a study or an image records the user and the studies."""
    study_id = drafted("1.2.3")
    client.get("/")
    html = client.get(f"/studies/{study_id}").text
    client.get(re.findall(r'data-film="([^"]+)"', html)[0])
    with database.reading() as session:
        seen = select(AuditEvent).where(AuditEvent.actor == "local").order_by(AuditEvent.id)
        events = session.scalars(seen).all()
    assert [(one.action, one.study_id, one.actor) for one in events] == [
        ("list", None, "local"),
        ("view", study_id, "local"),
        ("image", study_id, "local"),
    ]
    assert events[0].details == {"studies": [study_id]}


def test_reader_sees_and_cannot_accept(client: TestClient, drafted: Receive, database: Database) -> None:
    """The server checks the role, whatever the page shows."""
    study_id = drafted("1.2.3")
    add_user(database, "rita", "Reader^Rita", Role.READER, PASSWORD)
    assert client.get("/").status_code == 303
    assert sign_in(client, "rita") == 303
    page = client.get(f"/studies/{study_id}").text
    assert 'id="accept"' not in page
    assert judge(client, study_id)[0] == 403
    assert (client.get("/statistics").status_code, client.get("/audit").status_code) == (403, 403)
    with database.reading() as session:
        assert session.scalars(select(Verdict)).all() == []


def test_radiologist_signs_with_the_name_of_the_account(
    client: TestClient, drafted: Receive, database: Database
) -> None:
    """A name in the form is ignored."""
    study_id = drafted("1.2.3")
    add_user(database, "rod", "Roe^Rod", Role.RADIOLOGIST, PASSWORD)
    sign_in(client, "rod")
    assert judge(client, study_id, observer="Somebody^Else")[0] == 303
    with database.reading() as session:
        assert session.scalars(select(Verdict.observer_name)).all() == ["Roe^Rod"]


def test_sign_in_is_limited_and_tells_nothing(client: TestClient, database: Database) -> None:
    """A wrong name and a wrong password look alike; after five failures even the right password must wait."""
    add_user(database, "rod", "Roe^Rod", Role.RADIOLOGIST, PASSWORD)
    assert [sign_in(client, "nobody", "x"), sign_in(client, "rod", "x")] == [401, 401]
    assert [sign_in(client, "rod", "x") for _ in range(4)] == [401] * 4
    assert sign_in(client, "rod") == 429


def test_session_ends_at_sign_out_and_at_a_new_password(client: TestClient, database: Database) -> None:
    """A copied cookie is invalid afterwards."""
    add_user(database, "rod", "Roe^Rod", Role.RADIOLOGIST, PASSWORD)
    sign_in(client, "rod")
    copied = client.cookies["echo_session"]
    token = fields_of(client.get("/").text)["form_token"]
    assert client.post("/sign-out", data={"form_token": token}).status_code == 303
    client.cookies.set("echo_session", copied)
    assert client.get("/").status_code == 303
    client.cookies.clear()
    sign_in(client, "rod")
    assert client.get("/").status_code == 200
    set_password(database, "rod", "another long password")
    assert client.get("/").status_code == 303
    client.cookies.set("echo_session", "forged.signature")
    assert client.get("/").status_code == 303


def test_forms_of_other_sites_are_refused(client: TestClient, drafted: Receive) -> None:
    """A form without this browser's token, from another site, or for an unknown host name is refused."""
    study_id = drafted("1.2.3")
    client.get("/")
    address = f"/studies/{study_id}/verdict"
    assert client.post(address, data={"verdict": "accept"}).status_code == 403
    assert client.post(address, data={"form_token": "0" * 64}).status_code == 403
    fields = fields_of(client.get(f"/studies/{study_id}").text)
    crossed = client.post(address, data=fields, headers={"sec-fetch-site": "cross-site"})
    assert crossed.status_code == 403
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_every_answer_has_the_protecting_headers(client: TestClient) -> None:
    """Scripts only from this server, no frames, nothing cached by the browser, no cookies for scripts."""
    for address in ("/", "/sign-in", "/nowhere", "/static/site.js"):
        headers = client.get(address).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
        assert headers["referrer-policy"] == "no-referrer"
    client.cookies.clear()
    answer = client.get("/")
    assert answer.headers["cache-control"] == "no-store"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=Strict" in answer.headers["set-cookie"]


def test_open_network_is_refused_without_users_or_encryption(database: Database) -> None:
    """Beyond loopback the page needs a user who can sign in, and TLS or a proxy that provides it.

    A page on loopback behind a proxy counts as beyond it: anyone can reach it through the proxy.
    """
    outside = Settings(web=WebSettings(host="0.0.0.0"))
    proxied = Settings(web=WebSettings(host="127.0.0.1", behind_proxy=True))
    for settings in (outside, proxied):
        with pytest.raises(WebUnprotected, match="user add"):
            check_protected(settings, database)
    check_protected(Settings(web=WebSettings(host="127.0.0.1")), database)
    add_user(database, "rod", "Roe^Rod", Role.RADIOLOGIST, PASSWORD)
    with pytest.raises(WebUnprotected, match="tls_certificate"):
        check_protected(outside, database)
    check_protected(Settings(web=WebSettings(host="0.0.0.0", behind_proxy=True)), database)
    check_protected(proxied, database)


@pytest.mark.parametrize(("name", "password"), [("rod", "short"), ("Rod Roe", PASSWORD), ("", PASSWORD)])
def test_bad_accounts_are_refused(database: Database, name: str, password: str) -> None:
    """Short passwords and invalid user names are refused."""
    with pytest.raises(AccountInvalid):
        add_user(database, name, "Roe^Rod", Role.READER, password)
