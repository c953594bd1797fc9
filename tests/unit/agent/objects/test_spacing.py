"""Pixel spacing, and which plane a length measured with it refers to."""

from __future__ import annotations

import pytest

from agent.objects.spacing import spacing_of
from tests.support.films import bare_film

DETECTOR = [0.2, 0.1]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"ImagerPixelSpacing": DETECTOR}, (0.2, 0.1, False, "at the detector")),
        (
            {"ImagerPixelSpacing": DETECTOR, "EstimatedRadiographicMagnificationFactor": "1.25"},
            (0.16, 0.08, True, "an estimated magnification of 1.25"),
        ),
        (
            {"ImagerPixelSpacing": DETECTOR, "EstimatedRadiographicMagnificationFactor": "0.5"},
            (0.2, 0.1, False, "at the detector"),
        ),
        (
            {"ImagerPixelSpacing": DETECTOR, "EstimatedRadiographicMagnificationFactor": "40"},
            (0.2, 0.1, False, "at the detector"),
        ),
        (
            {"ImagerPixelSpacing": DETECTOR, "PixelSpacing": DETECTOR},
            (0.2, 0.1, False, "at the detector"),
        ),
        (
            {"ImagerPixelSpacing": DETECTOR, "PixelSpacing": [0.18, 0.09]},
            (0.18, 0.09, True, "the method is not stated"),
        ),
        (
            {"PixelSpacing": [0.18, 0.09], "PixelSpacingCalibrationType": "FIDUCIAL"},
            (0.18, 0.09, True, "an object of known size"),
        ),
        (
            {"PixelSpacing": [0.18, 0.09], "PixelSpacingCalibrationType": "GEOMETRY"},
            (0.18, 0.09, True, "geometry"),
        ),
        ({"PixelSpacing": [0.18, 0.09]}, (0.18, 0.09, False, "calibration is unknown")),
        ({"NominalScannedPixelSpacing": [0.3, 0.3]}, (0.3, 0.3, False, "scanned film")),
        ({"PixelSpacing": [0.0, 0.0], "ImagerPixelSpacing": DETECTOR}, (0.2, 0.1, False, "at the detector")),
    ],
)
def test_spacing_says_what_it_holds_for(
    attributes: dict[str, object], expected: tuple[float, float, bool, str]
) -> None:
    """A length at the detector is too long; only a correction or a calibration gives the patient's."""
    found = spacing_of(bare_film(**attributes))
    assert found is not None
    assert (found.row_mm, found.column_mm, found.calibrated) == pytest.approx(expected[:3])
    assert expected[3] in found.basis


@pytest.mark.parametrize(
    "attributes",
    [{}, {"PixelSpacing": [0.2]}, {"PixelSpacing": [-0.2, 0.2]}, {"ImagerPixelSpacing": [200, 200]}],
)
def test_spacing_that_no_detector_has_is_none(attributes: dict[str, object]) -> None:
    """No length is better than a wrong one."""
    assert spacing_of(bare_film(**attributes)) is None
