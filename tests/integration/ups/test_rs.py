"""The worklist over HTTP: the same state table with HTTP statuses, searches, and events over a WebSocket."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydicom import Dataset
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from agent.database.session import Database
from agent.ris.ups.channel import Channel
from agent.ris.ups.manager import Manager
from agent.ris.ups.permissions import Permissions
from agent.ris.ups.rs import ups_app
from agent.ris.ups.terms import StepState
from tests.integration.ups.test_dimse import MINE, OTHER, bring_to, state_of
from tests.support.ups import CANCEL_TABLE, CHANGE_TABLE, Cell, outcome, scheduled

TYPE = {"content-type": "application/dicom+json"}
TOKEN = {"authorization": "Bearer secret"}
SECRET = Permissions(token="secret")
INCONSISTENT = "inconsistent with the state of the UPS Instance"


@pytest.fixture
def client(manager: Manager, worklist_database: Database) -> Iterator[TestClient]:
    """A client with the token."""
    app = ups_app(manager, Channel(worklist_database, permissions=SECRET), permissions=SECRET)
    with TestClient(app, headers=TOKEN) as opened:
        yield opened


def body(dataset: Dataset) -> str:
    """Return a dataset as the body of a request."""
    return json.dumps(dataset.to_json_dict())


def expected(cell: Cell) -> tuple[int, str]:
    """Return the HTTP status and the text of the Warning header (PS3.18 11.7.3, 11.8.3)."""
    if cell.status == 0xC307:
        return 404, ""
    if cell.cancel_request:
        return {
            0: (202, ""),
            0xC311: (409, "already COMPLETED"),
            0xB304: (409, "already in the requested state"),
        }[cell.status]
    if cell.status == 0xC301:
        missing = cell.present is StepState.SCHEDULED
        return 400, "Transaction UID is missing" if missing else "Transaction UID is incorrect"
    already = "already in the requested state of "
    warnings = {0: "", 0xB304: already + "CANCELED", 0xB306: already + "COMPLETED"}
    return (200, warnings[cell.status]) if cell.status in warnings else (409, INCONSISTENT)


@pytest.mark.parametrize("cell", [*CHANGE_TABLE, *CANCEL_TABLE], ids=str)
def test_every_cell_of_the_state_table(manager: Manager, client: TestClient, uid: str, cell: Cell) -> None:
    """Each cell gives its HTTP status, Warning header and resulting state."""
    bring_to(manager, cell.present, uid)
    if cell.cancel_request:
        response = client.post(f"/workitems/{uid}/cancelrequest/READER", headers=TYPE)
    else:
        if cell.present is StepState.IN_PROGRESS and cell.requested.final:
            changed = client.post(
                f"/workitems/{uid}?{MINE}", content=body(outcome(cell.requested)), headers=TYPE
            )
            assert changed.status_code == 200
        claimed = cell.present not in (None, StepState.SCHEDULED)
        request = Dataset()
        request.ProcedureStepState = cell.requested.value
        request.TransactionUID = {"right": MINE, "wrong": OTHER if claimed else "", "none": ""}[
            cell.transaction
        ]
        response = client.put(f"/workitems/{uid}/state", content=body(request), headers=TYPE)
    status, words = expected(cell)
    assert (status, cell.after) == (response.status_code, state_of(manager, uid))
    assert words in response.headers.get("warning", "")
    assert bool(words) == ("warning" in response.headers)


def test_create_answers_where_the_workitem_is(client: TestClient, uid: str) -> None:
    """Creating answers 201 with the address; a duplicate is a conflict, a missing attribute is named."""
    made = client.post(f"/workitems?{uid}", content=body(scheduled()), headers=TYPE)
    assert (made.status_code, made.headers["content-location"].endswith(f"/workitems/{uid}")) == (201, True)
    assert client.post(f"/workitems?{uid}", content=body(scheduled()), headers=TYPE).status_code == 409
    lacking = client.post("/workitems", content=body(scheduled(ProcedureStepLabel=None)), headers=TYPE)
    assert (lacking.status_code, "ProcedureStepLabel" in lacking.text) == (400, True)
    found = client.get(f"/workitems/{uid}").json()
    assert (len(found), found[0]["00741204"]["Value"]) == (1, ["AI draft"])
    assert "00081195" not in found[0]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ("{", "application/dicom+json", 400),
        ("[]", "application/dicom+json", 400),
        ('{"00100010": 7}', "application/dicom+json", 400),
        ("[" * 100_000, "application/dicom+json", 400),
        ("<xml/>", "application/dicom+xml", 415),
        ('{"0040A370": {"vr": "SQ", "Value": 3}}', "application/dicom+json", 400),
    ],
)
def test_unreadable_bodies_are_refused(client: TestClient, content: str, kind: str, status: int) -> None:
    """An unreadable body is answered with a client error, never an internal error."""
    answer = client.post("/workitems", content=content, headers={"content-type": kind})
    assert answer.status_code == status


def test_search_matches_by_keyword_tag_and_nested_attribute(client: TestClient, uid: str) -> None:
    """Search keys are attributes; an unknown attribute is a bad request."""
    client.post(f"/workitems?{uid}", content=body(scheduled(PatientID="SEARCHED")), headers=TYPE)
    for query in (
        "PatientID=SEARCHED",
        "00100020=SEARCH*&ScheduledWorkitemCodeSequence.CodeValue=110003",
        "PatientName=doe*&PatientID=SEARCHED&ScheduledProcedureStepStartDateTime=20261128-",
        "InputInformationSequence.StudyInstanceUID=1.2.3&PatientID=SEARCHED",
    ):
        found = client.get(f"/workitems?{query}")
        assert [one["00080018"]["Value"] for one in found.json()] == [[uid]], query
    assert client.get("/workitems?PatientID=NOBODY").status_code == 204
    assert client.get("/workitems?Nonsense=1").status_code == 400
    assert client.get("/workitems?PatientID=SEARCHED&offset=1").status_code == 204
    assert len(client.get("/workitems?limit=1&includefield=all").json()) == 1


def test_without_the_token_nothing_is_answered(manager: Manager, worklist_database: Database) -> None:
    """Without the token, requests are refused and no channel opens; with it, the channel opens."""
    app = ups_app(manager, Channel(worklist_database, permissions=SECRET), permissions=SECRET)
    with TestClient(app) as stranger:
        assert stranger.get("/workitems").status_code == 401
        with pytest.raises(WebSocketDisconnect), stranger.websocket_connect("/subscribers/WS1"):
            pass
        with stranger.websocket_connect("/subscribers/WS1", headers=TOKEN):
            pass


def test_channel_tells_what_happens_from_then_on(manager: Manager, client: TestClient, uid: str) -> None:
    """Events of a subscription arrive over the WebSocket; after a disconnection a search finds the state."""
    bring_to(manager, StepState.SCHEDULED, uid)
    made = client.post(f"/workitems/{uid}/subscribers/WS1")
    assert (made.status_code, made.headers["content-location"].startswith("ws")) == (201, True)
    with client.websocket_connect("/subscribers/WS1", headers=TOKEN) as channel:
        assert manager.change_state(uid, "IN PROGRESS", MINE).status == 0
        told = channel.receive_json()
    assert (told["00001000"]["Value"], told["00001002"]["Value"]) == ([uid], [1])
    assert told["00741000"]["Value"] == ["IN PROGRESS"]
    manager.update(uid, outcome(StepState.COMPLETED), transaction_uid=MINE)
    assert manager.change_state(uid, "COMPLETED", MINE).status == 0
    found = client.get(f"/workitems?SOPInstanceUID={uid}").json()
    assert found[0]["00741000"]["Value"] == ["COMPLETED"]
    assert client.delete(f"/workitems/{uid}/subscribers/WS1").status_code == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PatientName=100%25*", ["a"]),
        ("PatientName=1___*", []),
        ("PatientName=%25", []),
        ("PatientName=o'br_en*", ["b"]),
        ("PatientName=O?BR_EN^x*", ["b"]),
        ("PatientName=m%C3%BCLLER^*", ["c"]),
        ("PatientName=*ller*", ["c"]),
        ("PatientName=%E5%B1%B1*", ["d"]),
        ("PatientName=Back%5CSlash", []),
        ("PatientName=';DROP TABLE workitems;--", []),
        ("ReferencedRequestSequence.AccessionNumber=A%25", []),
        ("ReferencedRequestSequence.AccessionNumber=A_2", ["b"]),
        ("ReferencedRequestSequence.AccessionNumber=A*", ["a", "b", "c"]),
        ("ReferencedRequestSequence.AccessionNumber=SECOND", ["c"]),
        ("PatientID=P_", ["d"]),
        ("PatientID=P?", ["a", "b", "c", "d"]),
    ],
)
def test_wild_cards_are_those_of_the_standard_and_no_others(
    manager: Manager, client: TestClient, query: str, found: list[str]
) -> None:
    """`*` and `?` are wild cards; SQL's wild cards, quotes and backslashes are ordinary characters."""
    for number, name, patient, accessions in (
        ("a", "100%^Sure", "P1", ["A1"]),
        ("b", "O'Br_en^X", "P2", ["A_2"]),
        ("c", "Müller^Jörg", "P3", ["AX3", "SECOND"]),
        ("d", "山田^太郎", "P_", []),
    ):
        orders = []
        for one in accessions:
            order = Dataset()
            order.StudyInstanceUID, order.AccessionNumber = "1.2.3", one
            orders.append(order)
        uid = f"2.25.4500.{ord(number)}"
        values = {"PatientName": name, "PatientID": patient, "ReferencedRequestSequence": orders}
        manager.create(uid, scheduled(WorklistLabel="WILD", **values))
    answer = client.get(f"/workitems?{query}&WorklistLabel=WILD")
    uids = [one["00080018"]["Value"][0] for one in answer.json()] if answer.status_code == 200 else []
    assert [chr(int(uid.rsplit(".", 1)[-1])) for uid in uids] == found
