"""What a FHIR server's answer means for the bundle that was sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.messages.fhir.answer import TransactionResult, entries_of, judge


def judged(status: int, body: Any, entries: int = 2) -> tuple[TransactionResult, str]:
    """The outcome of an answer and its reason."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = judge(status, content, entries=entries, status_words=str(status))
    return found.outcome, found.reason


def response(*statuses: Any, kind: str = "transaction-response") -> dict[str, Any]:
    """A response bundle whose entries have these statuses; None gives an entry without a status."""
    entries = [{"response": {} if one is None else {"status": one}} for one in statuses]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def outcome(*issues: dict[str, Any]) -> dict[str, Any]:
    """An OperationOutcome."""
    return {"resourceType": "OperationOutcome", "issue": list(issues)}


@pytest.mark.parametrize(
    "body",
    [
        response("200 OK", "201 Created"),
        response("200", 201),
        response("201", "304 Not Modified"),
        response("201", "200", "200"),
        outcome({"severity": "information", "code": "informational"}),
        b"",
        b" \n",
    ],
)
def test_transaction_that_was_taken(body: Any) -> None:
    """Every entry has a success status, or there is no content at all."""
    assert judged(200, body) == (TransactionResult.TAKEN, "")


@pytest.mark.parametrize(
    "body",
    [
        response("201"),
        response("201", None),
        response("201", ""),
        response("201", "OK"),
        response("201", "2011"),
        response("201", ["200"]),
        response("201", "409 Conflict"),
        response("201", "503"),
        {"resourceType": "Bundle", "type": "transaction-response"},
        {"resourceType": "Bundle", "type": "transaction-response", "entry": [None, 1]},
        {"resourceType": "Bundle", "type": "transaction-response", "entry": [{"response": None}] * 2},
        outcome({"severity": "error", "code": "timeout"}),
        {"resourceType": "Patient"},
        {},
        [],
        b"<html>Sign in</html>",
        b"\xff",
    ],
)
def test_success_that_does_not_say_so_of_every_entry_is_tried_again(body: Any) -> None:
    """An entry without a status, a failed or missing entry, and a gateway's page are not success."""
    found, reason = judged(200, body)
    assert found is TransactionResult.AGAIN
    assert reason


def test_accepted_is_not_processed() -> None:
    """202: nothing is stored yet."""
    assert judged(202, b"")[0] is TransactionResult.AGAIN


@pytest.mark.parametrize("status", [400, 406, 410, 413, 415, 422])
def test_entry_or_bundle_that_would_be_refused_again_is_final(status: int) -> None:
    """The same bytes would get the same answer."""
    assert judged(status, b"")[0] is TransactionResult.NEVER
    assert judged(200, response("201", f"{status} Unprocessable"))[0] is TransactionResult.NEVER


@pytest.mark.parametrize("status", [302, 401, 403, 404, 408, 409, 412, 418, 500, 502, 504])
def test_what_may_change_is_tried_again(status: int) -> None:
    """Another writer, duplicates yet to be merged, and a patient or address not yet known may change."""
    assert judged(status, b"")[0] is TransactionResult.AGAIN


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (405, b""),
        (501, b""),
        (400, outcome({"severity": "error", "code": "not-supported"})),
        (422, outcome({"severity": "error", "code": "not-supported"})),
        (200, response("201", "201", kind="batch-response")),
    ],
)
def test_server_without_transactions_is_refused_in_words(status: int, body: Any) -> None:
    """A result is never written in parts, or `final` findings could be read under a `preliminary` report."""
    found, reason = judged(status, body)
    assert found is TransactionResult.NEVER
    assert "does not take transaction bundles" in reason


def test_details_are_kept_without_the_patient() -> None:
    """Codes and paths of an OperationOutcome are reported; texts, values and long numbers are not."""
    body = outcome(
        {
            "severity": "error",
            "code": "required",
            "details": {"coding": [{"code": "MSG_PARAM_INVALID"}], "text": "Müller^Jörg"},
            "diagnostics": "patient 4711815 Müller",
            "expression": ["Bundle.entry[2].resource.code", "Patient.where(name='Müller')"],
            "location": ["Bundle.entry[2].resource.code", "4711815"],
        },
        {"severity": "error", "code": "P4711815", "expression": ["Patient[4711815]"]},
        {"severity": "error", "code": "not-found"},
        {"severity": "error", "code": "not-found"},
        {"code": None, "details": 3, "expression": "x"},
    )
    reason = judged(422, body)[1]
    assert reason == (
        "the FHIR server answered 422 "
        "(required MSG_PARAM_INVALID at Bundle.entry[2].resource.code; not-found)"
    )
    inside = response("201", "422")
    inside["entry"][1]["response"]["outcome"] = body
    assert "required MSG_PARAM_INVALID" in judged(200, inside)[1]
    assert "Müller" not in reason


def test_entries_are_counted_in_what_was_sent() -> None:
    """Entries are counted in our own bundle; any other content has none."""
    assert entries_of(b'{"entry": [{}, {}]}') == 2
    assert entries_of(b"x") == entries_of(b"[]") == entries_of(b'{"entry": 1}') == 0
