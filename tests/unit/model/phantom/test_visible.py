"""Every finding changes the film at its location, and more so when it is more severe."""

from __future__ import annotations

import numpy as np
import pytest

from model.findings.types import Finding, Laterality, Severity
from tests.unit.model.phantom.builders import change, present

LEFT, RIGHT, BILATERAL = Laterality.LEFT, Laterality.RIGHT, Laterality.BILATERAL
MILD, MODERATE, SEVERE = Severity.MILD, Severity.MODERATE, Severity.SEVERE
SEEN = 0.04  # of full scale: about three times the quantum noise

ONE_SIDED = [
    ("pleural_effusion", None, MILD),
    ("pleural_effusion", None, SEVERE),
    ("pneumothorax", None, MILD),
    ("pneumothorax", None, SEVERE),
    ("consolidation", "mid_zone", None),
    ("atelectasis", "lower_zone", None),
    ("nodule", "upper_zone", None),
    ("mass", "lower_zone", None),
    ("hilar_enlargement", None, None),
    ("rib_fracture", None, None),
    ("elevated_diaphragm", None, None),
    ("pacemaker", None, None),
]


def seen(difference: np.ndarray) -> np.ndarray:
    """Return the pixels that visibly differ."""
    return np.abs(difference) > SEEN


@pytest.mark.parametrize(("concept", "location", "severity"), ONE_SIDED)
@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_one_sided_finding_shows_on_its_side(
    concept: str, location: str | None, severity: Severity | None, side: Laterality
) -> None:
    """The patient's right is on the left of the image: the change is there, and visible."""
    difference = seen(change(present(concept, side, location, severity)))
    right, left = int(difference[:, :84].sum()), int(difference[:, 84:].sum())
    own, other = (left, right) if side is LEFT else (right, left)
    assert own >= 12
    # The leads of a pacemaker cross to the right heart from either side.
    assert own > (1 if concept == "pacemaker" else 4) * other


@pytest.mark.parametrize("concept", ["consolidation", "nodule", "mass", "atelectasis"])
@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_focal_finding_lies_in_its_zone(concept: str, side: Laterality) -> None:
    """The centres of the changes follow the order of the zones from top to bottom."""
    rows = []
    for zone in ("upper_zone", "mid_zone", "lower_zone"):
        weight = np.clip(change(present(concept, side, zone)), SEEN, None) - SEEN
        rows.append(float((weight.sum(1) * np.arange(168)).sum() / weight.sum()) / 168)
    assert rows[0] + 0.1 < rows[1] < rows[2] - 0.1


@pytest.mark.parametrize(
    ("concept", "side"),
    [("pleural_effusion", LEFT), ("pneumothorax", RIGHT), ("cardiomegaly", None), ("pulmonary_edema", None)],
)
def test_severer_is_larger(concept: str, side: Laterality | None) -> None:
    """Mild, moderate and severe change the film in clear steps."""
    amounts = [
        float(np.abs(change(present(concept, side, None, grade))).sum()) for grade in (MILD, MODERATE, SEVERE)
    ]
    assert amounts[0] * 1.25 < amounts[1] < amounts[2] / 1.15


def test_pneumothorax_shows_a_line_and_no_markings_beyond() -> None:
    """Beyond the pleural line the film is darker overall; the line itself is brighter."""
    difference = change(present("pneumothorax", LEFT, None, MODERATE))
    outer = difference[40:110, 130:150]
    assert float(difference[30:110, 100:150].max()) > SEEN
    assert float(np.median(outer)) < 0.0


def test_findings_in_the_midline_show_there() -> None:
    """Tubes and a wide mediastinum change the middle third of the film; a misplaced tube goes right."""
    for concept in ("widened_mediastinum", "endotracheal_tube"):
        columns = np.flatnonzero(seen(change(present(concept))).any(0))
        assert columns.min() > 50
        assert columns.max() < 118
    place = "right_main_bronchus"
    right_tube = change(
        present("endotracheal_tube", location=place), present("malpositioned_device", location=place)
    )
    lower = seen(right_tube)[50:80]
    assert int(lower[:, :82].sum()) > 3 * int(lower[:, 86:].sum())


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_central_line_enters_at_its_side(side: Laterality) -> None:
    """In the neck the catheter is on its own side; in the vena cava it is right of the midline."""
    difference = seen(change(present("central_line", side)))
    neck = difference[:12]
    own, other = (neck[:, 84:], neck[:, :84]) if side is LEFT else (neck[:, :84], neck[:, 84:])
    assert int(own.sum()) > 8
    assert int(other.sum()) == 0
    assert int(difference[50:60, :84].sum()) > 3
    assert int(difference[50:60, 84:].sum()) == 0


@pytest.mark.parametrize(
    "finding",
    [
        present("pleural_effusion", LEFT, None, MODERATE),
        present("cardiomegaly", severity=MODERATE),
        present("consolidation", RIGHT, "lower_zone"),
        present("pulmonary_edema", severity=MODERATE),
        present("elevated_diaphragm", LEFT),
        present("hilar_enlargement", BILATERAL),
        present("widened_mediastinum"),
        present("pacemaker", LEFT),
        present("endotracheal_tube"),
        present("central_line", RIGHT),
        present("mass", LEFT, "mid_zone"),
    ],
    ids=lambda finding: finding.concept,
)
def test_lateral_film_shows_what_a_lateral_film_shows(finding: Finding) -> None:
    """Fluid posteriorly, the heart, the hila, opacities and devices are also visible from the side."""
    assert int(seen(change(finding, view="lateral")).sum()) > 25
