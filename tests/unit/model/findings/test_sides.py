"""Left and right in one sentence: a clear side, compared sides, a side that is only pointed to."""

from __future__ import annotations

import pytest

from tests.unit.model.findings.conftest import stated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Left base consolidation; right is clear.", "+consolidation@L -consolidation@R"),
        ("Left base shows consolidation while the right is clear.", "+consolidation@L -consolidation@R"),
        ("Right apical pneumothorax, left clear.", "+pneumothorax@R -pneumothorax@L"),
        ("Right effusion, left is unremarkable.", "+pleural_effusion@R -pleural_effusion@L"),
        (
            "Consolidation in the right lung whereas the left is normal.",
            "+consolidation@R -consolidation@L",
        ),
        ("Possible left pneumothorax, the right is clear.", "-pneumothorax@R ?pneumothorax@L"),
        ("Infiltrat rechts basal, links frei.", "+consolidation@R -consolidation@L"),
        ("Pneumothorax rechts, linke Seite unauffällig.", "+pneumothorax@R -pneumothorax@L"),
        ("Erguss links, rechts keiner.", "+pleural_effusion@L -pleural_effusion@R"),
        ("Derrame izquierdo, derecho libre.", "+pleural_effusion@L -pleural_effusion@R"),
        ("Neumotórax derecho; el lado izquierdo está limpio.", "+pneumothorax@R -pneumothorax@L"),
        ("Derrame derecho, izquierdo ninguno.", "+pleural_effusion@R -pleural_effusion@L"),
    ],
)
def test_side_that_is_clear_has_not_the_finding_of_the_other(text: str, expected: str) -> None:
    """A segment without a noun that calls its side clear or normal denies the finding before it there."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Left effusion, right partially cleared.", "+pleural_effusion@L +pleural_effusion@R~decreased"),
        ("Left effusion persists, right not clear.", "+pleural_effusion@L~unchanged +pleural_effusion@R"),
        (
            "Left effusion unchanged, right has cleared.",
            "+pleural_effusion@L~unchanged -pleural_effusion@R~resolved",
        ),
        ("Right pneumothorax, left lung clear.", "+pneumothorax@R -lung_opacity@L"),
        ("Right effusion is small, left is large.", "+pleural_effusion@L +pleural_effusion@R"),
    ],
)
def test_side_that_is_not_wholly_clear_keeps_the_finding(text: str, expected: str) -> None:
    """ "Partially cleared" is a change, and "not clear" no denial."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Right clear, left effusion.", "+pleural_effusion@L"),
        ("The left is clear; consolidation on the right.", "+consolidation@R"),
        ("Rechts frei, links Erguss.", "+pleural_effusion@L"),
        ("Left mastectomy, right effusion.", "+pleural_effusion@R"),
        ("Left clavicle plate, right basal consolidation.", "+consolidation@R"),
        ("Left upper, right lower lobe opacities.", "+lung_opacity@B"),
        ("Left, right effusions.", "+pleural_effusion@B"),
        ("Right lung is clear, left shows consolidation.", "-lung_opacity@R +consolidation@L"),
    ],
)
def test_side_with_something_else_before_is_not_the_side_of_the_finding(text: str, expected: str) -> None:
    """A side that is clear, or that has a noun of its own, does not make the next finding bilateral."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    "text",
    [
        "Effusions R>L.",
        "R>L effusions.",
        "Effusion right > left.",
        "Effusion: L < R",
        "Left effusion larger than right.",
        "The left effusion is bigger than the right one.",
        "The left effusion is larger than the right effusion.",
        "Effusions, left slightly greater than right.",
        "There is more effusion on the left than on the right.",
        "Effusion is worse on the left than the right.",
        "Left effusion smaller than the one on the right.",
        "Bilateral effusions, larger on the right.",
        "Bilateral effusions, slightly worse on the left.",
        "Erguss rechts größer als links.",
        "Derrame derecho mayor que el izquierdo.",
        "Derrame pleural bilateral, mayor el derecho.",
        "右侧胸腔积液多于左侧。",
    ],
)
def test_compared_sides_both_have_the_finding(text: str) -> None:
    """The comparative compares the sides: it is no change since an earlier study."""
    assert stated(text) == "+pleural_effusion@B"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Right effusion larger than on the prior.", "+pleural_effusion@R~increased"),
        (
            "Left effusion larger than before, right unchanged.",
            "+pleural_effusion@L~increased +pleural_effusion@R~unchanged",
        ),
        ("Right pneumothorax > 2 cm.", "+pneumothorax@R"),
        ("Left effusion, larger since yesterday.", "+pleural_effusion@L~increased"),
        ("Right hilum is larger than the left.", "+hilar_enlargement@R"),
        (
            "Bilateral opacities, improved on the right, worse on the left.",
            "+lung_opacity@B +lung_opacity@L~increased +lung_opacity@R~decreased",
        ),
    ],
)
def test_comparison_with_an_earlier_study_is_a_change(text: str, expected: str) -> None:
    """Only a comparison of the two sides puts a finding on both."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The consolidation on the left is new, that on the right has cleared.",
            "+consolidation@L~new -consolidation@R~resolved",
        ),
        (
            "Opacity in the left base has cleared, that in the right base persists.",
            "-lung_opacity@L~resolved +lung_opacity@R~unchanged",
        ),
        (
            "The right effusion has cleared while that on the left remains.",
            "-pleural_effusion@R~resolved +pleural_effusion@L~unchanged",
        ),
        (
            "The left effusion has resolved, the right one is unchanged.",
            "-pleural_effusion@L~resolved +pleural_effusion@R~unchanged",
        ),
        (
            "No effusion on the right, that on the left persists.",
            "-pleural_effusion@R +pleural_effusion@L~unchanged",
        ),
        (
            "El derrame derecho ha desaparecido; persiste el izquierdo.",
            "-pleural_effusion@R~resolved +pleural_effusion@L~unchanged",
        ),
        (
            "El derrame derecho se ha resuelto y el izquierdo persiste.",
            "-pleural_effusion@R~resolved +pleural_effusion@L~unchanged",
        ),
        (
            "Der Erguss rechts ist nicht mehr nachweisbar, links besteht er weiter.",
            "-pleural_effusion@R~resolved +pleural_effusion@L~unchanged",
        ),
        (
            "Der rechte Erguss ist rückgebildet, der linke besteht fort.",
            "-pleural_effusion@R~resolved +pleural_effusion@L~unchanged",
        ),
        (
            "Consolidation on the left unchanged and curiously on the right resolved.",
            "+consolidation@L -consolidation@R~resolved",
        ),
    ],
)
def test_opposite_things_of_two_sides_are_two_findings(text: str, expected: str) -> None:
    """A side that stands for its finding, or any two sides told apart, never become one finding of both."""
    assert stated(text) == " ".join(sorted(expected.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Effusions on the right and left have resolved.", "-pleural_effusion@B~resolved"),
        ("Effusion on the right and left has resolved.", "-pleural_effusion@B~resolved"),
        ("Effusions on the right and left are unchanged.", "+pleural_effusion@B~unchanged"),
    ],
)
def test_one_thing_told_of_two_sides_is_one_finding(text: str, expected: str) -> None:
    """A verdict behind both sides is about both."""
    assert stated(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "更正:气胸位于右侧,而非左侧。",
        "气胸在右侧,不是左侧。",
        "右侧气胸,而不是左侧。",
        "Pneumothorax rechts, nicht links.",
        "Neumotórax a la derecha, no a la izquierda.",
        "Pneumothorax is on the right, not on the left.",
    ],
)
def test_side_that_is_only_excluded_is_not_the_side(text: str) -> None:
    """ "On the right, not the left", in each language."""
    assert stated(text) == "+pneumothorax@R"
