"""UIDs derived from what they identify."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_sr.identifiers import derived_uid, device_uid, instance_uid, series_uid, tracking_uid


@settings(deadline=None)
@given(parts=st.lists(st.text(max_size=20), max_size=5))
def test_derived_uid_is_valid_and_repeatable(parts: list[str]) -> None:
    """A UUID-derived UID (PS3.5 B.2), always the same for the same parts."""
    uid = derived_uid(*parts)
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d{0,38})", uid)
    assert uid == derived_uid(*parts)


@settings(deadline=None)
@given(
    one=st.lists(st.text(max_size=5), max_size=4),
    other=st.lists(st.text(max_size=5), max_size=4),
)
def test_derived_uid_differs_where_the_parts_differ(one: list[str], other: list[str]) -> None:
    """Moving a character from one part to the next changes the UID."""
    assert (one == other) == (derived_uid(*one) == derived_uid(*other))


def test_device_uid_changes_with_name_version_and_weights() -> None:
    """A model with other weights is another device."""
    devices = {
        device_uid(*parts) for parts in [("a", "1", "f"), ("b", "1", "f"), ("a", "2", "f"), ("a", "1", "e")]
    }
    assert len(devices) == 4


def test_kinds_of_uids_never_meet() -> None:
    """A series, its instance and a tracking UID never share a UID."""
    instance = instance_uid(b"content")
    assert len({instance, series_uid(instance), tracking_uid("1.2", "1.3", "content")}) == 3
