"""Attacks: forged forms, planted sessions, and markup and SQL in every field."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from sqlalchemy import select, update
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from agent.database.session import Database
from agent.database.tables import AuditEvent, Study, User, WebSession
from agent.foundation.settings.tree import Settings
from agent.objects.store import InstanceStore
from agent.web.accounts import Role, add_user
from agent.web.app import create_app
from agent.web.throttle import Throttle

from .conftest import PASSWORD, fields_of, judge, sign_in

pytestmark = pytest.mark.integration
Receive = Callable[..., int]
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</textarea><script>alert(1)</script>",
    "{{ 7*7 }}{% include 'base.html' %}",
    "javascript:alert(1)",
    "'; DROP TABLE studies;--",
    "' OR 1=1 --",
    "%' ESCAPE '/' OR 'a'='a",
)


class Seen(HTMLParser):
    """What a browser would execute, and what it would show."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: set[str] = set()
        self.danger: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "script":
            self.scripts.add(values.get("src", "inline"))
        if tag in ("img", "svg", "iframe", "object", "embed", "base", "style"):
            self.danger.append(tag)
        self.danger += [name for name in values if name.startswith("on") or name == "style"]
        self.danger += [
            name for name in ("href", "src", "action") if "script:" in values.get(name, "").lower()
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def ours(client: TestClient, address: str) -> Seen:
    """Read a page, and check that only the application's own scripts run in it."""
    answer = client.get(address)
    assert answer.status_code == 200
    seen = Seen(answer.text)
    assert all(one.startswith("/static/") for one in seen.scripts)
    assert seen.danger == []
    return seen


@pytest.mark.parametrize("hostile", HOSTILE)
def test_markup_and_sql_in_every_field_are_text(client: TestClient, drafted: Receive, hostile: str) -> None:
    """Markup and SQL in any field of a study, a report or a search are shown and never executed."""
    study_id = drafted(
        "1.2.3",
        PatientName=hostile[:60],
        PatientID=hostile[:60],
        AccessionNumber=hostile[:16],
        StudyDescription=hostile[:60],
        findings=(hostile, "There is a left pneumothorax."),
    )
    ours(client, "/")
    assert hostile[:40] in ours(client, f"/studies/{study_id}").text
    answer = client.get("/", params={"q": hostile, "finding": hostile, "order": hostile, "after": hostile})
    assert (answer.status_code, Seen(answer.text).danger) == (200, [])
    assert judge(client, study_id, verdict="reject", reason=hostile, observer=hostile)[0] in (303, 422)
    assert judge(client, study_id, verdict="reject", reason=hostile)[0] == 303
    assert judge(client, study_id, findings=hostile)[0] == 303
    page = ours(client, f"/studies/{study_id}")
    assert page.text.count(hostile) >= 2
    drafts = [
        one.split('"')[0] for one in client.get(f"/studies/{study_id}").text.split('option value="')[1:4]
    ]
    compared = ours(client, f"/studies/{study_id}/compare?before={drafts[2]}&after={drafts[0]}")
    assert hostile.split()[0] in compared.text
    ours(client, "/statistics")
    ours(client, "/audit")
    assert client.get("/", params={"show": "all"}).text.count('data-study="') == 1


def test_every_page_asks_who_you_are(client: TestClient, drafted: Receive, database: Database) -> None:
    """Once there is a user, all pages but those for signing in redirect to the sign-in page."""
    study_id = drafted("1.2.3")
    add_user(database, "rod", "Roe^Rod", Role.RADIOLOGIST, PASSWORD)
    open_to_all = set()
    for path, methods in routes(client):
        address = path.replace("{study_id:int}", str(study_id)).replace("{instance_id:int}", "1")
        for method in methods - {"HEAD"}:
            if not client.request(method, address).headers.get("location", "").startswith("/sign-in"):
                open_to_all.add(path)
    assert open_to_all == {"/sign-in", "/sign-in/openid/", "/sign-in/openid/back"}


def test_every_form_needs_its_token(client: TestClient, drafted: Receive, database: Database) -> None:
    """Every POST needs the token of the browser that requested the page, signed in or not."""
    study_id = drafted("1.2.3")
    posts = [
        path.replace("{study_id:int}", str(study_id)) for path, methods in routes(client) if "POST" in methods
    ]
    assert len(posts) == 7
    for signed_in in (False, True):
        if signed_in:
            add_user(database, "rod", "Roe^Rod", Role.RADIOLOGIST, PASSWORD)
            assert sign_in(client, "rod") == 303
        for address in posts:
            for fields in ({"verdict": "accept"}, {"form_token": "0" * 64}, {"form_token": ""}):
                assert client.post(address, data=fields).status_code == 403
    with database.reading() as session:
        assert len(session.scalars(select(WebSession)).all()) == 1


def routes(client: TestClient) -> list[tuple[str, set[str]]]:
    """All paths of the application with their methods."""
    found: list[tuple[str, set[str]]] = []
    for route in client.app.routes:  # type: ignore[attr-defined]
        if isinstance(route, Route):
            found.append((route.path, set(route.methods or ())))
        elif isinstance(route, Mount) and route.path != "/static":
            found += [(f"{route.path}{one.path}", {"GET"}) for one in route.routes if isinstance(one, Route)]
    return found


def test_planted_session_and_token_are_worth_nothing_after_sign_in(
    client: TestClient, database: Database
) -> None:
    """Session fixation: signing in issues new cookies and ends the previous session."""
    add_user(database, "eve", "Eve^E", Role.READER, PASSWORD)
    add_user(database, "rod", "Roe^Rod", Role.RADIOLOGIST, PASSWORD)
    sign_in(client, "eve")
    planted = {name: client.cookies[name] for name in ("echo_session", "echo_visitor")}
    token = fields_of(client.get("/").text)["form_token"]
    assert sign_in(client, "rod") == 303
    assert client.cookies["echo_session"] != planted["echo_session"]
    assert client.cookies["echo_visitor"] != planted["echo_visitor"]
    assert client.post("/sign-out", data={"form_token": token}).status_code == 403
    client.cookies.clear()
    client.cookies.update(planted)
    assert client.get("/").status_code == 303


def test_session_ends_by_time_role_and_disabling(client: TestClient, database: Database) -> None:
    """A session ends after 30 idle minutes or twelve hours; a new role or a disabled user counts at once."""
    add_user(database, "rod", "Roe^Rod", Role.ADMIN, PASSWORD)
    for column, age in (
        (WebSession.seen_at, timedelta(minutes=31)),
        (WebSession.expires_at, timedelta(hours=13)),
    ):
        sign_in(client, "rod")
        assert client.get("/audit").status_code == 200
        with database.transaction() as session:
            row = session.scalars(select(WebSession)).one()
            setattr(row, column.key, getattr(row, column.key) - age)
        assert client.get("/audit").status_code == 303
    sign_in(client, "rod")
    with database.transaction() as session:
        session.execute(update(User).values(role="reader"))
    assert client.get("/audit").status_code == 403
    with database.transaction() as session:
        session.execute(update(User).values(disabled=True))
    assert client.get("/").status_code == 303


def test_cookies_are_secure_over_https(settings: Settings, database: Database, store: InstanceStore) -> None:
    """Cookies are Secure, HttpOnly and SameSite; the browser is told to stay with HTTPS."""
    add_user(database, "rod", "Roe^Rod", Role.READER, PASSWORD)
    client = TestClient(
        create_app(settings, database, store), base_url="https://127.0.0.1", follow_redirects=False
    )
    token = fields_of(client.get("/sign-in").text)["form_token"]
    answer = client.post("/sign-in", data={"form_token": token, "name": "rod", "password": PASSWORD})
    cookies = answer.headers.get_list("set-cookie")
    assert {one.split("=")[0] for one in cookies} == {"echo_session", "echo_visitor"}
    for one in cookies:
        assert {"Path=/", "HttpOnly", "SameSite=Strict", "Secure"} <= {
            part.strip() for part in one.split(";")
        }
    assert "max-age" in answer.headers["strict-transport-security"]


def test_lock_is_for_a_name_at_an_address(
    settings: Settings, database: Database, store: InstanceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five failures lock this name at this address, not other users there, nor the name elsewhere."""
    monkeypatch.setattr("agent.web.throttle.BRAKE_S", 0.0)
    for name in ("rod", "ann"):
        add_user(database, name, "Roe^Rod", Role.READER, PASSWORD)
    app = create_app(settings, database, store)
    here, elsewhere = (
        TestClient(app, base_url="http://127.0.0.1", follow_redirects=False, client=(address, 1))
        for address in ("192.0.2.1", "192.0.2.2")
    )
    assert [sign_in(here, "rod", "x") for _ in range(6)] == [401] * 5 + [429]
    assert [sign_in(here, f"nobody{number}", "x") for number in range(20)] == [401] * 20
    assert (sign_in(here, "rod"), sign_in(here, "ann"), sign_in(elsewhere, "rod")) == (429, 303, 303)
    with database.reading() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.action == "sign-in")).all()
    throttled = [(one.actor, one.address) for one in events if one.details.get("code") == "throttled"]
    assert (throttled, len(events)) == ([("rod", "192.0.2.1")] * 2, 29)


def test_many_failures_slow_an_address_and_a_name_down(client: TestClient) -> None:
    """Many failures delay each answer for the address or the name; nobody is locked out."""
    throttle = client.app.state.site.throttle  # type: ignore[attr-defined]
    for number in range(20):
        throttle.failed(f"name{number}", "192.0.2.1")
        throttle.failed("rod", f"192.0.2.{number}")
    assert throttle.brake_s("somebody", "192.0.2.1") > 0
    assert throttle.brake_s("rod", "192.0.2.99") > 0
    assert throttle.brake_s("somebody", "192.0.2.99") == 0
    assert throttle.wait_s("rod", "192.0.2.99") == throttle.wait_s("somebody", "192.0.2.1") == 0


def test_lock_ends_after_a_quarter_of_an_hour_whatever_the_clock_says() -> None:
    """The lock is timed by a monotonic clock, which setting the system clock does not change."""
    now = [0.0]
    assert Throttle()._seconds is time.monotonic
    throttle = Throttle(lambda: now[0])
    for _ in range(5):
        throttle.failed("rod", "192.0.2.1")
    now[0] = 899.0
    assert throttle.wait_s("rod", "192.0.2.1") == 1.0
    now[0] = 900.0
    assert throttle.wait_s("rod", "192.0.2.1") == 0.0


def test_names_in_the_audit_are_cleaned(client: TestClient, database: Database) -> None:
    """Line breaks, bidirectional and terminal control characters in a typed name are replaced."""
    sign_in(client, "rod\r\n\x1b[31m\u202e\u2028x", "x")
    with database.reading() as session:
        actor = session.scalars(select(AuditEvent.actor)).one()
    assert actor == "rod\ufffd\ufffd\ufffd[31m\ufffd\ufffdx"


def test_polls_keep_no_session_open(client: TestClient, database: Database) -> None:
    """Automatic requests of a page do not reset the idle time; user actions do."""
    add_user(database, "rod", "Roe^Rod", Role.READER, PASSWORD)
    sign_in(client, "rod")
    polls: list[tuple[str, dict[str, str]]] = [("/studies/1/state", {}), ("/", {"x-poll": "yes"})]
    for address, headers in [*polls, ("/", {})]:
        with database.transaction() as session:
            row = session.scalars(select(WebSession)).one()
            row.seen_at -= timedelta(minutes=5)
            before = row.seen_at
        client.get(address, headers=headers)
        with database.reading() as session:
            moved = session.scalars(select(WebSession.seen_at)).one() > before
        assert moved is ((address, headers) not in polls)


def test_sessions_outlive_the_process(
    client: TestClient, settings: Settings, database: Database, store: InstanceStore
) -> None:
    """The cookie key is stored: a restart signs nobody out, and open forms can still be sent."""
    add_user(database, "rod", "Roe^Rod", Role.READER, PASSWORD)
    assert sign_in(client, "rod") == 303
    token = fields_of(client.get("/").text)["form_token"]
    again = TestClient(
        create_app(settings, database, store), base_url="http://127.0.0.1", follow_redirects=False
    )
    again.cookies.update(client.cookies)
    assert again.get("/").status_code == 200
    assert again.post("/findings", data={"form_token": token, "findings": "Clear."}).status_code == 200


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/studies/999999", 404),
        ("GET", "/studies/1/films/99", 404),
        ("GET", "/studies/1/compare?before=1&after=x", 404),
        ("GET", "/studies/1/state", 404),
        ("GET", "/studies/99999999999999999999999", 404),
        ("GET", "/studies/-1", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e/app.py", 404),
        ("PUT", "/", 405),
        ("DELETE", "/sign-in", 405),
        ("GET", "/?q=%00", 200),
        ("GET", "/?q=" + "a" * 5000, 200),
        ("GET", "/?after=%00&limit=99999999999", 200),
        ("GET", "/?order=urgency&order=patient&show[]=x", 200),
    ],
)
def test_odd_requests_are_answered_in_few_words(
    client: TestClient, method: str, address: str, status: int
) -> None:
    """An odd request gets no internal error and no traceback, and always the security headers."""
    answer = client.request(method, address)
    assert answer.status_code == status
    assert "Traceback" not in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    if status != 200:
        assert len(answer.text) < 200


def test_forms_that_are_too_long_are_refused(client: TestClient) -> None:
    """A form that is too long, or of unknown length, is refused before it is read."""
    client.get("/")
    assert client.post("/findings", data={"findings": "x" * 300_000}).status_code == 413
    chunked = client.post("/findings", content=iter([b"findings=x"]))
    assert chunked.status_code == 413


def test_the_address_in_a_header_is_not_believed(client: TestClient, database: Database) -> None:
    """Without a proxy in the settings, X-Forwarded-For and -Host are ignored."""
    forged = {"x-forwarded-for": "192.0.2.7", "x-forwarded-host": "evil.example"}
    assert client.get("/audit", headers=forged).status_code == 200
    with database.reading() as session:
        assert session.scalars(select(AuditEvent.address)).all() == ["testclient"]
        assert session.scalars(select(Study.id)).all() == []
