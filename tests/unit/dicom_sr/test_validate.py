"""The gate: our documents pass, each broken one is named, a quick script's document fails."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage

from dicom_sr.document import (
    Algorithm,
    DocumentPair,
    DraftContent,
    SourceStudy,
    Urgency,
    Verification,
    build_rejection,
    build_verified,
    encode,
)
from dicom_sr.validate import validate, validate_pair

MakeDraft = Callable[..., DocumentPair]
MakeImage = Callable[..., Dataset]


def codes_of(document: Dataset | bytes, **options: Any) -> set[str]:
    return {problem.code for problem in validate(document, **options)}


def rows(document: Dataset, name: str) -> list[Dataset]:
    """All content items with that concept name."""
    return [
        item
        for item in walk(document)
        if "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeMeaning == name
    ]


def walk(item: Dataset) -> list[Dataset]:
    below = list(item.get("ContentSequence", []))
    return [*below, *(deeper for child in below for deeper in walk(child))]


@pytest.mark.parametrize("demonstration", [True, False])
@pytest.mark.parametrize("sop_class", ["comprehensive3d", "comprehensive", "enhanced"])
def test_draft_passes(
    make_draft: MakeDraft,
    make_image: MakeImage,
    content: DraftContent,
    algorithm: Algorithm,
    demonstration: bool,
    sop_class: str,
) -> None:
    """Bytes and data sets, with the sources available, a prior, flags, urgency and scores."""
    prior = make_image(9, StudyInstanceUID="1.2.700")
    images = (make_image(1), make_image(2))
    full = replace(
        content, flags=("One view.",), urgency=Urgency(level="stat", reason="x"), scores=(0.5, None, 0.1)
    )
    pair = make_draft(
        study=SourceStudy(images=images, priors=(prior,)),
        content=full,
        algorithm=replace(algorithm, demonstration=demonstration),
        findings_sop_class=sop_class,
    )
    options = {"sources": [*images, prior], "demonstration": demonstration}
    assert validate_pair(pair.findings, pair.report, **options) == ()
    assert validate_pair(encode(pair.findings), encode(pair.report), **options) == ()


def test_rejection_passes(make_image: MakeImage, algorithm: Algorithm, created: datetime.datetime) -> None:
    """The documents of a study without a draft are valid too."""
    study = SourceStudy(images=(make_image(),))
    pair = build_rejection(study, "no chest film", "not_attempted", algorithm, revision=1, created=created)
    assert validate_pair(pair.findings, pair.report, sources=study.images) == ()


def test_verified_report_passes(
    make_draft: MakeDraft,
    make_image: MakeImage,
    content: DraftContent,
    algorithm: Algorithm,
    created: datetime.datetime,
) -> None:
    """Final documents meet the rules for final documents."""
    study = SourceStudy(images=(make_image(),))
    verification = Verification(
        observer_name="Röntgen^W", organization="Klinik", verified_at=created, edited=True
    )
    pair = build_verified(
        study,
        content,
        algorithm,
        verification,
        revision=2,
        created=created,
        predecessors=make_draft().references,
    )
    assert validate_pair(pair.findings, pair.report, sources=study.images) == ()


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("SpecificCharacterSet", "ISO_IR 100", "character_set"),
        ("CompletionFlag", "COMPLETE", "flag"),
        ("VerificationFlag", "VERIFIED", "flag"),
        ("PreliminaryFlag", "FINAL", "flag"),
        ("SeriesDescription", "", "series_description"),
        ("AuthorObserverSequence", [], "author"),
        ("ReferencedRequestSequence", [], "request"),
        ("PerformedProcedureCodeSequence", None, "type_2"),
        ("CurrentRequestedProcedureEvidenceSequence", [], "evidence"),
        ("StudyInstanceUID", "1.2.3", "evidence_study"),
        ("ContentTemplateSequence", [], "template"),
        ("ConceptNameCodeSequence", [], "title"),
        ("PatientName", "Müller^Jürgen^", "digest"),
        ("ContentTime", "000000", "digest"),
        ("SOPInstanceUID", "2.25.1", "digest"),
        ("SeriesInstanceUID", "2.25.1", "digest"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.59", "sop_class"),
    ],
)
def test_changed_header_of_the_report_is_named(
    make_draft: MakeDraft, keyword: str, value: Any, code: str
) -> None:
    """Every attribute that the gate checks, changed or removed one by one."""
    document = make_draft().report
    if value is None:
        delattr(document, keyword)
    else:
        setattr(document, keyword, value)
    assert code in codes_of(document)


def broken_presence(document: Dataset) -> None:
    group = rows(document, "Measurement Group")[0]
    group.ContentSequence.append(rows(document, "Pleural effusion")[0])


def without_presence(document: Dataset) -> None:
    group = rows(document, "Measurement Group")[1]
    group.ContentSequence = [
        row for row in group.ContentSequence if row not in rows(document, "Pneumothorax")
    ]


def positive_negative(document: Dataset) -> None:
    positive, negative = rows(document, "Measurement Group")[:2]
    negative.ContentSequence.append(next(row for row in positive.ContentSequence if is_finding(row)))


def nameless_positive(document: Dataset) -> None:
    group = rows(document, "Measurement Group")[0]
    group.ContentSequence = [row for row in group.ContentSequence if not is_finding(row)]


def is_finding(row: Dataset) -> bool:
    name: str = row.ConceptNameCodeSequence[0].CodeMeaning
    return name == "Finding"


def severe_negative(document: Dataset) -> None:
    rows(document, "Measurement Group")[1].ContentSequence.append(rows(document, "Severity")[0])


def groundless_certainty(document: Dataset) -> None:
    del rows(document, "Certainty of Finding")[0].ContentSequence


def unlisted_image(document: Dataset) -> None:
    rows(document, "Source of Measurement")[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.9"


def other_class(document: Dataset) -> None:
    rows(document, "Source of Measurement")[0].ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2.9"


def failed_with_findings(document: Dataset) -> None:
    rows(document, "Summary of Analyses")[0].ConceptCodeSequence[0].CodeValue = "111224"


def without_outcome(document: Dataset) -> None:
    document.ContentSequence = document.ContentSequence[:-1]


def without_site(document: Dataset) -> None:
    group = rows(document, "Measurement Group")[0]
    group.ContentSequence = [
        row for row in group.ContentSequence if row not in rows(document, "Finding Site")
    ]


def without_tracking(document: Dataset) -> None:
    group = rows(document, "Measurement Group")[0]
    group.ContentSequence = group.ContentSequence[2:]


def empty_text(document: Dataset) -> None:
    rows(document, "Comment")[0].TextValue = " "


def own_predecessor(document: Dataset) -> None:
    document.PredecessorDocumentsSequence = document.CurrentRequestedProcedureEvidenceSequence
    series = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = document.SOPInstanceUID


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (broken_presence, "presence"),
        (without_presence, "presence"),
        (positive_negative, "finding"),
        (nameless_positive, "finding"),
        (severe_negative, "severity"),
        (groundless_certainty, "certainty"),
        (unlisted_image, "evidence_missing"),
        (other_class, "evidence_class"),
        (failed_with_findings, "outcome"),
        (without_outcome, "outcome"),
        (without_site, "site"),
        (without_tracking, "tracking"),
        (empty_text, "empty_item"),
        (own_predecessor, "self_reference"),
    ],
)
def test_damaged_findings_document_is_named(
    make_draft: MakeDraft, content: DraftContent, damage: Callable[[Dataset], None], code: str
) -> None:
    """Every rule on A's tree, violated one by one."""
    document = make_draft(content=replace(content, scores=(0.9, None, None))).findings
    damage(document)
    assert code in codes_of(document)


