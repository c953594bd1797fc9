"""Documents as highdicom reads them: ours say what was meant, and any difference is found."""

from __future__ import annotations

import io
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from highdicom.sr import Comprehensive3DSR
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from dicom_sr import codes
from dicom_sr.document import DocumentPair, DraftContent, encode
from dicom_sr.errors import ReadBackError
from dicom_sr.independent import groups_of, measured, read_back, statement
from dicom_sr.narrative import narrative
from dicom_sr.terminology import code_key, default_terminology
from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import load_vocabulary

MakeDraft = Callable[..., DocumentPair]

FULL = Finding(
    concept="pleural_effusion",
    presence=Presence.PRESENT,
    laterality=Laterality.LEFT,
    location="base",
    severity=Severity.MODERATE,
    change=Change.INCREASED,
    evidence="Moderate left pleural effusion at the base, larger than before.",
)
PLAIN = Finding(concept="pneumothorax", presence=Presence.ABSENT, evidence="No pneumothorax.")
DOUBT = Finding(concept="consolidation", presence=Presence.INDETERMINATE, laterality=Laterality.RIGHT)


def document(make_draft: MakeDraft, content: DraftContent, *findings: Finding, **changed: Any) -> bytes:
    """The bytes of a findings document."""
    return encode(make_draft(content=replace(content, findings=findings), **changed).findings)


@pytest.mark.parametrize("variant", ["comprehensive3d", "comprehensive", "enhanced"])
def test_every_variant_is_read_back_as_it_was_meant(
    make_draft: MakeDraft, content: DraftContent, variant: str
) -> None:
    """Concept, presence, side, place, grade and change are read back from every SOP class that we write."""
    data = document(make_draft, content, FULL, PLAIN, DOUBT, findings_sop_class=variant)
    assert pydicom.dcmread(io.BytesIO(data)).SOPClassUID in {
        Comprehensive3DSRStorage,
        ComprehensiveSRStorage,
        EnhancedSRStorage,
    }
    read_back(data, (FULL, PLAIN, DOUBT))


def test_every_concept_is_read_back(make_draft: MakeDraft, content: DraftContent) -> None:
    """No concept of the vocabulary has a code that another reader takes for something else."""
    findings = [Finding(concept=one, presence=Presence.PRESENT) for one in load_vocabulary().concepts]
    read_back(document(make_draft, content, *findings), findings)


def test_document_without_findings_is_read_back(make_draft: MakeDraft, content: DraftContent) -> None:
    """A document without findings has no measurement group."""
    read_back(document(make_draft, content), ())


@pytest.mark.parametrize(
    "change",
    [
        {"presence": Presence.ABSENT},
        {"presence": Presence.INDETERMINATE},
        {"laterality": Laterality.RIGHT},
        {"laterality": None},
        {"location": None},
        {"severity": Severity.SEVERE},
        {"change": Change.DECREASED},
        {"concept": "pneumothorax"},
    ],
)
def test_difference_to_what_was_meant_is_found(
    make_draft: MakeDraft, content: DraftContent, change: dict[str, Any]
) -> None:
    """A finding that differs between the draft and its document is never sent."""
    data = document(make_draft, content, FULL, PLAIN)
    with pytest.raises(ReadBackError, match="2 findings where 2 were meant; 1 of them"):
        read_back(data, (replace(FULL, **change), PLAIN))


def test_missing_finding_is_found(make_draft: MakeDraft, content: DraftContent) -> None:
    """A document may state neither more nor less than the draft."""
    with pytest.raises(ReadBackError, match="1 findings where 2 were meant"):
        read_back(document(make_draft, content, FULL), (FULL, PLAIN))


def test_damaged_document_is_no_document(make_draft: MakeDraft, content: DraftContent) -> None:
    """A document that highdicom cannot read is not stored."""
    with pytest.raises(ReadBackError, match="cannot read"):
        read_back(document(make_draft, content, FULL)[:900], (FULL,))


@pytest.mark.filterwarnings("ignore")
def test_measurements_of_a_foreign_document_are_its_text(shared_data: Path) -> None:
    """The measurements are the text of an earlier report that has measurement groups alone."""
    foreign = pydicom.dcmread(shared_data / "06_sr" / "dcmqi_tid1500_sr.dcm")
    (line,) = measured(foreign)
    assert line.startswith("Neoplasm, Primary, pharyngeal tonsil (adenoid): SUVbw 6.01529")
    assert "Volume 33.5824 ml" in narrative(foreign, 1500).text


def test_document_of_another_kind_has_no_measurements(make_draft: MakeDraft) -> None:
    """A Basic Text SR has no measurements."""
    assert measured(make_draft().report) == ()


def test_walk_over_groups_sees_what_highdicoms_template_reader_sees(
    make_draft: MakeDraft, content: DraftContent
) -> None:
    """Our single pass over highdicom's content items gives the same answers as its methods for each group."""
    data = document(make_draft, content, FULL, PLAIN, DOUBT)
    asked = Comprehensive3DSR.from_dataset(pydicom.dcmread(io.BytesIO(data)))
    walked = [statement(group) for group in groups_of(asked)]
    for one, group in zip(walked, asked.content.get_image_measurement_groups(), strict=True):
        (site,) = group.finding_sites
        assert one.finding == (None if group.finding_type is None else code_key(group.finding_type))
        assert one.site == code_key(site.value)
        assert one.side == (None if site.laterality is None else code_key(site.laterality))
        answers = {(code_key(row.name), code_key(row.value)) for row in group.get_qualitative_evaluations()}
        assert one.answers == answers


def twice(document: bytes, keyword_of: Any, value: Any) -> bytes:
    """A document whose first group repeats a coded row with another value."""
    dataset = pydicom.dcmread(io.BytesIO(document))
    (container,) = (
        item
        for item in dataset.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == codes.IMAGING_MEASUREMENTS.value
    )
    group = container.ContentSequence[0]
    for rows in (group.ContentSequence, *(row.get("ContentSequence", []) for row in group.ContentSequence)):
        found = [row for row in rows if row.get("ConceptNameCodeSequence", [None])[0] is not None]
        for row in found:
            if row.ConceptNameCodeSequence[0].CodeValue == keyword_of.value:
                again = deepcopy(row)
                again.ConceptCodeSequence[0].CodeValue = value.value
                again.ConceptCodeSequence[0].CodingSchemeDesignator = value.scheme_designator
                rows.insert(0, again)
                return encode(dataset)
    raise AssertionError("the document has no such row")


def test_contradictory_sides_or_answers_never_leave(make_draft: MakeDraft, content: DraftContent) -> None:
    """A reader that takes the first of two sides would see the finding on the wrong side."""
    data = document(make_draft, content, FULL)
    with pytest.raises(ReadBackError):
        read_back(twice(data, codes.LATERALITY, codes.SIDE[Laterality.RIGHT]), (FULL,))
    absent = codes.PRESENCE[Presence.ABSENT]
    concept = default_terminology().term(FULL).code
    with pytest.raises(ReadBackError):
        read_back(twice(data, concept, absent), (FULL,))
