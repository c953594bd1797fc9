"""What machines ask the web process: health, readiness, metrics."""

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
    """Return a client at an address, of a site with these settings."""

    def make(address: str = "127.0.0.1", data: Database = database, **web: object) -> TestClient:
        settings = Settings(web=WebSettings.model_validate(web))
        app = create_app(settings, data, InstanceStore(tmp_path / "instances", 0))
        return TestClient(app, base_url="http://127.0.0.1", client=(address, 5000), follow_redirects=False)

    return make


def test_health_needs_neither_session_nor_database(ask: Ask) -> None:
    """The process lives: that is all it says, even where everybody must sign in."""
    broken = Database(open_engine("postgresql://nobody@127.0.0.1:1/none"))
    answer = ask(address="192.0.2.7", data=broken, require_sign_in=True).get("/healthz")
    assert (answer.status_code, answer.text, "set-cookie" in answer.headers) == (200, "ok\n", False)
    broken.close()


def test_ready_means_that_the_database_is_right(ask: Ask, tmp_path: Path) -> None:
    """Ready with the right schema; without it, 503 and the code that the documents explain."""
    empty = Database(open_engine(f"sqlite:///{tmp_path / 'empty.db'}"))
    assert ask().get("/readyz").status_code == 200
    answer = ask(data=empty).get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready: schema-outdated\n")
    empty.close()


def test_metrics_are_for_this_machine(ask: Ask) -> None:
    """Loopback reads them, another machine does not; no session is asked for."""
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
    """With a token set, it alone counts, wherever the question comes from."""
    client = ask(address="192.0.2.7", metrics_token="secret")
    headers = {"authorization": said.encode()} if said else {}
    assert client.get("/metrics", headers=headers).status_code == expected


def test_metrics_behind_a_proxy_need_the_token(ask: Ask) -> None:
    """A proxy on this machine makes strangers look like this machine."""
    assert ask(behind_proxy=True).get("/metrics").status_code == 403


def test_machines_may_only_ask(ask: Ask) -> None:
    """Nothing can be written there."""
    assert ask().post("/healthz").status_code == 405
