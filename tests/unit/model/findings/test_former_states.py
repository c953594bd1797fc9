"""States of a part of the body that are over, next to the state that it has now."""

from __future__ import annotations

import pytest

from tests.unit.model.findings.conftest import stated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The heart, previously enlarged, is now normal.", "-cardiomegaly"),
        ("Heart previously enlarged is now normal in size.", "-cardiomegaly"),
        ("The heart was enlarged, it is now normal.", "-cardiomegaly"),
        ("The heart, which was enlarged, is now normal in size.", "-cardiomegaly"),
        ("Formerly mildly enlarged heart now normal.", "-cardiomegaly"),
        ("The heart is now normal, previously enlarged.", "-cardiomegaly"),
        ("The mediastinum was widened but is now unremarkable.", "-widened_mediastinum"),
        ("The trachea, previously deviated, is midline.", "-tracheal_deviation"),
        ("The left hemidiaphragm was elevated, now normal.", "-elevated_diaphragm@L"),
        ("Das Herz, zuvor vergrößert, ist jetzt normal groß.", "-cardiomegaly"),
        ("Das Herz war vergrößert, ist jetzt normal groß.", "-cardiomegaly"),
        ("El corazón estaba agrandado, ahora es de tamaño normal.", "-cardiomegaly"),
    ],
)
def test_state_of_now_decides(text: str, expected: str) -> None:
    """A state with a word of the past gives way to another state of the same part."""
    assert stated(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The heart, previously normal, is now enlarged.", "+cardiomegaly"),
        ("The heart was normal in size, it is now enlarged.", "+cardiomegaly"),
        ("The heart is enlarged, previously normal.", "+cardiomegaly"),
        ("The heart was enlarged.", "+cardiomegaly"),
        ("The heart was enlarged on the prior study and remains enlarged.", "+cardiomegaly~unchanged"),
        ("The heart was normal and the mediastinum was widened.", "-cardiomegaly +widened_mediastinum"),
        ("The heart was enlarged and the mediastinum is normal.", "+cardiomegaly -widened_mediastinum"),
    ],
)
def test_state_that_is_not_over_stays(text: str, expected: str) -> None:
    """The past tense alone, or a state of another part, puts nothing into the past."""
    assert stated(text) == " ".join(sorted(expected.split()))
