"""The web application on an empty database of each kind, drafted studies, and a browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from agent.database.session import Database
from agent.foundation.settings.tree import DestinationSettings, Settings
from agent.objects.store import InstanceStore
from agent.web.app import create_app
from tests.support.passwords import quick_passwords
from tests.support.worklist import FINDINGS, IMPRESSION, receive_film, write_draft

PASSWORD = "correct horse battery"
Receive = Callable[..., int]


@pytest.fixture(autouse=True)
def cheap_hashes() -> Iterator[None]:
    """Sign-ins take no noticeable time."""
    with quick_passwords():
        yield


@pytest.fixture
def database(both_databases: Database) -> Database:
    """An empty database of each kind in turn: the pages behave the same on both."""
    return both_databases


@pytest.fixture
def settings() -> Settings:
    """Settings with one destination on this machine."""
    here = DestinationSettings(name="pacs", host="127.0.0.1", port=4242, ae_title="PACS")
    return Settings(destinations=(here,))


@pytest.fixture
def store(tmp_path: Path) -> InstanceStore:
    """An empty store."""
    return InstanceStore(tmp_path / "instances", 0)


@pytest.fixture
def client(settings: Settings, database: Database, store: InstanceStore) -> TestClient:
    """A browser on this machine."""
    return TestClient(
        create_app(settings, database, store), base_url="http://127.0.0.1", follow_redirects=False
    )


@pytest.fixture
def receive(database: Database, store: InstanceStore, settings: Settings) -> Receive:
    """Receive one film: `receive(uid, **attributes)`; returns the study's id."""

    def run(uid: str, **attributes: object) -> int:
        return receive_film(database, store, settings, uid, **attributes)

    return run


@pytest.fixture
def drafted(receive: Receive, database: Database, store: InstanceStore, settings: Settings) -> Receive:
    """Receive a film and draft its study as the worker does: `drafted(uid, **attributes)`."""

    def run(
        uid: str,
        *,
        findings: Sequence[str] = FINDINGS,
        impression: Sequence[str] = IMPRESSION,
        **attributes: object,
    ) -> int:
        study_id = receive(uid, **attributes)
        write_draft(database, store, settings, study_id, findings=findings, impression=impression)
        return study_id

    return run


def fields_of(html: str) -> dict[str, str]:
    """Return the hidden fields of the report's form."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', html))


def judge(client: TestClient, study_id: int, **changes: str) -> tuple[int, str]:
    """Open a study and give a verdict on it; return status and page."""
    fields = fields_of(client.get(f"/studies/{study_id}").text)
    fields |= {
        "findings": "\n".join(FINDINGS),
        "impression": "\n".join(IMPRESSION),
        "verdict": "accept",
        "observer": "Roe^Richard",
    }
    answer = client.post(f"/studies/{study_id}/verdict", data=fields | changes)
    return answer.status_code, answer.text


def sign_in(client: TestClient, name: str, password: str = PASSWORD) -> int:
    """Sign in; return the status."""
    token = fields_of(client.get("/sign-in").text)["form_token"]
    fields = {"form_token": token, "name": name, "password": password}
    return client.post("/sign-in", data=fields).status_code
