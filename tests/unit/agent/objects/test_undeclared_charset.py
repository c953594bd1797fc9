"""Texts without a declared character set: one guess for each image, the same wherever its texts are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag

from agent.objects.header import read_stored
from agent.objects.pixels import load_header
from dicom_sr import attributes
from dicom_sr.charset import guessed_as, source_text
from dicom_sr.source import study_header
from tests.support.films import chest_film, file_bytes

NAME, SERIES = 0x00100010, 0x0008103E


UNDECLARED = [
    ("cp1252", "Müller^Jürgen", "Thorax für Station"),
    ("cp1250", "Dvořák^Jiří", "hrudník zadopřední"),
    ("cp1254", "Şahin^İbrahim", "Akciğer grafisi"),
    ("cp1251", "Иванов^Иван", "Органы грудной клетки"),
    ("koi8_r", "Петрова^Мария", "грудная клетка"),
    ("iso8859_5", "Новикова^Анна", "Флюорография"),
    ("iso8859_7", "ΠΑΠΑΔΟΠΟΥΛΟΣ^ΝΙΚΟΣ", "Ακτινογραφία θώρακος"),
    ("iso8859_8", "שרון^דבורה", "צילום חזה"),
    ("cp1256", "قباني^لنزار", "أشعة الصدر"),
    ("tis_620", "สมชาย^ใจดี", "เอกซเรย์ทรวงอก"),
    ("cp932", "山田^太郎", "胸部正面"),
    ("gb18030", "张^伟", "胸部正位"),
    ("big5", "陳^大文", "胸部正位"),
    ("cp949", "김^희중", "흉부 정면"),
    ("utf_8", "Łukasz^Żółw", "klatka piersiowa"),
]


@pytest.mark.parametrize(("encoding", "name", "words"), UNDECLARED)
def test_header_pixels_and_documents_guess_the_same_code_page(
    encoding: str, name: str, words: str, tmp_path: Path
) -> None:
    """Routing, the choice of the view and the patient's name use the same guess."""
    film = chest_film()
    for tag, vr, value in ((NAME, "PN", name), (SERIES, "LO", words)):
        # Latin-1 writes each byte as it is.
        film[tag] = DataElement(tag, vr, value.encode(encoding).decode("latin-1"), validation_mode=0)
    path = tmp_path / "film.dcm"
    path.write_bytes(file_bytes(film))
    header, image = read_stored(path), load_header(path)
    assert (header.patient_name, header.series_description) == (name, words)
    assert attributes.text(image, "SeriesDescription") == words
    assert study_header([image]).patient_name == name
    assert len(guessed_as(image)) == 1


def test_texts_of_an_image_settle_the_guess_together() -> None:
    """A short name that is a word in several code pages is decoded like its image's description."""
    image, read = Dataset(), []
    for tag, vr, words in ((NAME, "PN", "חזה"), (SERIES, "LO", "צילום חזה")):
        image[tag] = RawDataElement(Tag(tag), vr, 0, words.encode("iso8859_8"), 0, False, True)
        read.append(source_text(image, NAME))
    assert (read[0] == "חזה", read[1]) == (False, "חזה")
