"""What is read from a report, ours or another product's."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_sr.errors import NotStructuredReportError
from dicom_sr.narrative import narrative

FINDINGS = Code("121070", "DCM", "Findings")
FINDING = Code("121071", "DCM", "Finding")
IMPRESSIONS = Code("19005-8", "LN", "Impressions")
HISTORY = Code("121060", "DCM", "History")


def named(code: Code | None, **values: Any) -> Dataset:
    """A content item."""
    item = Dataset()
    if code is not None:
        concept = Dataset()
        concept.CodeValue, concept.CodingSchemeDesignator = code.value, code.scheme_designator
        concept.CodeMeaning = code.meaning
        item.ConceptNameCodeSequence = [concept]
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def words(text: str, code: Code | None = FINDING) -> Dataset:
    """A TEXT item."""
    return named(code, ValueType="TEXT", TextValue=text)


def section(code: Code, *items: Dataset) -> Dataset:
    """A CONTAINER item."""
    return named(code, ValueType="CONTAINER", ContentSequence=list(items))


def report(*items: Dataset, **values: Any) -> Dataset:
    """A document."""
    header = {"CompletionFlag": "COMPLETE", "VerificationFlag": "UNVERIFIED", "ContentDate": "20250101"}
    return named(None, ValueType="CONTAINER", ContentSequence=list(items), **(header | values))


def test_findings_and_impression_are_read_without_the_rest() -> None:
    """History and indication are not results."""
    document = report(
        section(HISTORY, words("Cough.", HISTORY)),
        section(FINDINGS, words("Clear\r\nlungs."), words("No effusion.")),
        section(IMPRESSIONS, words("Normal chest.")),
    )
    assert narrative(document, 500).text == "Findings: Clear lungs. No effusion. Impressions: Normal chest."


def test_report_without_sections_is_read_whole() -> None:
    """A report without sections consists of its text alone."""
    assert narrative(report(words("All is well.", None)), 500).text == "All is well."


def test_long_report_is_cut_at_a_word() -> None:
    """The reader sees that the text continues."""
    text = narrative(report(words("one two three four five")), 25).text
    assert text == "Finding: one two ..."


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, (False, True)),
        ({"VerificationFlag": "VERIFIED", "CompletionFlag": "PARTIAL"}, (True, True)),
        ({"CompletionFlag": "PARTIAL"}, (False, False)),
        ({"PreliminaryFlag": "PRELIMINARY"}, (False, False)),
        ({"PreliminaryFlag": "FINAL"}, (False, True)),
    ],
)
def test_draft_is_no_final_report(flags: dict[str, str], expected: tuple[bool, bool]) -> None:
    """A document that its author calls preliminary, or has not completed, is not used for comparison."""
    read = narrative(report(words("x"), **flags), 500)
    assert (read.verified, read.final) == expected


def test_deep_tree_ends() -> None:
    """A very deep tree does not exhaust the stack."""
    item = words("deep")
    for _ in range(60):
        item = section(FINDINGS, item)
    assert narrative(report(item), 500).text == ""


def test_object_without_a_tree_is_refused() -> None:
    """An image is not a report."""
    with pytest.raises(NotStructuredReportError):
        narrative(Dataset(), 500)
