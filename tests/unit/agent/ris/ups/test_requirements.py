"""Required attributes of a new workitem (PS3.4 table CC.2.5-3 and its macros)."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from agent.ris.ups.requirements import CREATED_PRESENT, CREATED_WITH_VALUE, creation_shortcoming
from agent.ris.ups.terms import UpsStatus
from tests.support.ups import scheduled

ABSENT, EMPTY = UpsStatus.MISSING_ATTRIBUTE, UpsStatus.MISSING_VALUE


def item(**values: object) -> Dataset:
    """Return an item with these attributes."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def code(**changes: object) -> Dataset:
    """Return an item of the code sequence macro; keywords add to it, None removes."""
    dataset = item(CodeValue="110003", CodingSchemeDesignator="DCM", CodeMeaning="Computer Aided Diagnosis")
    return changed(dataset, changes)


def instances(**changes: object) -> Dataset:
    """Return an item of the Input Information Sequence; keywords add to it, None removes."""
    image = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.1", ReferencedSOPInstanceUID="1.2.3.1.1")
    dataset = item(TypeOfInstances="DICOM", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1")
    dataset.ReferencedSOPSequence, dataset.DICOMRetrievalSequence = [image], [item(RetrieveAETitle="PACS")]
    return changed(dataset, changes)


def changed(dataset: Dataset, changes: dict[str, object]) -> Dataset:
    """Set attributes; None removes one."""
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def content(kind: str, **values: object) -> Dataset:
    """Return an item of the content item macro."""
    return item(ValueType=kind, ConceptNameCodeSequence=[code()], **values)


def shortcoming(**changes: object) -> tuple[UpsStatus, tuple[str, ...]] | None:
    """Return the status and the attributes that the answer names."""
    found = creation_shortcoming(scheduled(**changes))
    return None if found is None else (found.status, found.keywords)


@pytest.mark.parametrize("keyword", [*CREATED_WITH_VALUE, *CREATED_PRESENT])
def test_absent_attribute_is_named(keyword: str) -> None:
    """Attributes of types 1 and 2 must be present."""
    assert shortcoming(**{keyword: None}) == (ABSENT, (keyword,))


@pytest.mark.parametrize("keyword", CREATED_WITH_VALUE)
def test_empty_attribute_of_type_1_is_named(keyword: str) -> None:
    """An attribute of type 1 must have a value."""
    assert shortcoming(**{keyword: ""}) == (EMPTY, (keyword,))


ITEMS = [
    ("InputInformationSequence", instances(TypeOfInstances=None), ["TypeOfInstances"]),
    ("InputInformationSequence", instances(StudyInstanceUID=None), ["StudyInstanceUID"]),
    ("InputInformationSequence", instances(SeriesInstanceUID=None), ["SeriesInstanceUID"]),
    ("InputInformationSequence", instances(DICOMRetrievalSequence=None), ["DICOMRetrievalSequence"]),
    (
        "InputInformationSequence",
        instances(DICOMRetrievalSequence=[Dataset()]),
        ["DICOMRetrievalSequence.RetrieveAETitle"],
    ),
    (
        "InputInformationSequence",
        instances(ReferencedSOPSequence=[item(ReferencedSOPInstanceUID="1.2.3.1.1")]),
        ["ReferencedSOPSequence.ReferencedSOPClassUID"],
    ),
    (
        "InputInformationSequence",
        instances(DICOMRetrievalSequence=None, WADORSRetrievalSequence=[Dataset()]),
        ["WADORSRetrievalSequence.RetrieveURL"],
    ),
    ("ScheduledWorkitemCodeSequence", code(CodeValue=None), ["CodeValue"]),
    ("ScheduledWorkitemCodeSequence", code(CodingSchemeDesignator=None), ["CodingSchemeDesignator"]),
    ("ScheduledStationNameCodeSequence", code(CodeMeaning=None), ["CodeMeaning"]),
    ("ReferencedRequestSequence", item(AccessionNumber="A1"), ["StudyInstanceUID"]),
    ("IssuerOfAdmissionIDSequence", Dataset(), ["UniversalEntityID"]),
    ("IssuerOfAdmissionIDSequence", item(UniversalEntityID="1.2.9"), ["UniversalEntityIDType"]),
    ("ScheduledProcessingParametersSequence", content("TEXT"), ["TextValue"]),
    ("ScheduledProcessingParametersSequence", content("CODE"), ["ConceptCodeSequence"]),
    ("ScheduledProcessingParametersSequence", content("DATETIME"), ["DateTime"]),
    (
        "ScheduledProcessingParametersSequence",
        content("NUMERIC", NumericValue="3"),
        ["MeasurementUnitsCodeSequence"],
    ),
    (
        "ScheduledProcessingParametersSequence",
        item(ValueType="TEXT", TextValue="frontal"),
        ["ConceptNameCodeSequence"],
    ),
]


@pytest.mark.parametrize(("sequence", "lacking", "named"), ITEMS)
def test_attribute_that_an_item_lacks_is_named_with_its_sequence(
    sequence: str, lacking: Dataset, named: list[str]
) -> None:
    """Types 1 and 1C of the macros are checked, the condition being met."""
    expected = tuple(f"{sequence}.{one}" for one in named)
    assert (ABSENT, expected) == shortcoming(**{sequence: [lacking]})


@pytest.mark.parametrize(
    ("sequence", "whole"),
    [
        ("InputInformationSequence", instances()),
        (
            "InputInformationSequence",
            instances(
                DICOMRetrievalSequence=None,
                WADORSRetrievalSequence=[item(RetrieveURL="http://127.0.0.1/studies/1.2.3")],
            ),
        ),
        (
            "InputInformationSequence",
            instances(TypeOfInstances="CDA", StudyInstanceUID=None, SeriesInstanceUID=None),
        ),
        ("ScheduledWorkitemCodeSequence", code(CodeValue=None, LongCodeValue="1" * 20)),
        (
            "ScheduledWorkitemCodeSequence",
            code(CodeValue=None, CodingSchemeDesignator=None, URNCodeValue="urn:oid:1.2.9"),
        ),
        ("IssuerOfAdmissionIDSequence", item(LocalNamespaceEntityID="WARD")),
        ("ScheduledProcessingParametersSequence", content("TEXT", TextValue="frontal")),
    ],
)
def test_item_that_has_what_its_conditions_demand_is_accepted(sequence: str, whole: Dataset) -> None:
    """One of several is enough, and an attribute that does not apply may be absent."""
    assert shortcoming(**{sequence: [whole]}) is None


def test_empty_value_in_an_item_is_told_from_an_absent_one() -> None:
    """The status is 0121, not 0120."""
    assert shortcoming(InputInformationSequence=[instances(StudyInstanceUID="")]) == (
        EMPTY,
        ("InputInformationSequence.StudyInstanceUID",),
    )


def test_lenient_creation_takes_what_can_be_understood() -> None:
    """Without `ups.strict` type 2 and conditional attributes may be absent, but not the study."""
    bare = scheduled(AdmissionID=None, InputInformationSequence=[instances(DICOMRetrievalSequence=None)])
    assert creation_shortcoming(bare, strict=False) is None
    nameless = scheduled(InputInformationSequence=[instances(StudyInstanceUID=None)])
    found = creation_shortcoming(nameless, strict=False)
    assert found is not None
    assert found.keywords == ("InputInformationSequence.StudyInstanceUID",)
