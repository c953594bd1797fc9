"""The attributes of types 1 and 1C that items of a workitem's sequences must have, by macro. Pure.

Source: PS3.4 section CC.2.5.1.2, the macros for codes, content items, referenced instances and access,
HL7v2 hierarchic designators and issuers of patient IDs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag

from dicom_sr.attributes import is_stated, items, text

_CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")
# The ways to retrieve the instances, at least one of which is needed, and what an item of each must have.
_RETRIEVALS = MappingProxyType(
    {
        "DICOMRetrievalSequence": "RetrieveAETitle",
        "DICOMMediaRetrievalSequence": "StorageMediaFileSetUID",
        "WADORetrievalSequence": "RetrieveURI",
        "XDSRetrievalSequence": "RepositoryUniqueID",
        "WADORSRetrievalSequence": "RetrieveURL",
    }
)
_VALUE_OF_TYPE = MappingProxyType(
    {
        "DATETIME": "DateTime",
        "DATE": "Date",
        "TIME": "Time",
        "PNAME": "PersonName",
        "UIDREF": "UID",
        "TEXT": "TextValue",
        "CODE": "ConceptCodeSequence",
        "NUMERIC": "NumericValue",
    }
)


def lacking_in_items(dataset: Dataset) -> Iterator[tuple[str, bool]]:
    """Yield the path of each attribute of type 1 or 1C that an item of a sequence lacks, and whether it is
    present without a value. If one of several attributes is required, the first of them is named.
    """
    for sequence, item in _every_item(dataset, ""):
        for keyword in _demanded(sequence.rsplit(".", 1)[-1])(item):
            yield f"{sequence}.{keyword}", keyword in item


def _every_item(dataset: Dataset, before: str) -> Iterator[tuple[str, Dataset]]:
    for element in dataset:
        keyword = keyword_for_tag(element.tag)
        if not keyword or element.VR != "SQ":
            continue
        for item in items(dataset, keyword):
            yield before + keyword, item
            yield from _every_item(item, f"{before}{keyword}.")


def _demanded(sequence: str) -> Callable[[Dataset], Iterator[str]]:
    """Return the rule for the items of a sequence."""
    if sequence.endswith("CodeSequence"):
        return _code
    return _RULES.get(sequence, _needs())


def _code(item: Dataset) -> Iterator[str]:
    stated = [one for one in _CODE_VALUES if is_stated(item, one)]
    if not stated:
        yield _CODE_VALUES[0]
    if not is_stated(item, "CodingSchemeDesignator") and stated != ["URNCodeValue"]:
        yield "CodingSchemeDesignator"
    yield from _absent(item, "CodeMeaning")


def _instances(item: Dataset) -> Iterator[str]:
    yield from _absent(item, "TypeOfInstances")
    if text(item, "TypeOfInstances") == "DICOM":
        yield from _absent(item, "StudyInstanceUID", "SeriesInstanceUID")
    if not any(is_stated(item, one) for one in _RETRIEVALS):
        yield next(iter(_RETRIEVALS))


def _content_item(item: Dataset) -> Iterator[str]:
    yield from _absent(item, "ValueType", "ConceptNameCodeSequence")
    value = _VALUE_OF_TYPE.get(text(item, "ValueType"))
    if value is not None:
        yield from _absent(item, value)
    if value == "NumericValue":
        yield from _absent(item, "MeasurementUnitsCodeSequence")


def _designator(item: Dataset) -> Iterator[str]:
    if not is_stated(item, "LocalNamespaceEntityID"):
        yield from _absent(item, "UniversalEntityID")
    yield from _qualifier(item)


def _qualifier(item: Dataset) -> Iterator[str]:
    if is_stated(item, "UniversalEntityID"):
        yield from _absent(item, "UniversalEntityIDType")


def _needs(*keywords: str) -> Callable[[Dataset], Iterator[str]]:
    return lambda item: _absent(item, *keywords)


def _absent(item: Dataset, *keywords: str) -> Iterator[str]:
    return (keyword for keyword in keywords if not is_stated(item, keyword))


_RULES: MappingProxyType[str, Callable[[Dataset], Iterator[str]]] = MappingProxyType(
    {
        "InputInformationSequence": _instances,
        "OutputInformationSequence": _instances,
        "ScheduledProcessingParametersSequence": _content_item,
        "ReferencedRequestSequence": _needs("StudyInstanceUID"),
        "ReferencedSOPSequence": _needs("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"),
        "IssuerOfAdmissionIDSequence": _designator,
        "IssuerOfAccessionNumberSequence": _designator,
        "OrderPlacerIdentifierSequence": _designator,
        "OrderFillerIdentifierSequence": _designator,
        "AssigningFacilitySequence": _designator,
        "IssuerOfPatientIDQualifiersSequence": _qualifier,
        **{sequence: _needs(keyword) for sequence, keyword in _RETRIEVALS.items()},
    }
)
