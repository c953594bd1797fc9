"""Views and hanging of films."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from agent.objects.films.choosing.view import view_of
from agent.objects.hanging import hung

CORNERS = np.array([[1, 2], [3, 4]], dtype=np.uint8)


def header(**attributes: object) -> Dataset:
    """A dataset with the given attributes."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(value: str) -> Dataset:
    """A header whose view is given only as a code."""
    return header(ViewPosition="", ViewCodeSequence=[header(CodeValue=value, CodingSchemeDesignator="SCT")])


@pytest.mark.parametrize(
    ("dataset", "view"),
    [
        (header(ViewPosition="PA"), "frontal"),
        (header(ViewPosition="AP "), "frontal"),
        (header(ViewPosition="LL"), "lateral"),
        (coded("272479007"), "frontal"),
        (coded("R-10236"), "lateral"),
        (header(SeriesDescription="CHEST_LAT"), "lateral"),
        (header(SeriesDescription="Thorax p.a."), "frontal"),
        (header(ProtocolName="Chest PA"), "frontal"),
        (header(SeriesDescription="Chest PA and lateral"), "unknown"),
        (header(StudyDescription="Chest PA"), "unknown"),
        (header(ViewPosition="RLD"), "frontal"),
        (header(), "unknown"),
    ],
)
def test_view_is_read_from_position_then_code_then_words(dataset: Dataset, view: str) -> None:
    """The first clear statement decides; two views in one description are not clear."""
    assert view_of(dataset) == view


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (["L", "F"], [[1, 2], [3, 4]]),
        (["R", "F"], [[2, 1], [4, 3]]),
        (["L", "H"], [[3, 4], [1, 2]]),
        (["R", "H"], [[4, 3], [2, 1]]),
        (["F", "L"], [[1, 3], [2, 4]]),
        (["H", "L"], [[2, 4], [1, 3]]),
        (["RF", "FL"], [[2, 1], [4, 3]]),
        (["A", "F"], [[1, 2], [3, 4]]),
        (["L"], [[1, 2], [3, 4]]),
        (["X", "F"], [[1, 2], [3, 4]]),
    ],
)
def test_hanging_frontal_brings_the_patients_left_to_the_right(
    orientation: list[str], expected: list[list[int]]
) -> None:
    """Rows then run to the patient's left and columns to the feet; an invalid orientation changes nothing."""
    dataset = header()
    dataset.add_new("PatientOrientation", "CS", orientation)
    assert hung(CORNERS, dataset, "frontal").tolist() == expected


def test_hanging_lateral_looks_to_the_left() -> None:
    """A lateral film is displayed with the chest wall on the left."""
    assert hung(CORNERS, header(PatientOrientation=["A", "F"]), "lateral").tolist() == [[2, 1], [4, 3]]
