"""The meaning of answers to C-STORE."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.network.commitment_terms import CommitmentResult
from agent.network.statuses import (
    ACTION_STATUSES,
    FAILURE_REASONS,
    ActionVerdict,
    StoreOutcome,
    action_status,
    failure_reason,
    store_status,
)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (0x0000, StoreOutcome.STORED),
        (0x0001, StoreOutcome.WARNED),
        (0x0107, StoreOutcome.WARNED),
        (0x0116, StoreOutcome.WARNED),
        (0xB000, StoreOutcome.WARNED),
        (0xB006, StoreOutcome.WARNED),
        (0xB007, StoreOutcome.WARNED),
        (0xB123, StoreOutcome.WARNED),
        (0xBFFF, StoreOutcome.WARNED),
        (0x0111, StoreOutcome.STORED),
        (0x0122, StoreOutcome.NEVER),
        (0xA900, StoreOutcome.NEVER),
        (0xA9FF, StoreOutcome.NEVER),
        (0x0124, StoreOutcome.AGAIN),
        (0xA700, StoreOutcome.AGAIN),
        (0xC001, StoreOutcome.AGAIN),
        (0x0110, StoreOutcome.AGAIN),
        (0x4242, StoreOutcome.AGAIN),
    ],
)
def test_status_has_the_verdict_of_its_clause(code: int, verdict: StoreOutcome) -> None:
    """Success and warnings mean stored, two failures are final, and every other status is tried again."""
    assert store_status(code).verdict is verdict


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (0x0000, ActionVerdict.TAKEN),
        (0x0118, ActionVerdict.UNSUPPORTED),
        (0x0122, ActionVerdict.UNSUPPORTED),
        (0x0123, ActionVerdict.UNSUPPORTED),
        (0x0211, ActionVerdict.UNSUPPORTED),
        (0x0124, ActionVerdict.LATER),
        (0x0213, ActionVerdict.LATER),
        (0x0110, ActionVerdict.LATER),
        (0x4242, ActionVerdict.LATER),
    ],
)
def test_request_for_commitment_is_taken_unsupported_or_put_off(code: int, verdict: ActionVerdict) -> None:
    """Only success counts as success; four failures mean that the service is not supported."""
    assert action_status(code).verdict is verdict


@pytest.mark.parametrize(
    ("reason", "word", "code"),
    [
        (0x0112, CommitmentResult.LOST, "commitment-lost"),
        (0x0119, CommitmentResult.REFUSED, "commitment-refused"),
        (0x0122, CommitmentResult.SILENT, "commitment-unsupported"),
        (0x0131, CommitmentResult.LATER, "commitment-failed"),
        (0x0213, CommitmentResult.LATER, "commitment-failed"),
        (0x0110, CommitmentResult.LATER, "commitment-failed"),
        (0x4242, CommitmentResult.LATER, "commitment-failed"),
    ],
)
def test_failure_reason_says_what_becomes_of_the_document(
    reason: int, word: CommitmentResult, code: str
) -> None:
    """Each failure reason gives its result and error code, with the reason in the operator's words."""
    answer = failure_reason(reason)
    assert answer.why is not None
    assert (answer.word, answer.why.code) == (word, code)
    assert f"0x{reason:04X}" in answer.why.reason


def test_reasons_with_a_fate_of_their_own_are_documented(repository: Path) -> None:
    """Each reason that is not simply tried again is on the page about the queue."""
    page = (repository / "docs" / "queue.md").read_text(encoding="utf-8")
    own = [
        one.reason
        for one in FAILURE_REASONS
        if one.reason is not None and one.word is not CommitmentResult.LATER
    ]
    assert [f"0x{one:04X}" for one in own if f"0x{one:04X}" not in page] == []
    assert ACTION_STATUSES[-1].code is None
