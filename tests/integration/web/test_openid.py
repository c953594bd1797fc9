"""Sign-in at an OpenID provider, with a test provider that signs real tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc.jwk import RSAKey
from sqlalchemy import select, update
from starlette.testclient import TestClient

from agent.database.session import Database
from agent.database.tables import AuditEvent, User, Verdict
from agent.foundation.settings.tree import OidcSettings, Settings, WebSettings
from agent.objects.store import InstanceStore
from agent.web.accounts import Role, add_user
from agent.web.app import check_protected, create_app
from tests.support.openid_provider import CLIENT_ID, SECRET, Provider, running_provider

from .conftest import PASSWORD, judge, sign_in

pytestmark = pytest.mark.integration
Receive = Callable[..., int]
ROLES = {"rad": "radiologist", "admins": "admin", "doctors": "reader"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider where Rod Roe, a member of the group `rad`, is signed in."""
    with running_provider() as one:
        yield one


@pytest.fixture
def settings(provider: Provider, settings: Settings) -> Settings:
    """Settings that send people to the provider."""
    oidc = OidcSettings(issuer=provider.url, client_id=CLIENT_ID, client_secret=SECRET, roles=ROLES)
    return settings.model_copy(update={"web": WebSettings(oidc=oidc)})


def way_back(client: TestClient) -> str:
    """Go to the provider; return the address that it sends the browser back to."""
    begun = client.get("/sign-in/openid/")
    assert begun.status_code == 302
    back = httpx2.get(begun.headers["location"]).headers["location"]
    assert back.startswith("http://127.0.0.1/sign-in/openid/back?")
    return back


def test_openid_signs_in_with_the_role_of_the_claim(
    client: TestClient, provider: Provider, drafted: Receive, database: Database
) -> None:
    """A user with a valid token gets a session like a local user's, and signs with the provider's name."""
    study_id = drafted("1.2.3")
    assert client.get("/").status_code == 303
    assert "hospital" in client.get("/sign-in").text
    answer = client.get(way_back(client))
    assert (answer.status_code, 'http-equiv="refresh"' in answer.text) == (200, True)
    assert "Rod Roe · radiologist" in client.get("/").text
    assert judge(client, study_id)[0] == 303
    with database.reading() as session:
        assert session.scalars(select(Verdict.observer_name)).all() == ["Roe^Rod"]
        events = session.scalars(select(AuditEvent).where(AuditEvent.action == "sign-in")).all()
        user = session.scalars(select(User)).one()
    assert [(one.actor, one.succeeded) for one in events] == [("openid:rod", True)]
    assert (user.subject, user.password_hash) == (f"{provider.url}|0815", None)
    asked = provider.asked[0]
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
    assert len(asked["state"]) >= 20
    assert len(asked["nonce"]) >= 20


def lie_expired(provider: Provider) -> None:
    """Make the token an hour old."""
    provider.lies = {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 7200}


