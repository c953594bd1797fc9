"""WebSockets that flood, never read or are too many do not affect others."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import select
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from agent.database.session import Database
from agent.database.workitems import Subscription
from agent.foundation.settings.ups import Right, UpsPermission
from agent.ris.ups import channel as channel_module
from agent.ris.ups.channel import Channel
from agent.ris.ups.manager import Manager
from agent.ris.ups.permissions import Permissions
from agent.ris.ups.rs import ups_app
from agent.ris.ups.terms import GLOBAL_SUBSCRIPTION
from tests.support.ups import scheduled

ENTRY = UpsPermission(ae_title="READER", token="reader", may=(Right.READ, Right.SUBSCRIBE))
PERMISSIONS = Permissions([ENTRY, UpsPermission(ae_title="VIEWER", token="viewer")], "all")


def client_of(database: Database, token: str = "all") -> TestClient:
    """A client with a token."""
    app = ups_app(Manager(database), Channel(database, permissions=PERMISSIONS), permissions=PERMISSIONS)
    return TestClient(app, headers={"authorization": f"Bearer {token}"})


class StuckSocket:
    """A WebSocket whose peer reads nothing and sends nothing."""

    def __init__(self, title: str) -> None:
        self.path_params, self.headers = {"receiver": title}, {"authorization": "Bearer all"}
        self.client: Any = None
        self.closed: int | None = None

    async def accept(self) -> None:
        """Do nothing."""

    async def send_json(self, _message: object) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()

    async def receive(self) -> dict[str, str]:
        """Wait for ever."""
        await asyncio.Event().wait()
        return {}

    async def close(self, code: int) -> None:
        """Record the close code."""
        self.closed = code


def test_client_that_never_reads_is_disconnected(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limited number of its events wait; then it is closed with 1013, and a search finds them all."""
    monkeypatch.setattr(channel_module, "MOST_WAITING", 5)
    manager, stuck = Manager(database), StuckSocket("STUCK")
    manager.subscribe(str(GLOBAL_SUBSCRIPTION), "STUCK", known=True)
    channel = Channel(database, permissions=PERMISSIONS)

    async def flood() -> None:
        socket: Any = stuck
        serving = asyncio.create_task(channel.serve(socket))
        for number in range(20):
            await asyncio.to_thread(manager.create, f"2.25.9800.{number}", scheduled())
        await asyncio.wait_for(serving, 60)

    asyncio.run(flood())
    assert stuck.closed == 1013
    with client_of(database) as client:
        found = {one["00080018"]["Value"][0] for one in client.get("/workitems").json()}
    assert found == {f"2.25.9800.{number}" for number in range(20)}


def test_client_that_talks_without_end_is_disconnected(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscriber has no reason to send messages."""
    monkeypatch.setattr(channel_module, "MOST_HEARD", 10)
    with client_of(database) as client, client.websocket_connect("/subscribers/LOUD") as socket:
        for _ in range(10):
            socket.send_text("x")
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_json()
    assert ended.value.code == 1008


def test_too_many_channels_are_turned_away(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those already open keep working."""
    monkeypatch.setattr(channel_module, "MOST_CHANNELS", 2)
    with client_of(database) as client:
        client.post(f"/workitems/{GLOBAL_SUBSCRIPTION}/subscribers/A")
        with (
            client.websocket_connect("/subscribers/A") as first,
            client.websocket_connect("/subscribers/B"),
        ):
            with pytest.raises(WebSocketDisconnect), client.websocket_connect("/subscribers/C") as third:
                third.receive_json()
            body = scheduled().to_json()
            client.post("/workitems?2.25.9801.1", content=body, headers={"content-type": "application/json"})
            assert first.receive_json()["00001000"]["Value"] == ["2.25.9801.1"]


@pytest.mark.parametrize(
    ("token", "receiver", "opened"),
    [
        ("reader", "READER", True),
        ("reader", "OTHER", False),
        ("viewer", "VIEWER", False),
        ("none", "READER", False),
        ("all", "OTHER", True),
    ],
)
def test_channel_is_for_those_who_may_subscribe(
    database: Database, token: str, receiver: str, opened: bool
) -> None:
    """Each token opens the channel of its own AE title; the token in the settings opens any."""
    with client_of(database, token) as client:
        try:
            with client.websocket_connect(f"/subscribers/{receiver}"):
                found = True
        except WebSocketDisconnect:
            found = False
    assert found == opened


@pytest.mark.parametrize(
    ("token", "method", "path", "status"),
    [
        ("viewer", "GET", "/workitems", 200),
        ("viewer", "POST", "/workitems/1.2/cancelrequest", 403),
        ("viewer", "PUT", "/workitems/1.2/state", 403),
        ("viewer", "POST", "/workitems/1.2/subscribers/VIEWER", 403),
        ("reader", "POST", f"/workitems/{GLOBAL_SUBSCRIPTION}/subscribers/READER", 201),
        ("reader", "POST", f"/workitems/{GLOBAL_SUBSCRIPTION}/subscribers/OTHER", 403),
        ("reader", "DELETE", f"/workitems/{GLOBAL_SUBSCRIPTION}/subscribers/OTHER", 403),
        ("reader", "POST", "/workitems/1.2", 403),
        ("all", "POST", f"/workitems/{GLOBAL_SUBSCRIPTION}/subscribers/{'X' * 17}", 400),
        ("nobody", "GET", "/workitems", 401),
    ],
)
def test_token_does_what_it_may_and_nothing_else(
    database: Database, token: str, method: str, path: str, status: int
) -> None:
    """Beyond the token's rights: 403; an unknown token: 401; neither changes anything."""
    manager = Manager(database)
    assert manager.create("1.2", scheduled()).status == 0
    before = manager.get("1.2").dataset
    with client_of(database, token) as client:
        assert client.request(method, path).status_code == status
    with database.reading() as session:
        subscribed = list(session.scalars(select(Subscription.ae_title)))
    assert subscribed == (["READER"] if status == 201 else [])
    assert manager.get("1.2").dataset == before


def test_body_with_too_many_objects_is_refused_before_it_is_parsed(database: Database) -> None:
    """A megabyte of empty items would become hundreds of megabytes of Python objects."""
    body = '{"00404021": {"vr": "SQ", "Value": [' + ",".join(["{}"] * 30_000) + "]}}"
    kind = {"content-type": "application/dicom+json"}
    with client_of(database) as client:
        assert client.post("/workitems", content=body, headers=kind).status_code == 413
        assert client.post("/workitems", content="x" * 4_000_001, headers=kind).status_code == 413


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        ("00100020", "LO", "P\u0000"),
        ("00100020", "LO", "\ud800"),
        ("00100020", "LO", "9" * 65),
        ("00741204", "LO", "x" * 70_000),
        ("00100020", "SQ", {}),
        ("00400009", "FD", float("nan")),
    ],
)
def test_values_that_a_database_cannot_keep_are_refused_by_name(
    database: Database, tag: str, vr: str, value: object
) -> None:
    """NUL, a lone surrogate, too long a value, another VR and NaN are refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reply = Manager(database).create("2.25.9802.1", Dataset.from_json(_with(tag, vr, value)))
    assert (f"{reply.status:04X}", "invalid value" in reply.comment) == ("0106", True)


def _with(tag: str, vr: str, value: object) -> dict[str, Any]:
    item = scheduled().to_json_dict()
    item[tag] = {"vr": vr, "Value": [value]}
    return item
