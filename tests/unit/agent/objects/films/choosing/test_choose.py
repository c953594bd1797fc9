"""Which image of a study is read: the table of studies, and which images rank behind others."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from agent.objects.films.choosing.choose import Film, FilmChoice, choose_films, film_of, why_behind
from agent.objects.films.choosing.view import read_view

TABLE = Path(__file__).parents[5] / "data" / "films" / "choosing.tsv"
CASES = list(
    csv.DictReader(
        (line for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")),
        delimiter="\t",
    )
)


def header(**attributes: object) -> Dataset:
    """A header with these attributes, in UTF-8."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(value: str, scheme: str = "SCT") -> list[Dataset]:
    """A sequence with one code."""
    return [header(CodeValue=value, CodingSchemeDesignator=scheme)]


def films_of(*headers: Dataset) -> list[Film]:
    """The images as input of the choice, numbered from 1."""
    for number, one in enumerate(headers, 1):
        one.SOPInstanceUID = f"1.2.{number}"
    return [film_of(one, number) for number, one in enumerate(headers, 1)]


def numbers(choice: FilmChoice) -> tuple[int | None, int | None]:
    """The numbers of the frontal and the lateral image."""
    firsts = [views[0].arrival if views else None for views in (choice.frontal, choice.lateral)]
    return firsts[0], firsts[1]


def of_case(text: str) -> Dataset:
    """The image that a cell of the table describes."""
    captured = text.startswith("(Secondary Capture)")
    text = text.replace("(all pixels zero)", "")
    parts = text.removeprefix("(Secondary Capture)").strip().split("/") + [""] * 5
    position, code, orientation, description, image_type = (part.strip() for part in parts[:5])
    values: dict[str, object] = {"ViewPosition": position, "SeriesDescription": description}
    if code:
        values["ViewCodeSequence"] = coded(*code.split("^"))
    if orientation:
        values["PatientOrientation"] = orientation.split("\\")
    if image_type:
        values["ImageType"] = image_type.split("(")[0].strip().split("\\")
    if captured:
        values["SOPClassUID"] = SecondaryCaptureImageStorage
    return header(**values)


@pytest.mark.parametrize("case", CASES, ids=[one["case"] for one in CASES])
def test_every_row_of_the_table_is_chosen_as_it_says(case: dict[str, str]) -> None:
    """The frontal and lateral images are those that the row names, and each image left out has a reason."""
    films = films_of(*(of_case(one) for one in case["images"].split(" | ")))
    choice = choose_films(films)
    expected = tuple(None if case[view] == "-" else int(case[view]) for view in ("frontal", "lateral"))
    assert numbers(choice) == expected
    left = [one for one in films if one.arrival not in expected]
    said = {id(one.film) for one in choice.left_out} | {
        id(one) for one in left if why_behind(one, choice.frontal[0] if choice.frontal else None)
    }
    assert {id(one) for one in left} <= said


@pytest.mark.parametrize(
    ("values", "view", "projection"),
    [
        ({"ViewCodeSequence": coded("399348003")}, "frontal", "ap"),
        ({"ViewCodeSequence": coded("272479007")}, "frontal", "pa"),
        ({"ViewCodeSequence": coded("399173006")}, "lateral", "lateral"),
        ({"ViewCodeSequence": coded("R-10232", "SRT")}, "lateral", "lateral"),
        ({"ViewCodeSequence": coded("399135007")}, "frontal", "oblique"),
        ({"ViewCodeSequence": coded("260427002")}, "frontal", "oblique"),
        ({"ViewPosition": "LLD"}, "frontal", "decubitus"),
        ({"ViewPosition": "PA PORT"}, "frontal", "pa"),
        ({"ViewPosition": "RAO"}, "frontal", "oblique"),
        ({"SeriesDescription": "Thorax seitl."}, "lateral", "lateral"),
        ({"SeriesDescription": "Tórax perfil"}, "lateral", "lateral"),
        ({"SeriesDescription": "Thorax de face"}, "frontal", "frontal"),
        ({"SeriesDescription": "RTG klatki piersiowej bok"}, "lateral", "lateral"),
        ({"SeriesDescription": "ОГК боковая проекция"}, "lateral", "lateral"),
        ({"SeriesDescription": "胸部侧位"}, "lateral", "lateral"),
        ({"SeriesDescription": "흉부 측면"}, "lateral", "lateral"),
        ({"SeriesDescription": "Chest PA and lateral"}, "unknown", ""),
        ({"SeriesDescription": "Chest portable"}, "frontal", "ap"),
        ({"PatientOrientation": ["A", "F"]}, "lateral", "lateral"),
        ({"PatientOrientation": ["PR", "FL"]}, "lateral", "lateral"),
        ({"PatientOrientation": ["L", "F"]}, "frontal", "frontal"),
        ({"PatientOrientation": ["H", "R"]}, "frontal", "frontal"),
        ({}, "unknown", ""),
    ],
)
def test_view_is_read_from_everything_that_says_it(
    values: dict[str, object], view: str, projection: str
) -> None:
    """Position, code, orientation and words are read in this order of precedence."""
    found = read_view(header(**values))
    assert (found.view, found.projection) == (view, projection)


