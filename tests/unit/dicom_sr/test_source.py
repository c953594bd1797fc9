"""What a document inherits from its images, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from dicom_sr.authority import PatientIdentifier, Qualifiers
from dicom_sr.errors import MixedStudyError, SourceIdentityError
from dicom_sr.source import image_references, prior_references, study_header
from dicom_sr.values import SourceStudy

MakeImage = Callable[..., Dataset]


def test_header_carries_patient_study_and_order(make_image: MakeImage) -> None:
    """The simple case: every attribute is taken over unchanged."""
    header = study_header([make_image()])
    assert (
        header.patient_name,
        header.patient_id,
        header.patient_birth_date,
        header.patient_sex,
    ) == ("Müller^Jürgen", "PID-1", "19500102", "M")
    assert (
        header.study_instance_uid,
        header.study_date,
        header.study_time,
        header.study_id,
        header.orders.accession_number,
        header.referring_physician_name,
    ) == ("1.2.826.1", "20260304", "040500", "S1", "ACC-1", "Arzt^Anna")
    assert header.notes == ()


def test_header_takes_the_first_image_that_says_something(make_image: MakeImage) -> None:
    """An image without a birth date does not hide the value of another image."""
    images = [make_image(1, PatientBirthDate=None, AccessionNumber=None), make_image(2)]
    header = study_header(images)
    assert (header.patient_birth_date, header.orders.accession_number) == ("19500102", "ACC-1")


def test_header_of_an_image_without_optional_attributes_is_empty(make_image: MakeImage) -> None:
    """Missing attributes give empty values, never an error."""
    missing = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime")
    image = make_image(**dict.fromkeys((*missing, "StudyID", "AccessionNumber", "ReferringPhysicianName")))
    header = study_header([image])
    assert {""} == {
        header.patient_name,
        header.patient_id,
        header.patient_birth_date,
        header.patient_sex,
        header.study_date,
        header.study_time,
        header.study_id,
        header.orders.accession_number,
        header.referring_physician_name,
    }


def test_long_accession_number_is_never_shortened(make_image: MakeImage) -> None:
    """A shortened accession number may be another order's: the number moves into the text in full."""
    header = study_header([lenient(make_image(), AccessionNumber="A" * 56)])
    assert header.orders.accession_number == ""
    assert len(header.notes) == 1
    assert "A" * 56 in header.notes[0]


@pytest.mark.parametrize(
    ("keyword", "value", "field", "expected"),
    [
        ("PatientBirthDate", "1950.01.02", "patient_birth_date", "19500102"),
        ("PatientBirthDate", "19501399", "patient_birth_date", ""),
        ("PatientBirthDate", "unknown", "patient_birth_date", ""),
        ("StudyTime", "04:05:06", "study_time", "040506"),
        ("StudyTime", "040506.123", "study_time", "040506.123"),
        ("StudyTime", "2561", "study_time", ""),
        ("PatientSex", "female", "patient_sex", ""),
        ("PatientSex", "f", "patient_sex", "F"),
        ("StudyID", "X" * 17, "study_id", ""),
        ("PatientName", "A" * 70 + "^B", "patient_name", "A" * 64),
        ("PatientName", "A^B^C^D^E^F", "patient_name", "A^B^C^D^E"),
        ("PatientName", "A\\B", "patient_name", "A B"),
        ("TimezoneOffsetFromUTC", "+0130", "timezone_offset", "+0130"),
        ("TimezoneOffsetFromUTC", "CET", "timezone_offset", ""),
        ("StudyDescription", "Д" * 40, "study_description", "Д" * 30 + "..."),
    ],
)
def test_odd_value_is_mended_or_left_empty(
    make_image: MakeImage, keyword: str, value: str, field: str, expected: str
) -> None:
    """Every value that a document inherits conforms to its value representation."""
    image = lenient(make_image(SpecificCharacterSet="ISO_IR 192"), **{keyword: value})
    assert expected == getattr(study_header([image]), field)


@pytest.mark.parametrize("value", ["", "1.2.x", "1..2", "1." + "2" * 63, ".", "1.02"])
def test_invalid_study_uid_is_refused(make_image: MakeImage, value: str) -> None:
    """A document that cannot name its study is not written."""
    with pytest.raises(SourceIdentityError, match="StudyInstanceUID"):
        study_header([lenient(make_image(), StudyInstanceUID=value)])


def test_patient_id_beyond_its_length_is_refused(make_image: MakeImage) -> None:
    """A shortened Patient ID could be another patient's."""
    with pytest.raises(SourceIdentityError, match="PatientID"):
        study_header([lenient(make_image(), PatientID="P" * 65)])


def test_study_without_images_is_refused() -> None:
    """A study without images has nothing to refer to."""
    with pytest.raises(SourceIdentityError):
        study_header([])


@pytest.mark.parametrize("other", [{"StudyInstanceUID": "1.2.9"}, {"PatientID": "PID-2"}])
def test_images_of_two_studies_or_patients_are_refused(make_image: MakeImage, other: dict[str, Any]) -> None:
    """One document is about one study of one patient."""
    with pytest.raises(MixedStudyError):
        study_header([make_image(1), make_image(2, **other)])