def test_report_with_sections_out_of_order_is_named(make_draft: MakeDraft) -> None:
    """TID 2000 prescribes an order, and the Summary comes first."""
    document = make_draft().report
    *context, summary, findings, impressions = document.ContentSequence
    document.ContentSequence = [*context, findings, summary, impressions]
    assert {"summary", "sections"} <= codes_of(document)
    document.ContentSequence = [summary, *context, findings]
    assert "context" not in codes_of(document)
    document.ContentSequence = [summary]
    assert "context" in codes_of(document)


@pytest.mark.parametrize(("model", "asked"), [(True, False), (False, True)])
def test_banner_must_be_the_models(
    make_draft: MakeDraft, algorithm: Algorithm, model: bool, asked: bool
) -> None:
    """A demonstration without a banner fails, and so does a banner without a demonstration."""
    pair = make_draft(algorithm=replace(algorithm, demonstration=model))
    assert "banner" in codes_of(pair.report, demonstration=asked)
    pair.report.SeriesDescription = "AI PRE-DRAFT report"
    assert ("banner" in codes_of(pair.report)) == model


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"PatientID": "PID-2"}, "evidence_patient"),
        ({"StudyInstanceUID": "1.2.9"}, "evidence_mismatch"),
        ({"SeriesInstanceUID": "1.2.9"}, "evidence_mismatch"),
        ({"SOPInstanceUID": "1.2.9"}, "evidence_unresolved"),
    ],
)
def test_evidence_resolves_to_the_same_study_and_patient(
    make_draft: MakeDraft, make_image: MakeImage, changed: dict[str, Any], code: str
) -> None:
    """References are checked against the images themselves, not against the document's own statements."""
    document = make_draft().findings
    assert codes_of(document, sources=[make_image(1)]) == set()
    assert code in codes_of(document, sources=[make_image(1, **changed)])


