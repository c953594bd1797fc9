"""The worklist over HTTP with curl: a workitem from its creation to its end, on a real socket."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from pydicom import Dataset
from websockets.sync.client import connect

from agent.commands.demo.orthanc import free_ports
from agent.database.session import Database
from agent.ris.ups.channel import Channel
from agent.ris.ups.manager import Manager
from agent.ris.ups.permissions import Permissions
from agent.ris.ups.rs import ups_app
from agent.ris.ups.terms import StepState
from tests.support.ups import outcome, scheduled

TOKEN = Permissions(token="secret")
MINE, WRONG = "2.25.51", "2.25.52"


@pytest.fixture
def http_port(manager: Manager, worklist_database: Database) -> Iterator[int]:
    """A running UPS-RS."""
    (port,) = free_ports(1)
    app = ups_app(manager, Channel(worklist_database, permissions=TOKEN), permissions=TOKEN)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    yield port
    server.should_exit = True
    thread.join(10)


class Curl:
    """Sends requests to the worklist."""

    def __init__(self, program: str, port: int, folder: Path) -> None:
        self._program, self._url, self._folder = program, f"http://127.0.0.1:{port}", folder

    def __call__(self, method: str, path: str, dataset: Dataset | None = None, token: str = "secret") -> str:
        """Return the status and the text of the Warning header, `200` or `400 The Transaction UID ...`."""
        body = self._folder / "body"
        headers = ["-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/dicom+json"]
        sent = []
        if dataset is not None:
            sent = ["--data-binary", json.dumps([dataset.to_json_dict()])]
        shown = "%{http_code} %header{warning}"
        command = [self._program, "-sS", "-X", method, *headers, *sent, "-o", str(body), "-w", shown]
        body.write_text("")
        done = subprocess.run(
            [*command, self._url + path], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    @property
    def body(self) -> list[dict[str, dict[str, list[object]]]]:
        """The answer's body."""
        found: list[dict[str, dict[str, list[object]]]] = json.loads((self._folder / "body").read_text())
        return found


def to(state: str, transaction: str) -> Dataset:
    """Return a request to change the state."""
    wanted = Dataset()
    wanted.ProcedureStepState, wanted.TransactionUID = state, transaction
    return wanted


def test_curl_walks_from_creation_to_the_end(
    http_port: int, uid: str, program: Callable[[str], str], tmp_path: Path
) -> None:
    """Create, search, subscribe, claim, progress, cancel request, completion: status, Warning and event."""
    curl = Curl(program("curl"), http_port, tmp_path)
    said = Dataset()
    step = Dataset()
    step.ProcedureStepProgress = "50"
    said.ProcedureStepProgressInformationSequence = [step]
    assert curl("GET", "/workitems", token="wrong").startswith("401")
    assert curl("POST", f"/workitems?{uid}", scheduled()) == "201"
    assert curl("POST", f"/workitems?{uid}", scheduled()).startswith("409")
    assert curl("POST", f"/workitems/{uid}/subscribers/CURL?deletionlock=true") == "201"
    assert curl("GET", f"/workitems?SOPInstanceUID={uid}&ProcedureStepState=SCHEDULED") == "200"
    assert [one["00080018"]["Value"] for one in curl.body] == [[uid]]
    where = f"ws://127.0.0.1:{http_port}/subscribers/CURL"
    with connect(where, additional_headers={"Authorization": "Bearer secret"}) as channel:
        assert curl("PUT", f"/workitems/{uid}/state", to("IN PROGRESS", MINE)) == "200"
        assert curl("PUT", f"/workitems/{uid}/state", to("IN PROGRESS", MINE)).startswith("409")
        assert curl("POST", f"/workitems/{uid}?{WRONG}", said).endswith("Transaction UID is incorrect.")
        assert curl("POST", f"/workitems/{uid}?{MINE}", said) == "200"
        assert curl("POST", f"/workitems/{uid}/cancelrequest/CURL") == "202"
        assert curl("PUT", f"/workitems/{uid}/state", to("COMPLETED", MINE)).startswith("409")
        assert curl("POST", f"/workitems/{uid}?{MINE}", outcome(StepState.COMPLETED)) == "200"
        assert curl("PUT", f"/workitems/{uid}/state", to("COMPLETED", MINE)) == "200"
        told = [json.loads(channel.recv(30)) for _ in range(4)]
    assert [one["00001002"]["Value"] for one in told] == [[1], [3], [2], [1]]
    assert told[-1]["00741000"]["Value"] == ["COMPLETED"]
    assert curl("POST", f"/workitems/{uid}/cancelrequest/CURL").endswith("already COMPLETED.")
    assert curl("GET", f"/workitems/{uid}") == "200"
    assert ("00081195" in curl.body[0], curl.body[0]["00741000"]["Value"]) == (False, ["COMPLETED"])
    assert curl("DELETE", f"/workitems/{uid}/subscribers/CURL") == "200"


def test_subscriber_that_was_cut_off_finds_by_a_search_what_it_missed(
    http_port: int, manager: Manager, uid: str, program: Callable[[str], str], tmp_path: Path
) -> None:
    """Missed events are not repeated after its WebSocket broke; it searches, then gets the next events."""
    curl = Curl(program("curl"), http_port, tmp_path)
    where = f"ws://127.0.0.1:{http_port}/subscribers/READER9"
    headers = {"Authorization": "Bearer secret"}
    assert curl("POST", f"/workitems?{uid}", scheduled()) == "201"
    assert curl("POST", f"/workitems/{uid}/subscribers/READER9") == "201"
    with connect(where, additional_headers=headers) as channel:
        channel.socket.close()
    assert manager.change_state(uid, "IN PROGRESS", MINE).status == 0
    with connect(where, additional_headers=headers) as channel:
        assert curl("GET", f"/workitems?SOPInstanceUID={uid}") == "200"
        assert curl.body[0]["00741000"]["Value"] == ["IN PROGRESS"]
        manager.update(uid, outcome(StepState.CANCELED), transaction_uid=MINE)
        assert manager.change_state(uid, "CANCELED", MINE).status == 0
        told = [json.loads(channel.recv(30)) for _ in range(2)]
    assert [one["00001002"]["Value"] for one in told] == [[3], [1]]
    assert told[-1]["00741000"]["Value"] == ["CANCELED"]