def test_contradiction_of_two_attributes_is_marked() -> None:
    """A PA film whose orientation runs from front to back is marked as contradictory."""
    found = read_view(header(ViewPosition="PA", PatientOrientation=["A", "F"]))
    assert (found.view, found.contradicted_by) == ("frontal", ("PatientOrientation",))


def test_newest_decides_among_equals_only() -> None:
    """A newer AP does not replace a PA; a newer PA does."""
    times = ("080000", "090000", "100000")
    values = [{"AcquisitionDate": "20260101", "AcquisitionTime": time} for time in times]
    pa, newer_pa, newest_ap = (
        header(ViewPosition=view, **value) for view, value in zip(("PA", "PA", "AP"), values, strict=True)
    )
    assert numbers(choose_films(films_of(pa, newer_pa, newest_ap)))[0] == 2


def test_copy_that_names_its_source_stands_behind_it() -> None:
    """Source Image Sequence makes an image a copy, whatever Image Type says."""
    source = header(ReferencedSOPInstanceUID="1.2.1")
    films = films_of(header(ViewPosition="PA"), header(ViewPosition="PA", SourceImageSequence=[source]))
    choice = choose_films(films)
    assert numbers(choice)[0] == 1
    assert why_behind(films[1], films[0]) == "copy of the image that was read"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"SeriesDescription": "Chest PA bone"}, "bone image of a dual-energy exposure"),
        ({"ImageType": ["DERIVED", "PRIMARY", "BONE"]}, "bone image of a dual-energy exposure"),
        ({"SeriesDescription": "CAD result"}, "result of a computer aid, screen capture or document"),
        ({"DerivationDescription": "inverted"}, "inverted copy"),
        ({"QualityControlImage": "YES"}, "test exposure"),
        ({"SeriesDescription": "Test exposure"}, "test exposure"),
        ({"SeriesDescription": "Chest oblique"}, "oblique view"),
    ],
)
def test_what_is_no_film_is_never_read(values: dict[str, object], why: str) -> None:
    """A study of nothing else has no image to read, and its image is left out with the reason."""
    choice = choose_films(films_of(header(ViewPosition="PA", **values)))
    assert numbers(choice) == (None, None)
    assert [(one.film.uid, one.why) for one in choice.left_out] == [("1.2.1", why)]


@pytest.mark.parametrize(
    "lesser",
    [
        {"PresentationIntentType": "FOR PROCESSING"},
        {"ImageType": ["DERIVED", "SECONDARY"]},
        {"SeriesDescription": "soft tissue"},
        {"SOPClassUID": SecondaryCaptureImageStorage},
        {"Rows": 200, "Columns": 200},
        {"ViewPosition": "AP"},
    ],
)
def test_ordinary_film_comes_before_a_lesser_one(lesser: dict[str, object]) -> None:
    """The lesser image is newer, but is not read."""
    ordinary = header(ViewPosition="PA", Rows=2000, Columns=2000)
    other = header(**({"ViewPosition": "PA", "Rows": 2000, "Columns": 2000} | lesser))
    assert numbers(choose_films(films_of(ordinary, other)))[0] == 1
