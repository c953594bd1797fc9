"""Traversal of the content tree of any SR document, without trusting it."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_sr import attributes
from dicom_sr.errors import NotStructuredReportError

CodeKey = tuple[str, str]
NO_CODE: CodeKey = ("", "")


def require_document(dataset: Dataset) -> None:
    """Check that there is a content tree to read.

    Raises:
        NotStructuredReportError: the object has no content tree.
    """
    if "ValueType" not in dataset and "ContentSequence" not in dataset:
        raise NotStructuredReportError("the object has no content tree: it is not a Structured Report")


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty if it is absent or unreadable."""
    return list(attributes.items(dataset, keyword))


def children(item: Dataset) -> list[Dataset]:
    """The content items below one."""
    return items(item, "ContentSequence")


def descendants(item: Dataset) -> Iterator[Dataset]:
    """All content items below one, depth first."""
    for child in children(item):
        yield child
        yield from descendants(child)


def words(dataset: Dataset, keyword: str) -> str:
    """The value of an element as text; empty if it is absent or unreadable."""
    try:
        value = dataset.get(keyword)
    except attributes.FOREIGN_ERRORS:
        return ""
    return "" if value is None else str(value)


def code(item: Dataset, keyword: str) -> Code | None:
    """The first code of a code sequence."""
    return next((_code_of(entry) for entry in items(item, keyword)), None)


def key(code_or_none: Code | None) -> CodeKey:
    """Scheme and value of a code: its identity."""
    return NO_CODE if code_or_none is None else (code_or_none.scheme_designator, code_or_none.value)


def name(item: Dataset) -> CodeKey:
    """Scheme and value of an item's concept name."""
    return key(code(item, "ConceptNameCodeSequence"))


def value(item: Dataset) -> CodeKey:
    """Scheme and value of a CODE item's value."""
    return key(code(item, "ConceptCodeSequence"))


def _code_of(entry: Dataset) -> Code:
    stated = next(
        (
            found
            for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue")
            if (found := words(entry, keyword))
        ),
        "",
    )
    return Code(stated, words(entry, "CodingSchemeDesignator"), words(entry, "CodeMeaning"))