def test_order_is_read_from_request_attributes(make_image: MakeImage) -> None:
    """The requested procedure, and an accession number that is only in the request."""
    request = Dataset()
    request.RequestedProcedureID = "RP-7"
    request.RequestedProcedureDescription = "Röntgen Thorax"
    request.AccessionNumber = "ACC-9"
    image = make_image(AccessionNumber=None, RequestAttributesSequence=Sequence([request]))
    order = study_header([image]).orders.leading
    assert order is not None
    assert (
        order.accession_number,
        order.requested_procedure_id,
        order.requested_procedure_description,
    ) == ("ACC-9", "RP-7", "Röntgen Thorax")


def test_images_are_named_once_in_the_order_of_their_uids(make_image: MakeImage) -> None:
    """Neither the order of arrival nor repeated images make a difference."""
    images = [make_image(3), make_image(1), make_image(3), make_image(2)]
    assert [f"1.2.826.1.1.{n}" for n in (1, 2, 3)] == [
        ref.sop_instance_uid for ref in image_references(images)
    ]


def test_frontal_view_comes_first(make_image: MakeImage) -> None:
    """The frontal film is listed before the lateral, in any order of their UIDs."""
    images = [make_image(1, ViewPosition="LL"), make_image(2, ViewPosition="PA")]
    assert [reference.view for reference in image_references(images)] == ["PA", "LL"]


def test_priors_of_another_patient_are_refused(make_image: MakeImage) -> None:
    """A study is never compared with another patient's."""
    study = SourceStudy(
        images=(make_image(1),), priors=(make_image(8, StudyInstanceUID="1.2.9", PatientID="PID-2"),)
    )
    with pytest.raises(MixedStudyError):
        prior_references(study)


def test_priors_of_the_same_study_are_no_priors(make_image: MakeImage) -> None:
    """Images of the same study are current evidence."""
    assert prior_references(SourceStudy(images=(make_image(1),), priors=(make_image(2),))) == ()


def lenient(image: Dataset, **raw: str) -> Dataset:
    """The image with values as a non-conforming sender would write them."""
    for keyword, value in raw.items():
        tag = Tag(tag_for_keyword(keyword) or 0)
        encoded = value.encode()
        image[tag] = RawDataElement(tag, dictionary_VR(tag), len(encoded), encoded, 0, False, True)
    return image


@pytest.mark.parametrize("letter", ["Б", "漢", "한", "ß", "\N{CJK UNIFIED IDEOGRAPH-20000}"])
def test_identifiers_are_counted_in_characters(make_image: MakeImage, letter: str) -> None:
    """64 Cyrillic letters are 128 bytes and 64 Han characters 192, and both are valid identifiers."""
    whole, short = letter * 64, letter * 16
    image = make_image(
        SpecificCharacterSet="ISO_IR 192",
        PatientID=whole, IssuerOfPatientID=whole, StudyID=short
    )  # fmt: skip
    header = study_header([image])
    assert (header.patient_id, header.issuer_of_patient_id) == (whole, whole)
    assert (header.study_id, header.notes) == (short, ())


@pytest.mark.parametrize("letter", ["Б", "漢", "한"])
def test_identifier_of_too_many_characters_is_left_out(make_image: MakeImage, letter: str) -> None:
    """65 characters do not fit LO: the authority is left out with a note, never shortened."""
    header = study_header(
        [lenient(make_image(SpecificCharacterSet="ISO_IR 192"), IssuerOfPatientID=letter * 65)]
    )
    assert (header.issuer_of_patient_id, letter * 65 in header.notes[0]) == ("", True)


def test_identifier_that_is_too_long_is_left_out_with_a_note(make_image: MakeImage) -> None:
    """An authority is never shortened; the note quotes it in full."""
    header = study_header([lenient(make_image(), IssuerOfPatientID="I" * 65, StudyID="S" * 17)])
    assert (header.issuer_of_patient_id, header.study_id) == ("", "")
    assert ["I" * 65 in header.notes[0], "S" * 17 in header.notes[1]] == [True, True]


def test_issuers_and_other_identifiers_are_carried_whole(make_image: MakeImage) -> None:
    """The qualifiers of the Patient ID, and the patient's other identifiers with their issuers."""
    qualifier = Dataset()
    qualifier.UniversalEntityID, qualifier.UniversalEntityIDType = "1.2.3", "ISO"
    qualifier.IdentifierTypeCode = "MR"
    other = Dataset()
    other.PatientID, other.TypeOfPatientID, other.IssuerOfPatientID = "OLD-1", "TEXT", "ADT"
    header = study_header(
        [
            make_image(
                IssuerOfPatientIDQualifiersSequence=Sequence([qualifier]),
                OtherPatientIDsSequence=Sequence([other]),
            )
        ]
    )
    assert header.issuer_qualifiers == Qualifiers(
        universal="1.2.3", universal_type="ISO", identifier_type="MR"
    )
    assert header.other_patient_ids == (PatientIdentifier(patient_id="OLD-1", issuer="ADT", kind="TEXT"),)


def test_image_without_a_patient_id_contradicts_nobody(make_image: MakeImage) -> None:
    """An empty Patient ID is not another patient's; the stated one is used."""
    assert study_header([make_image(1, PatientID=None), make_image(2)]).patient_id == "PID-1"