def test_pair_must_belong_together(make_draft: MakeDraft) -> None:
    """B must list this A, not another one."""
    one, other = make_draft(), make_draft(revision=2)
    problems = validate_pair(one.findings, other.report)
    assert {(problem.code, problem.where) for problem in problems} == {
        ("pair", "CurrentRequestedProcedureEvidenceSequence")
    }


def test_value_outside_its_vr_is_named_without_quoting_it(make_draft: MakeDraft) -> None:
    """The text of the problem contains no patient data."""
    document = make_draft().report
    document.add_new(0x00100030, "LO", "Geheim")
    document[0x00100030].VR = "DA"
    problem = next(problem for problem in validate(document) if problem.code == "value")
    assert problem.where == "PatientBirthDate"
    assert "Geheim" not in str(problem)


@pytest.mark.parametrize("raw", [b"", b"no DICOM", b"\0" * 128 + b"DICM"])
def test_bytes_that_are_no_file_are_a_problem(raw: bytes) -> None:
    """The gate reports a problem and does not raise."""
    assert codes_of(raw) in ({"unreadable"}, {"sop_class"})


def test_usual_neighbour_fails(make_image: MakeImage) -> None:
    """One TEXT item in a Basic Text SR, random UIDs, inherited ISO_IR 100: it does not pass this gate."""
    assert {
        "author",
        "character_set",
        "context",
        "digest",
        "evidence",
        "flag",
        "request",
        "summary",
        "template",
        "type_2",
    } <= codes_of(usual_neighbour(make_image()))


def usual_neighbour(image: Dataset) -> Dataset:
    """A document as a quick script writes it."""
    document = Dataset()
    document.SpecificCharacterSet = image.SpecificCharacterSet
    document.SOPClassUID, document.SOPInstanceUID = BasicTextSRStorage, "1.2.826.0.1.3680043.8.498.1"
    for keyword in (
        "PatientName",
        "PatientID",
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
    ):
        setattr(document, keyword, image[keyword].value)
    document.SeriesInstanceUID, document.Modality = "1.2.826.0.1.3680043.8.498.2", "SR"
    document.SeriesDescription = "AI report"
    document.CompletionFlag, document.VerificationFlag = "COMPLETE", "UNVERIFIED"
    document.ValueType, document.ContinuityOfContent = "CONTAINER", "SEPARATE"
    title, name, item = Dataset(), Dataset(), Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "18748-4", "LN", "Report"
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "121071", "DCM", "Finding"
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", "No pneumothorax."
    item.ConceptNameCodeSequence = [name]
    document.ConceptNameCodeSequence, document.ContentSequence = [title], [item]
    return document
