"""Values of two files are compared as DICOM values."""

from __future__ import annotations

import pytest
from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from agent.objects.comparable import comparable


def header(**values: object) -> Dataset:
    """A dataset with these attributes."""
    dataset = Dataset()
    for keyword, value in values.items():
        tag = Tag(keyword)
        # Not validated: archives write values that their VR does not allow.
        dataset.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))
    return dataset


def coded(value: str, meaning: str = "PA", **more: object) -> Dataset:
    """A view code."""
    item = header(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning, **more)
    return header(ViewCodeSequence=[item])


def with_lengths_and_padding() -> Dataset:
    """A code with the group lengths, item padding and private elements that a tool may add."""
    dataset = coded("1")
    item = dataset.ViewCodeSequence[0]
    for tag, vr, value in ((0x00080000, "UL", 40), (0xFFFCFFFC, "OB", b"\0" * 8), (0x00090010, "LO", "ACME")):
        item.add(DataElement(Tag(tag), vr, value))
    return dataset


@pytest.mark.parametrize(
    ("keyword", "one", "other"),
    [
        ("PixelSpacing", header(PixelSpacing=["0.143", "0.143"]), header(PixelSpacing=["0.1430", "1.43E-1"])),
        ("StudyTime", header(StudyTime="101010"), header(StudyTime="101010.000")),
        ("StudyTime", header(StudyTime="101010.5"), header(StudyTime="10:10:10.500")),
        ("PatientBirthDate", header(PatientBirthDate="19600102"), header(PatientBirthDate="1960.01.02")),
        ("PatientAge", header(PatientAge="060Y"), header(PatientAge="60Y")),
        ("PatientSex", header(PatientSex="M"), header(PatientSex="m")),
        ("PatientName", header(PatientName="Doe^Jane"), header(PatientName="DOE ^ Jane^^^==")),
        ("StudyDescription", header(StudyDescription="Thörax"), header(StudyDescription=" Tho\u0308rax ")),
        ("ViewCodeSequence", coded("1"), coded("1", "postero-anterior")),
        ("ViewCodeSequence", coded("1"), coded("1", CodingSchemeVersion="")),
        ("ViewCodeSequence", coded("1"), with_lengths_and_padding()),
        ("ViewCodeSequence", Dataset(), header(ViewCodeSequence=Sequence([]))),
        ("ViewCodeSequence", Dataset(), header(ViewCodeSequence=[Dataset()])),
        ("Laterality", Dataset(), header(Laterality="")),
    ],
)
def test_what_an_archive_coerces_is_the_same(keyword: str, one: Dataset, other: Dataset) -> None:
    """Another form of the same value makes no difference, whichever file came first."""
    assert comparable(one, keyword) == comparable(other, keyword)


@pytest.mark.parametrize(
    ("keyword", "one", "other"),
    [
        ("PixelSpacing", header(PixelSpacing=["0.143", "0.143"]), header(PixelSpacing=["0.143", "0.144"])),
        ("StudyTime", header(StudyTime="101010"), header(StudyTime="101011")),
        ("StudyTime", header(StudyTime="101000"), header(StudyTime="1010")),
        ("PatientAge", header(PatientAge="060Y"), header(PatientAge="060M")),
        ("PatientID", header(PatientID="p1"), header(PatientID="P1")),
        ("PatientID", header(PatientID="01"), header(PatientID="1")),
        ("PatientName", header(PatientName="Doe^Jane"), header(PatientName="Doe^^Jane")),
        ("ViewCodeSequence", coded("1"), coded("2")),
        ("ViewCodeSequence", coded("1"), Dataset()),
        ("ViewCodeSequence", header(ViewCodeSequence=[header(CodeMeaning="PA")]), coded("", "AP")),
    ],
)
def test_another_value_is_different(keyword: str, one: Dataset, other: Dataset) -> None:
    """A different value is never taken for the same."""
    assert comparable(one, keyword) != comparable(other, keyword)


def test_value_that_cannot_be_read_is_the_same_as_its_own_bytes_only() -> None:
    """An attribute whose bytes are invalid for its VR must not make every resend new content."""

    def spaced(value: bytes) -> Dataset:
        tag = Tag(0x00280030)
        dataset = Dataset()
        dataset._dict[tag] = RawDataElement(tag, "DS", len(value), value, 0, True, True)
        return dataset

    bad = spaced(b"wide\\wide ")
    assert comparable(bad, "PixelSpacing") == comparable(spaced(b"wide\\wide "), "PixelSpacing")
    assert comparable(bad, "PixelSpacing") != comparable(spaced(b"tall\\tall "), "PixelSpacing")
