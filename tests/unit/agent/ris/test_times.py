"""Signing times as other systems state them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.ris.signed.fhir_reports import moment
from agent.ris.signed.structured import _moment as dicom_time
from agent.ris.values import time_of


def test_no_source_gives_a_time_that_no_database_holds() -> None:
    """The first moment of year 1 in a zone to the east means that no time is known: it stopped the import."""
    found = [
        moment("0001-01-01T00:00:00+01:00"),
        time_of("00010101000000+0100"),
        dicom_time("00010101000000+0100", ""),
        dicom_time("00010101", "+0100"),
    ]
    assert found == [None] * 4


@pytest.mark.parametrize("hours", ["+0100", "-0100"])
def test_a_time_with_a_zone_is_that_moment(hours: str) -> None:
    """The time zone counts."""
    expected = datetime(2026, 11, 3, 8 if hours == "+0100" else 10, tzinfo=UTC)
    assert expected == time_of(f"20261103090000{hours}") == dicom_time(f"20261103090000{hours}", "")
