"""Every attribute that the code reads, with a wrong VR, multiplicity or content: absent, never a crash."""

from __future__ import annotations

import re
import struct
import warnings
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataelem import DataElement

from agent.foundation.errors import AgentError
from agent.foundation.settings.tree import Settings
from agent.objects.films.choosing.choose import film_of
from agent.objects.films.routing.rules import router_of
from agent.objects.films.study import read_study
from agent.objects.header import read_stored
from agent.objects.pixels import load_header
from agent.reports.material import indication_of
from dicom_sr import attributes
from dicom_sr.errors import StructuredReportError
from dicom_sr.source import image_references, study_header
from tests.support.films import chest_film, file_bytes

ROUTER = router_of(Settings())
# Without these there is no image: they may fail, with one of our errors.
NEEDED = frozenset(
    {
        "SOPClassUID",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "PixelData",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PatientID",
        "ModalityLUTSequence",
        "RescaleSlope",
        "RescaleIntercept",
    }
)
WRONG: tuple[tuple[str, object], ...] = (
    ("US", 7),
    ("FD", 1.5),
    ("SQ", [Dataset()]),
    ("SQ", []),
    ("OB", b"\xff\x00\xfe\x01"),
    ("UI", "1.2.3"),
    ("DS", ["1", "2", "3"]),
    ("LO", "rubbish\\more"),
    ("LO", ""),
    ("LT", "\u00c3\u00a4" * 20),
    ("IS", "99999999"),
)
_SOURCES = ("agent/objects", "agent/database/identity", "agent/reports", "agent/retrieve", "dicom_sr")


def keywords(repository: Path) -> list[str]:
    """The keywords that the code contains, or composes ("Shutter" and "Shape")."""
    found = {one for one in keyword_dict if re.fullmatch("(Shutter|Collimator)(Shape|.*Edge)", one)}
    for folder in _SOURCES:
        for path in (repository / folder).rglob("*.py"):
            found |= set(re.findall(r'"([A-Z][A-Za-z]+)"', path.read_text(encoding="utf-8")))
    return sorted(one for one in found if one in keyword_dict and keyword_dict[one] >> 16 not in (0, 2))


def with_value(folder: Path, keyword: str, vr: str, value: object) -> Path:
    """A chest film of 64 x 64 pixels with one invalid attribute."""
    film = chest_film(Rows=64, Columns=64, PixelData=bytes(range(256)) * 16)
    element = DataElement(keyword_dict[keyword], vr, value, validation_mode=0)
    film[element.tag] = element
    path = folder / f"{keyword}-{vr}.dcm"
    path.write_bytes(file_bytes(film))
    return path


def read_everything(path: Path) -> None:
    """Read a file as the listener, the worker and the documents do."""
    ROUTER.decide(read_stored(path))
    header = load_header(path)
    film_of(header, 1)
    indication_of([header])
    study_header([header])
    image_references([header])


def test_wrong_values_of_optional_attributes_are_absent(repository: Path, tmp_path: Path) -> None:
    """Only an image's own identity and geometry can fail, with one of our errors."""
    crashed = []
    names = keywords(repository)
    for keyword in names:
        for vr, value in WRONG[:7]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    path = with_value(tmp_path, keyword, vr, value)
                except (struct.error, TypeError, ValueError, AttributeError):
                    continue  # pydicom cannot write it
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    read_everything(path)
            except (AgentError, StructuredReportError) as error:
                if keyword not in NEEDED and vr != dictionary_VR(keyword_dict[keyword]):
                    crashed.append((keyword, vr, error.code))
            except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
                crashed.append((keyword, vr, type(error).__name__))
            path.unlink()
    assert len(names) > 60
    assert crashed == []


@pytest.mark.parametrize(
    "keyword",
    ["PatientName", "PatientID", "IssuerOfPatientID", "StudyID", "AccessionNumber", "StudyDescription",
     "ReferringPhysicianName", "RequestedProcedureDescription"],
)  # fmt: skip
@pytest.mark.parametrize(("vr", "value"), WRONG[:5])
def test_bytes_that_are_no_text_reach_no_document(
    keyword: str, vr: str, value: object, tmp_path: Path
) -> None:
    """A binary number or a sequence in place of text or a number is absent, as in the listener."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = with_value(tmp_path, keyword, vr, value)
        absent = study_header([load_header(with_value(tmp_path, keyword, "LO", ""))])
        assert study_header([load_header(path)]) == absent
    header = read_stored(path)
    assert {"PatientName": header.patient_name, "PatientID": header.patient_id}.get(keyword, "") == ""


DISPLAY = (
    "WindowCenter",
    "WindowWidth",
    "VOILUTSequence",
    "VOILUTFunction",
    "PixelPaddingValue",
    "PresentationLUTShape",
    "PixelPaddingRangeLimit",
    "ShutterShape",
    "ShutterLeftVerticalEdge",
    "CollimatorShape",
    "PixelSpacing",
    "PixelAspectRatio",
    "PatientOrientation",
    "NumberOfFrames",
    "ImagerPixelSpacing",
    "LossyImageCompression",
)


@pytest.mark.parametrize("keyword", DISPLAY)
def test_wrong_values_of_the_display_lose_no_image(keyword: str, tmp_path: Path) -> None:
    """The image is decoded as if the attribute were not there."""
    for vr, value in WRONG:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = with_value(tmp_path, keyword, vr, value)
            if keyword == "NumberOfFrames" and vr in ("US", "IS", "DS"):
                continue  # a number of frames that can be read counts
            assert len(read_study([path], least_px=32).images) == 1, (vr, value)


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("LO", "-1,0", -1.0),
        ("LO", " 2.5e3 ", 2500.0),
        ("US", 3, 3.0),
        ("FD", float("nan"), None),
        ("LO", "12abc", None),
        ("LO", "1" * 80, None),
        ("SQ", [Dataset()], None),
    ],
)
def test_number_is_a_number_or_nothing(vr: str, value: object, expected: float | None) -> None:
    """A decimal comma is understood; invalid text is absent."""
    header = Dataset()
    header.add(DataElement(keyword_dict["RescaleSlope"], vr, value, validation_mode=0))
    assert attributes.number(header, "RescaleSlope") == expected


def test_text_without_a_character_set_is_guessed() -> None:
    """UTF-8 bytes that pydicom reads as Latin-1 are decoded as UTF-8."""
    header = Dataset()
    header.add(DataElement(0x0008103E, "LO", "胸部 正面".encode().decode("latin-1"), validation_mode=0))
    assert attributes.text(header, "SeriesDescription") == "胸部 正面"
