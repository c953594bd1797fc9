"""From stored values to brightness, checked against the formulas of PS3.3."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from agent.objects.grayscale import (
    DisplayError,
    brightness_table,
    is_inverted,
    modality_values,
    padding_mask,
    percentile_brightness,
    voi_candidates,
    windowed,
)

VALUES = np.arange(256, dtype=np.float64)
EVEN = np.ones(256, dtype=np.int64)


def lut(first: int, entries: list[int], bits: int = 16) -> Dataset:
    """One item of a LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


def test_window_linear_has_the_standards_ends() -> None:
    """LINEAR: c - 0.5 ± (w - 1) / 2 are the ends (C.11.2.1.2.1)."""
    shown = windowed(np.array([0.0, 127.5, 255.0]), 128, 256)
    assert shown.tolist() == [0.0, 0.5, 1.0]


def test_window_linear_width_one_is_a_threshold() -> None:
    """LINEAR with a width of 1 does not divide by zero."""
    assert windowed(np.array([9.0, 10.0]), 10, 1).tolist() == [0.0, 1.0]


def test_window_linear_exact_has_its_own_ends() -> None:
    """LINEAR_EXACT: c ± w / 2 are the ends (C.11.2.1.3.2)."""
    assert windowed(np.array([0.0, 128.0, 256.0]), 128, 256, "LINEAR_EXACT").tolist() == [0.0, 0.5, 1.0]


def test_window_sigmoid_is_the_logistic_curve() -> None:
    """SIGMOID: 1 / (1 + exp(-4 (x - c) / w)) (C.11.2.1.3.1), and its extremes do not overflow."""
    shown = windowed(np.array([-1e9, 100.0, 125.0, 1e9]), 100, 100, "SIGMOID")
    assert shown == pytest.approx([0.0, 0.5, 1 / (1 + np.exp(-1.0)), 1.0])


def test_modality_rescale_is_linear() -> None:
    """Slope and intercept are applied."""
    header = Dataset()
    header.RescaleSlope, header.RescaleIntercept = 2, -1024
    assert modality_values(header, np.array([0.0, 512.0])).tolist() == [-1024.0, 0.0]


def test_modality_lut_clamps_at_its_ends() -> None:
    """Values outside the table get its first or last entry."""
    header = Dataset()
    header.ModalityLUTSequence = [lut(10, [5, 6, 7])]
    assert modality_values(header, np.array([0.0, 10.0, 11.0, 12.0, 99.0])).tolist() == [5, 5, 6, 7, 7]


def test_modality_lut_first_value_may_be_a_signed_number_read_as_unsigned() -> None:
    """65,534 is -2 where the data are signed."""
    header = Dataset()
    header.ModalityLUTSequence = [lut(65534, [1, 2, 3, 4])]
    assert modality_values(header, np.array([-2.0, -1.0, 0.0, 1.0])).tolist() == [1, 2, 3, 4]


def test_modality_lut_that_is_short_is_an_error() -> None:
    """Without its Modality LUT the values have no meaning."""
    header = Dataset()
    item = lut(0, [1, 2])
    item.LUTDescriptor = [3, 0, 16]
    header.ModalityLUTSequence = [item]
    with pytest.raises(DisplayError):
        modality_values(header, VALUES)


def test_voi_lut_wins_over_the_window() -> None:
    """Where both are given, the VOI LUT is more specific."""
    header = Dataset()
    header.VOILUTSequence = [lut(0, [0, 4095, 0, 4095], 12)]
    header.WindowCenter, header.WindowWidth = 2, 4
    shown = next(voi_candidates(header, np.arange(4, dtype=np.float64)))
    assert shown.tolist() == [0.0, 1.0, 0.0, 1.0]


def test_voi_lut_of_eight_bit_entries_is_wider_than_a_byte() -> None:
    """A table of 1,024 entries of 8 bits is indexed above 255."""
    header = Dataset()
    header.VOILUTSequence = [lut(0, [entry // 4 for entry in range(1024)], 8)]
    shown = next(voi_candidates(header, np.array([0.0, 1023.0])))
    assert shown.tolist() == [0.0, 1.0]


def test_voi_lut_packed_bytes_are_read() -> None:
    """Eight-bit entries are packed two to a word (OW)."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 8])
    item.add_new("LUTData", "OW", bytes([0, 85, 170, 255]))
    header = Dataset()
    header.VOILUTSequence = [item]
    shown = next(voi_candidates(header, np.arange(4, dtype=np.float64)))
    assert shown.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(
    ("center", "width"), [(None, None), (100, 0), (100, -5), ("", ""), (float("nan"), 10.0)]
)
def test_voi_without_a_usable_window_is_none(center: object, width: object) -> None:
    """An invalid window is ignored."""
    header = Dataset()
    for keyword, value in (("WindowCenter", center), ("WindowWidth", width)):
        if value is not None:
            header.add_new(keyword, "FD" if isinstance(value, float) else "DS", value)
    assert list(voi_candidates(header, VALUES)) == []


def test_voi_takes_the_first_of_several_windows() -> None:
    """Several windows are alternatives; the first is the default."""
    header = Dataset()
    header.WindowCenter, header.WindowWidth = [128, 10], [256, 20]
    shown = next(voi_candidates(header, VALUES))
    assert float(shown[-1]) == 1.0
    assert float(shown[0]) == 0.0


def test_table_window_beside_the_data_falls_back_to_percentiles() -> None:
    """A window that would show a single shade is ignored."""
    header = Dataset()
    header.WindowCenter, header.WindowWidth = 30000, 100
    table = brightness_table(header, EVEN, 0)
    assert (int(table[0]), int(table[-1])) == (0, 255)


def test_table_padding_is_black_and_not_counted() -> None:
    """Padding neither widens the window nor appears bright, in either polarity."""
    header = Dataset()
    header.PhotometricInterpretation = "MONOCHROME1"
    header.add_new("PixelPaddingValue", "US", 0)
    header.add_new("PixelPaddingRangeLimit", "US", 99)
    histogram = EVEN.copy()
    histogram[:100] = 100000
    table = brightness_table(header, histogram, 0)
    assert table[:100].tolist() == [0] * 100
    assert (int(table[100]), int(table[-1])) == (255, 0)


def test_padding_without_a_limit_is_one_value() -> None:
    """Pixel Padding Value alone denotes one value."""
    header = Dataset()
    header.add_new("PixelPaddingValue", "SS", -2000)
    assert padding_mask(header, np.array([-2001.0, -2000.0, 0.0])).tolist() == [False, True, False]


def test_percentiles_of_one_value_are_black() -> None:
    """An image with a single value has no contrast to show."""
    histogram = np.zeros(256, dtype=np.int64)
    histogram[7] = 100
    assert float(percentile_brightness(VALUES, histogram).max()) == 0.0


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME1", "", True),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME2", "INVERSE", True),
        ("MONOCHROME2", "", False),
    ],
)
def test_polarity_is_inverted_once(photometric: str, shape: str, inverted: bool) -> None:
    """Two attributes that state the same inversion cause one inversion."""
    header = Dataset()
    header.PhotometricInterpretation, header.PresentationLUTShape = photometric, shape
    assert is_inverted(header) == inverted
