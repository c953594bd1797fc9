"""What a FHIR server's answer to a transaction means: accepted, to be retried, or refused. Pure.

An OperationOutcome may quote the patient, so only its codes and the paths of elements are kept.

Source: FHIR R4 http.html#transaction-response, #trules, operationoutcome, bundle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

# Statuses with which the server would refuse the same bundle again.
_FOR_GOOD = frozenset({400, 406, 410, 413, 415, 422})
_NO_TRANSACTIONS = frozenset({405, 501})
_UNSUPPORTED = "not-supported"
# 304: the resource already has this content.
_UNCHANGED = 304
_MEANINGS = {
    404: "there is nothing at this address, or the server does not know the patient: check `fhir.url`",
    409: "somebody else is changing the same resources",
    412: "more than one resource of the server has one of our identifiers: its duplicates must be merged",
}
_NO_TRANSACTION_WORDS = (
    "the FHIR server does not take transaction bundles, and a result is never written in parts: use a server "
    "that offers `transaction`"
)
_MOST_ISSUES = 5
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
# An element's path; an index has few digits, and a quoted value is not a path.
_PATH = re.compile(r"[A-Za-z]+(\.[A-Za-z]+|\[\d{1,3}\]){0,12}")
_LONG_NUMBER = re.compile(r"\d{4,}")


class TransactionResult(Enum):
    """The consequence for the message."""

    TAKEN = "taken"
    AGAIN = "again"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionOutcome:
    """How a transaction ended; `reason` is for the operator, without patient data."""

    outcome: TransactionResult
    reason: str = ""


_TAKEN = TransactionOutcome(outcome=TransactionResult.TAKEN)


def judge(status: int, content: bytes, *, entries: int, status_words: str) -> TransactionOutcome:
    """Return what an answer means for a bundle of `entries` entries.

    status_words: the status in words. Success without content is success: a transaction is accepted as a
    whole or not at all, and a server may omit the response (`Prefer: return=minimal`).
    """
    answer = _json(content)
    if 200 <= status < 300:
        if status == 202:
            return _again("the FHIR server answered 202: it has not processed the bundle yet")
        return _TAKEN if not content.strip() else _judge_success(answer, entries)
    details = _details(answer)
    if status in _NO_TRANSACTIONS or (status in _FOR_GOOD and _UNSUPPORTED in _codes(answer)):
        return TransactionOutcome(
            outcome=TransactionResult.NEVER, reason=f"{_NO_TRANSACTION_WORDS} (it answered {status})"
        )
    words = f"the FHIR server answered {_named(status, status_words)}{details}"
    return (
        TransactionOutcome(outcome=TransactionResult.NEVER, reason=words)
        if status in _FOR_GOOD
        else _again(words)
    )


def _judge_success(answer: Mapping[str, Any], entries: int) -> TransactionOutcome:
    """Return what a response with status 2xx means: it must state success for every entry."""
    kind = answer.get("resourceType")
    if kind == "OperationOutcome":
        if any(one.get("severity") in ("error", "fatal") for one in _issues(answer)):
            return _again(f"the FHIR server answered with success, and with an error{_details(answer)}")
        return _TAKEN
    if kind != "Bundle":
        return _again("the FHIR server answered with success, but not in FHIR: perhaps a page to sign in")
    if answer.get("type") == "batch-response":
        return TransactionOutcome(
            outcome=TransactionResult.NEVER, reason=f"{_NO_TRANSACTION_WORDS} (it ran a batch)"
        )
    responses = [one.get("response") for one in _dicts(answer.get("entry"))]
    if len(responses) < entries:
        return _again(f"the FHIR server's response names {len(responses)} of {entries} entries")
    for response in responses:
        stated = response if isinstance(response, dict) else {}
        status = _number(stated.get("status"))
        if status is None:
            return _again("the FHIR server's response has an entry without a status")
        if not 200 <= status < 300 and status != _UNCHANGED:
            outcome = stated.get("outcome")
            details = _details(outcome) if isinstance(outcome, dict) else ""
            words = f"the FHIR server did not take every entry: {_named(status, str(status))}{details}"
            final = TransactionResult.NEVER if status in _FOR_GOOD else TransactionResult.AGAIN
            return TransactionOutcome(outcome=final, reason=words)
    return _TAKEN


def entries_of(content: bytes) -> int:
    """Return the number of entries of a bundle that we made; 0 for anything else."""
    return len(list(_dicts(_json(content).get("entry"))))


def _again(reason: str) -> TransactionOutcome:
    return TransactionOutcome(outcome=TransactionResult.AGAIN, reason=reason)


def _named(status: int, words: str) -> str:
    known = _MEANINGS.get(status)
    return words if known is None else f"{words}, {known}"


def _number(stated: Any) -> int | None:
    """Return the number at the start of an entry's status, such as `201 Created`."""
    found = re.match(r"\s*([1-5]\d\d)(?!\d)", str(stated)) if isinstance(stated, str | int) else None
    return None if found is None else int(found[1])


def _details(answer: Mapping[str, Any]) -> str:
    """Return the issues of an OperationOutcome as `code details at path`, each once."""
    told = dict.fromkeys(_issue_words(one) for one in _issues(answer))
    shown = [one for one in told if one][:_MOST_ISSUES]
    return f" ({'; '.join(shown)})" if shown else ""


def _issue_words(issue: Mapping[str, Any]) -> str:
    details = issue.get("details")
    codings = _dicts(details.get("coding")) if isinstance(details, dict) else iter(())
    words = list(_safe(_CODE, (issue.get("code"), *(one.get("code") for one in codings))))
    stated = [issue.get(key) for key in ("expression", "location")]
    places = list(_safe(_PATH, (one for listed in stated if isinstance(listed, list) for one in listed)))
    return " ".join(words) + (f" at {', '.join(dict.fromkeys(places))}" if places else "")


def _safe(pattern: re.Pattern[str], stated: Iterable[Any]) -> Iterator[str]:
    """Yield the values that are a code or a path, and contain no number that could identify a patient."""
    for one in stated:
        if isinstance(one, str) and pattern.fullmatch(one) and not _LONG_NUMBER.search(one):
            yield one


def _codes(answer: Mapping[str, Any]) -> set[str]:
    return {str(one.get("code")) for one in _issues(answer)}


def _issues(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return _dicts(answer.get("issue"))


def _dicts(stated: Any) -> Iterator[dict[str, Any]]:
    return (one for one in stated if isinstance(one, dict)) if isinstance(stated, list) else iter(())


def _json(content: bytes) -> dict[str, Any]:
    try:
        read = json.loads(content)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
