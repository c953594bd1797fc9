"""The tables of views and copies: each row is read as it states."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR

from agent.objects.films.choosing.choose import choose_films, film_of
from agent.objects.films.choosing.copies import copy_of
from agent.objects.films.choosing.view import read_view

DATA = Path(__file__).parents[5] / "data" / "films"


def table(name: str) -> Iterator[dict[str, str]]:
    """The rows of one table by column."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    yield from csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")


def rows(name: str) -> Iterator[tuple[Dataset, dict[str, str]]]:
    """The header that each row of a table describes, with the row."""
    for row in table(name):
        yield header(row["attributes"]), row


def header(cell: str) -> Dataset:
    """A header in UTF-8 with the attributes that a cell lists."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # devices write values that the VR does not allow
        for keyword, _, value in (one.partition("=") for one in cell.split("; ")):
            if dictionary_VR(keyword) == "SQ":
                item = Dataset()
                item.CodeValue, _, item.CodingSchemeDesignator = value.partition("^")
                setattr(dataset, keyword, [item])
            else:
                setattr(dataset, keyword, value.split("/") if keyword != "SeriesDescription" else value)
    return dataset


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_every_view_is_read_as_the_table_says() -> None:
    """Codes of both editions, orientations and words of many languages give the view."""
    wrong = []
    for image, row in rows("views.tsv"):
        found = read_view(image)
        if found.view != row["view"] or row["projection"] not in ("", found.projection):
            wrong.append((row, found.view, found.projection))
    assert wrong == []


def test_every_copy_is_known_as_the_table_says() -> None:
    """Copies and special exposures are recognised by description, Image Type and derivation."""
    wrong = [
        (row, found) for image, row in rows("copies.tsv") if (found := copy_of(image).kind) != row["kind"]
    ]
    assert wrong == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_every_study_is_read_from_the_images_that_the_table_names() -> None:
    """Repeats, rejects, copies, pairs and images in the wrong order are resolved."""
    wrong = []
    for row in table("studies.tsv"):
        films = []
        for number, cell in enumerate(row["images"].split(" | ")):
            image = header(cell)
            if "SOPInstanceUID" not in image:
                image.SOPInstanceUID = f"1.9.{number}"
            films.append(film_of(image, number))
        choice = choose_films(films)
        found = tuple(
            str(listed[0].arrival + 1 if listed else 0) for listed in (choice.frontal, choice.lateral)
        )
        if found != (row["frontal"], row["lateral"]):
            wrong.append((row, found))
    assert wrong == []
