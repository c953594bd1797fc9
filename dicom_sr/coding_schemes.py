"""The identification of a document's private coding schemes, for readers that do not know them.

Source: PS3.3 C.12.1 (Coding Scheme Identification Sequence); PS3.16 8 (coding scheme designators; those that
begin with 99 are private).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydicom.dataset import Dataset

from dicom_sr.codes import PRIVATE_SCHEME
from dicom_sr.content import Item
from dicom_sr.identifiers import derived_uid

# Name and responsible organization of the schemes that the shipped vocabulary uses.
_KNOWN = {
    PRIVATE_SCHEME: ("ECHO Agent codes", "ECHO Agent"),
    "99OIFM": ("Open Imaging Finding Model identifiers", "Open Imaging Data Model Project"),
}


def schemes_in(document: Dataset, tree: Item) -> frozenset[str]:
    """The private schemes of a document's header and of its content tree."""
    stated = (
        str(element.value) for element in document.iterall() if element.keyword == "CodingSchemeDesignator"
    )
    return frozenset(scheme for scheme in (*stated, *_schemes_of(tree)) if scheme.startswith("99"))


def identifications(schemes: Iterable[str]) -> list[Dataset]:
    """One item for each private scheme, in the order of their designators."""
    return [_identification(scheme) for scheme in sorted(schemes)]


def _schemes_of(item: Item) -> Iterator[str]:
    for code in (item.name, item.code, item.equivalent):
        if code is not None:
            yield code.scheme_designator
    for child in item.children:
        yield from _schemes_of(child)


def _identification(scheme: str) -> Dataset:
    name, organization = _KNOWN.get(scheme, (f"Private coding scheme {scheme}", ""))
    item = Dataset()
    item.CodingSchemeDesignator = scheme
    if scheme == PRIVATE_SCHEME:
        item.CodingSchemeUID = derived_uid("coding-scheme", scheme)
    item.CodingSchemeName = name
    if organization:
        item.CodingSchemeResponsibleOrganization = organization
    return item
