"""What answers state about the time to retry and about the connection."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.network.port_state import PortState
from agent.network.web_fault import fault_of_answer, retry_after_s

NOW = datetime(2026, 11, 29, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("99999999999999", 999_999_999.0),
        ("Sun, 29 Nov 2026 08:02:00 GMT", 120.0),
        ("Sunday, 29-Nov-26 08:02:00 GMT", 120.0),
        ("Sun Nov 29 08:02:00 2026", 120.0),
        ("Sun, 29 Nov 2026 09:02:00 +0100", 120.0),
        ("Sun, 29 Nov 2026 07:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(stated: str | None, seconds: float | None) -> None:
    """RFC 9110: a number of seconds, or an HTTP date in its three forms; a past date means now."""
    assert retry_after_s(stated, NOW) == seconds


def test_only_refusals_are_read_for_what_they_say_of_the_connection() -> None:
    """In any other answer the same words mean nothing."""
    body = b"The plain HTTP request was sent to HTTPS port"
    assert [fault_of_answer(one, body) for one in (400, 497)] == [PortState.TLS] * 2
    assert [fault_of_answer(one, body) for one in (200, 404, 500)] == [None] * 3
    assert fault_of_answer(400, b" " * 5000 + body) is None
