"""Rules that decide which of two studies was made first."""

from __future__ import annotations

import pytest

from agent.objects.earlier import is_earlier


@pytest.mark.parametrize(
    ("study_date", "study_time", "earlier"),
    [
        ("20260101", "235959", True),
        ("20260102", "0800", True),
        ("20260102", "08", True),
        ("20260102", "09", False),
        ("20260102", "0900", False),
        ("20260102", "090000.000001", False),
        ("20260102", "", False),
        ("20260103", "", False),
        ("", "", False),
        ("202601", "", False),
    ],
)
def test_study_is_earlier_by_day_then_by_time_to_the_common_precision(
    study_date: str, study_time: str, earlier: bool
) -> None:
    """Times are compared to their common precision; a study with an incomplete date is never earlier."""
    assert is_earlier(study_date, study_time, than_date="20260102", than_time="090000") == earlier