LIES: dict[str, Callable[[Provider], object]] = {
    "another's signature": lambda one: setattr(one, "signs_with", RSAKey.generate_key(2048, {"kid": "1"})),
    "expired": lie_expired,
    "wrong nonce": lambda one: one.lies.update(nonce="another"),
    "no nonce": lambda one: one.lies.update(nonce=None),
    "another issuer": lambda one: one.lies.update(iss="https://evil.example"),
    "another client": lambda one: one.lies.update(aud="another"),
    "public key as secret": lambda one: setattr(one, "forges", "HS256"),
    "unsigned": lambda one: setattr(one, "forges", "none"),
    "no token": lambda one: setattr(one, "without_id_token", True),
    "no role": lambda one: one.person.update(groups=["staff"]),
    "role of no list": lambda one: one.person.update(groups={"rad": 1}),
    "someone else's details": lambda one: (
        one.person.pop("groups"),
        setattr(one, "userinfo", {"sub": "0816", "groups": ["admins"]}),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_openid_refuses_what_is_not_to_be_believed(
    client: TestClient, provider: Provider, database: Database, lie: str
) -> None:
    """An invalid answer gives no session and no user, is recorded as one failed sign-in, and is not shown."""
    LIES[lie](provider)
    answer = client.get(way_back(client))
    assert answer.status_code == 403
    assert "Not signed in" in answer.text
    assert "echo_session" not in client.cookies
    assert client.get("/").status_code == 303
    with database.reading() as session:
        assert session.scalars(select(User)).all() == []
        assert session.scalars(select(AuditEvent.succeeded)).all() == [False]


def test_openid_answer_serves_one_browser_once(
    client: TestClient, settings: Settings, database: Database, store: InstanceStore
) -> None:
    """An answer is refused in another browser, with a changed state, and when used again."""
    other = TestClient(create_app(settings, database, store), base_url="http://127.0.0.1")
    back = way_back(client)
    assert other.get(back).status_code == 403
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert client.get(back.replace(state, "x" * len(state))).status_code == 403
    back = way_back(client)
    assert client.get(back).status_code == 200
    client.cookies.delete("echo_session")
    assert client.get(back).status_code == 403
    assert client.get("/").status_code == 303
    assert client.get("/sign-in/openid/back?error=access_denied").status_code == 403


def test_openid_role_is_the_newest_and_ends_with_it(
    client: TestClient, provider: Provider, settings: Settings, database: Database, store: InstanceStore
) -> None:
    """Each sign-in updates the role; a user who has lost it is signed out in every browser."""
    client.get(way_back(client))
    provider.person["groups"] = ["doctors", "admins"]
    other = TestClient(create_app(settings, database, store), base_url="http://127.0.0.1")
    other.follow_redirects = False
    other.get(way_back(other))
    assert "Rod Roe · admin" in other.get("/").text
    provider.person["groups"] = []
    assert other.get(way_back(other)).status_code == 403
    assert other.get("/").status_code == 303


def test_openid_and_local_users_stay_apart(
    client: TestClient, provider: Provider, database: Database
) -> None:
    """A provider's user takes over neither a local user nor another subject's user, and has no password."""
    add_user(database, "rod", "Local^Rod", Role.ADMIN, PASSWORD)
    client.get(way_back(client))
    provider.person["sub"] = "0816"
    client.get(way_back(client))
    with database.reading() as session:
        names = session.scalars(select(User.name).order_by(User.id)).all()
        roles = session.scalars(select(User.role).order_by(User.id)).all()
    assert [name.split("#")[0] for name in names] == ["rod", "openid:rod", "openid:rod"]
    assert (len(set(names)), roles) == (3, ["admin", "radiologist", "radiologist"])
    client.cookies.clear()
    assert sign_in(client, "openid:rod", "") == 401
    assert sign_in(client, "rod") == 303
    assert "Rod Local · admin" in client.get("/").text


def test_openid_user_who_was_disabled_stays_out(client: TestClient, database: Database) -> None:
    """A user disabled here is refused even if the provider accepts the sign-in."""
    client.get(way_back(client))
    with database.transaction() as session:
        session.execute(update(User).values(disabled=True))
    assert client.get("/").status_code == 303
    assert client.get(way_back(client)).status_code == 403


@pytest.mark.parametrize("calls_itself", ["https://evil.example", None])
def test_openid_provider_that_is_another_or_silent_is_said(
    client: TestClient, provider: Provider, settings: Settings, calls_itself: str | None,
    database: Database, store: InstanceStore,
) -> None:  # fmt: skip
    """The page reports an unreachable or wrong provider and offers the local sign-in."""
    changes: dict[str, Any] = {}
    if calls_itself is None:
        changes["issuer"] = "http://127.0.0.1:9"
    else:
        provider.calls_itself = calls_itself
    assert settings.web.oidc is not None
    web = WebSettings(oidc=settings.web.oidc.model_copy(update=changes))
    app = create_app(settings.model_copy(update={"web": web}), database, store)
    answer = TestClient(app, base_url="http://127.0.0.1").get("/sign-in/openid/")
    assert answer.status_code == 503
    assert 'name="password"' in answer.text


def test_openid_forged_answers_lock_no_colleague_out(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forged answers from the hospital's address at most slow sign-in at the provider down."""
    monkeypatch.setattr("agent.web.throttle.BRAKE_S", 0.0)
    assert {client.get("/sign-in/openid/back?code=x&state=y").status_code for _ in range(25)} == {403}
    assert client.get(way_back(client)).status_code == 200


def test_openid_is_not_there_unless_configured(database: Database, store: InstanceStore) -> None:
    """Without `web.oidc` none of its pages exist; with it, a network address needs no local user."""
    client = TestClient(create_app(Settings(), database, store), base_url="http://127.0.0.1")
    assert client.get("/sign-in/openid/").status_code == 404
    oidc = OidcSettings(issuer="https://id.example", client_id="x", roles={"a": "reader"})
    check_protected(Settings(web=WebSettings(host="0.0.0.0", behind_proxy=True, oidc=oidc)), database)
