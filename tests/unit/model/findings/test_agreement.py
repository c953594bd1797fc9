"""Each attribute by itself, and findings with reversed presence."""

from __future__ import annotations

import pytest

from model.findings.agreement import described, stated_attributes, turned
from model.findings.expectations import stated_attributes as expected_attributes
from model.findings.types import Change, Finding, Laterality, Presence


def finding(side: Laterality | None, change: Change | None = None) -> Finding:
    """A pleural effusion that is present."""
    return Finding(concept="pleural_effusion", presence=Presence.PRESENT, laterality=side, change=change)


def test_stated_attributes_count_what_either_side_states() -> None:
    """An attribute that was read but not annotated is wrong; one that neither states is not counted."""
    counts = stated_attributes([finding(Laterality.LEFT)], [finding(Laterality.LEFT, Change.NEW)])
    assert dict(counts) == {("laterality", True): 1, ("change", False): 1}
    assert described(counts) == "sides 1 of 1, changes 0 of 1"


def test_stated_attributes_pass_over_findings_whose_presence_is_wrong() -> None:
    """The side of a finding that was not found is not counted as wrong."""
    assert not stated_attributes([finding(Laterality.LEFT)], [])


def test_expected_attributes_are_those_that_the_expectation_names() -> None:
    """For `+pleural_effusion@L~new` the side and the change are counted."""
    counts = expected_attributes(["+pleural_effusion@L~new", "-nodule"], [finding(Laterality.LEFT)])
    assert dict(counts) == {("laterality", True): 1, ("change", False): 1}


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ({("mass", "absent")}, 1),
        ({("mass", "indeterminate")}, 0),
        ({("mass", "present"), ("mass", "absent")}, 0),
        (set(), 0),
    ],
)
def test_turned_counts_only_the_opposite(read: set[tuple[str, str]], expected: int) -> None:
    """Missed and indeterminate findings are other kinds of error."""
    assert expected == turned({("mass", "present")}, read)
