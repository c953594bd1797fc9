"""The size of a pixel, and how far lengths measured with it can be trusted. Pure.

Source: PS3.3 10.7.1.3 (Pixel Spacing and its calibration), C.8.11.4 (Imager Pixel Spacing, Estimated
Radiographic Magnification Factor), C.8.6.1 (Nominal Scanned Pixel Spacing).
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from dicom_sr.attributes import number, numbers, text

# A detector's pixels are 0.05 to 0.4 mm wide; values outside this range are errors of the sender.
_SMALLEST_MM, _LARGEST_MM = 0.005, 5.0
# Ratio of source-to-detector to source-to-patient distance; 1.02 to 1.2 for a chest film.
_LARGEST_MAGNIFICATION = 3.0
_SAME = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """A pixel's height and width (mm), and where they are valid.

    calibrated: lengths are valid in the patient. basis: describes where they are valid.
    """

    row_mm: float
    column_mm: float
    calibrated: bool
    basis: str


def spacing_of(header: Dataset) -> Spacing | None:
    """Return the size of the stored pixels; None if the header does not state it."""
    calibrated, detector = _pair(header, "PixelSpacing"), _pair(header, "ImagerPixelSpacing")
    if calibrated is not None:
        return _stated(header, calibrated, detector)
    if detector is not None:
        return _at_detector(header, detector)
    scanned = _pair(header, "NominalScannedPixelSpacing")
    if scanned is not None:
        return _spacing(scanned, "on the scanned film, not corrected for magnification")
    return None


def _stated(
    header: Dataset, stated: tuple[float, float], detector: tuple[float, float] | None
) -> Spacing | None:
    """Pixel Spacing is valid in the patient if it differs from the detector's or names its calibration."""
    kind = text(header, "PixelSpacingCalibrationType").upper()
    if kind in ("GEOMETRY", "FIDUCIAL"):
        words = "geometry" if kind == "GEOMETRY" else "an object of known size"
        return _spacing(stated, f"calibrated by {words}", calibrated=True)
    if detector is None:
        return _spacing(stated, "spacing as stated, its calibration is unknown")
    if all(abs(one - other) < _SAME * other for one, other in zip(stated, detector, strict=True)):
        return _at_detector(header, detector)
    return _spacing(stated, "calibrated, the method is not stated", calibrated=True)


def _at_detector(header: Dataset, detector: tuple[float, float]) -> Spacing:
    factor = number(header, "EstimatedRadiographicMagnificationFactor") or 0.0
    if 1.0 < factor <= _LARGEST_MAGNIFICATION:
        words = f"corrected for an estimated magnification of {factor:.3g}"
        return _spacing((detector[0] / factor, detector[1] / factor), words, calibrated=True)
    return _spacing(detector, "at the detector, not corrected for magnification")


def _spacing(pair: tuple[float, float], basis: str, *, calibrated: bool = False) -> Spacing:
    return Spacing(row_mm=pair[0], column_mm=pair[1], calibrated=calibrated, basis=basis)


def _pair(header: Dataset, keyword: str) -> tuple[float, float] | None:
    values = numbers(header, keyword)
    if len(values) != 2 or not all(_SMALLEST_MM <= one <= _LARGEST_MM for one in values):
        return None
    return values[0], values[1]
