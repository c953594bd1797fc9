"""Endpoints for monitoring of the web process: health, readiness, metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from agent.database.session import Database, open_engine
from agent.foundation.settings.tree import Settings, WebSettings
from agent.objects.store import InstanceStore
from agent.web.app import create_app

Ask = Callable[..., TestClient]


@pytest.fixture
def ask(database: Database, tmp_path: Path) -> Ask:
    """Return a function that makes a client with an address for a site with the given settings."""

    def make(address: str = "127.0.0.1", data: Database = database, **web: object) -> TestClient:
        settings = Settings(web=WebSettings.model_validate(web))
        app = create_app(settings, data, InstanceStore(tmp_path / "instances", 0))
        return TestClient(app, base_url="http://127.0.0.1", client=(address, 5000), follow_redirects=False)

    return make


def test_health_needs_neither_session_nor_database(ask: Ask) -> None:
    """The endpoint only says that the process is alive, even where sign-in is required."""
    broken = Database(open_engine("postgresql://nobody@127.0.0.1:1/none"))
    answer = ask(address="192.0.2.7", data=broken, require_sign_in=True).get("/healthz")
    assert (answer.status_code, answer.text, "set-cookie" in answer.headers) == (200, "ok\n", False)
    broken.close()


def test_ready_means_that_the_database_is_right(ask: Ask, tmp_path: Path) -> None:
    """With the right schema the service is ready; otherwise 503 and the documented code."""
    empty = Database(open_engine(f"sqlite:///{tmp_path / 'empty.db'}"))
    assert ask().get("/readyz").status_code == 200
    answer = ask(data=empty).get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready: schema-outdated\n")
    empty.close()


def test_metrics_are_for_this_machine(ask: Ask) -> None:
    """Metrics are readable from loopback without a session, but not from another machine."""
    answer = ask(require_sign_in=True).get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
    )
    assert "echo_agent_level 2.0" in answer.text
    assert ask(address="192.0.2.7").get("/metrics").status_code == 403


@pytest.mark.parametrize(
    ("said", "expected"), [("Bearer secret", 200), ("Bearer wrong", 403), ("", 403), ("Bearer é", 403)]
)
def test_metrics_are_for_who_has_the_token(ask: Ask, said: str, expected: int) -> None:
    """If a token is set, it alone counts, wherever the request comes from."""
    client = ask(address="192.0.2.7", metrics_token="secret")
    headers = {"authorization": said.encode()} if said else {}
    assert client.get("/metrics", headers=headers).status_code == expected


def test_metrics_behind_a_proxy_need_the_token(ask: Ask) -> None:
    """Behind a local proxy every client appears to be local."""
    assert ask(behind_proxy=True).get("/metrics").status_code == 403


def test_machines_may_only_ask(ask: Ask) -> None:
    """These endpoints are read-only."""
    assert {ask().post(one).status_code for one in ("/healthz", "/readyz", "/metrics")} == {405}
