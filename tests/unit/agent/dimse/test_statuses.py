"""What answers to C-STORE mean."""

from __future__ import annotations

import pytest

from agent.dimse.statuses import Verdict, store_status


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (0x0000, Verdict.STORED),
        (0xB000, Verdict.STORED),
        (0xB006, Verdict.STORED),
        (0xB007, Verdict.STORED),
        (0x0111, Verdict.STORED),
        (0x0122, Verdict.NEVER),
        (0xA900, Verdict.NEVER),
        (0xA9FF, Verdict.NEVER),
        (0x0124, Verdict.AGAIN),
        (0xA700, Verdict.AGAIN),
        (0xC001, Verdict.AGAIN),
        (0x0110, Verdict.AGAIN),
        (0x4242, Verdict.AGAIN),
    ],
)
def test_status_has_the_verdict_of_its_clause(code: int, verdict: Verdict) -> None:
    """Success and warnings are stored, two failures are final, every other one is tried again."""
    assert store_status(code).verdict is verdict
