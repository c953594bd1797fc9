"""The headers, document states, references and identities of both documents."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
)

from dicom_sr.document import (
    BANNER,
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
from dicom_sr.errors import ContentError, MixedStudyError
from model.findings.types import Finding, Presence

MakeImage = Callable[..., Dataset]
MakeDraft = Callable[..., DocumentPair]


def both(pair: DocumentPair) -> tuple[Dataset, Dataset]:
    return pair.findings, pair.report


def test_draft_is_preliminary_unverified_and_by_a_device(make_draft: MakeDraft) -> None:
    """No person is responsible for a draft; A is complete, B awaits its reader."""
    findings, report = both(make_draft())
    assert (findings.CompletionFlag, report.CompletionFlag) == ("COMPLETE", "PARTIAL")
    for document in (findings, report):
        assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
        assert "VerifyingObserverSequence" not in document
        assert [author.ObserverType for author in document.AuthorObserverSequence] == ["DEV"]


def test_draft_inherits_patient_study_and_order(make_draft: MakeDraft) -> None:
    """The attributes by which a PACS files a document come from the images."""
    for document in both(make_draft()):
        assert document.SpecificCharacterSet == "ISO_IR 192"
        assert str(document.PatientName) == "Müller^Jürgen"
        assert (document.PatientID, document.StudyInstanceUID) == ("PID-1", "1.2.826.1")
        request = document.ReferencedRequestSequence[0]
        assert (request.AccessionNumber, request.StudyInstanceUID) == ("ACC-1", "1.2.826.1")
        assert (
            document.PerformedProcedureCodeSequence,
            document.ReferencedPerformedProcedureStepSequence,
        ) == (
            [],
            [],
        )


def test_documents_have_series_of_their_own(make_draft: MakeDraft) -> None:
    """A viewer that shows only the first instance of a series shows both documents."""
    findings, report = both(make_draft())
    assert findings.SeriesInstanceUID != report.SeriesInstanceUID
    assert findings.SeriesNumber != report.SeriesNumber
    assert findings.SeriesDescription == "AI findings (structured, unverified)"
    assert report.SeriesDescription == "AI PRE-DRAFT report (unverified)"


@pytest.mark.parametrize(
    ("name", "sop_class"),
    [
        ("comprehensive3d", Comprehensive3DSRStorage),
        ("comprehensive", ComprehensiveSRStorage),
        ("enhanced", EnhancedSRStorage),
    ],
)
def test_findings_document_has_the_class_of_its_destination(
    make_draft: MakeDraft, name: str, sop_class: str
) -> None:
    """Archives with fewer SOP classes get the same tree; B stays Basic Text."""
    findings, report = both(make_draft(findings_sop_class=name))
    assert (findings.SOPClassUID, report.SOPClassUID) == (sop_class, BasicTextSRStorage)


def test_report_lists_images_and_findings_document_as_evidence(
    make_draft: MakeDraft, make_image: MakeImage
) -> None:
    """The evidence of B is the images and A."""
    pair = make_draft(study=SourceStudy(images=(make_image(2), make_image(1))))
    assert references(pair.findings, "CurrentRequestedProcedureEvidenceSequence") == [
        ("1.2.826.1", "1.2.826.1.1.1"),
        ("1.2.826.1", "1.2.826.1.1.2"),
    ]
    assert references(pair.report, "CurrentRequestedProcedureEvidenceSequence") == [
        ("1.2.826.1", "1.2.826.1.1.1"),
        ("1.2.826.1", "1.2.826.1.1.2"),
        ("1.2.826.1", str(pair.findings.SOPInstanceUID)),
    ]


def test_priors_are_other_evidence(make_draft: MakeDraft, make_image: MakeImage) -> None:
    """A prior is listed, but not as evidence of the current request."""
    prior = make_image(9, StudyInstanceUID="1.2.700")
    for document in both(make_draft(study=SourceStudy(images=(make_image(1),), priors=(prior,)))):
        assert references(document, "PertinentOtherEvidenceSequence") == [("1.2.700", "1.2.826.1.1.9")]
    for document in both(make_draft()):
        assert "PertinentOtherEvidenceSequence" not in document


def test_revision_names_its_predecessors(make_draft: MakeDraft) -> None:
    """A replaces A and B replaces B, in new series with new UIDs."""
    first = make_draft()
    second = make_draft(revision=2, predecessors=first.references)
    for before, after in zip(both(first), both(second), strict=True):
        assert references(after, "PredecessorDocumentsSequence") == [
            (str(before.StudyInstanceUID), str(before.SOPInstanceUID))
        ]
        assert before.SOPInstanceUID != after.SOPInstanceUID
        assert before.SeriesInstanceUID != after.SeriesInstanceUID
        assert before.SeriesNumber < after.SeriesNumber
        assert "PredecessorDocumentsSequence" not in before


def test_rebuild_is_byte_identical(make_draft: MakeDraft) -> None:
    """Neither time nor chance enters: a retry sends the same bytes."""
    first, second = make_draft(), make_draft()
    assert [encode(document) for document in both(first)] == [encode(document) for document in both(second)]


def test_arrival_order_of_the_images_changes_nothing(make_draft: MakeDraft, make_image: MakeImage) -> None:
    """Two images in either order give the same document."""
    one = make_draft(study=SourceStudy(images=(make_image(1), make_image(2))))
    other = make_draft(study=SourceStudy(images=(make_image(2), make_image(1))))
    assert encode(one.report) == encode(other.report)


@pytest.mark.parametrize(
    "changed",
    [
        {"PatientName": "Müller^Jörg"},
        {"PatientBirthDate": "19500103"},
        {"AccessionNumber": "ACC-2"},
        {"SOPInstanceUID": "1.2.826.1.1.7"},
        {"ViewPosition": "AP"},
    ],
)
def test_changed_demographics_or_images_change_the_uids(
    make_draft: MakeDraft, make_image: MakeImage, changed: dict[str, Any]
) -> None:
    """The bytes under one UID never change, because a PACS would keep its old copy."""
    before = make_draft()
    after = make_draft(study=SourceStudy(images=(make_image(1, **changed),)))
    assert before.findings.SOPInstanceUID != after.findings.SOPInstanceUID
    assert before.report.SOPInstanceUID != after.report.SOPInstanceUID


def test_changed_content_changes_the_uids(
    make_draft: MakeDraft, content: DraftContent, algorithm: Algorithm, created: datetime.datetime
) -> None:
    """Sentence, flag, urgency, revision, weights, time: a change to any of them gives another document."""
    variants: list[dict[str, Any]] = [
        {},
        {"content": replace(content, findings_sentences=("Another sentence.",))},
        {"content": replace(content, flags=("Only one view.",))},
        {"content": replace(content, urgency=Urgency(level="urgent", reason="pneumothorax"))},
        {"revision": 2},
        {"algorithm": replace(algorithm, weights_sha256="f" * 64)},
        {"algorithm": replace(algorithm, demonstration=True)},
        {"created": created + datetime.timedelta(microseconds=1)},
        {"locale": "en-US"},
    ]
    pairs = [make_draft(**variant) for variant in variants]
    assert len({pair.report.SOPInstanceUID for pair in pairs}) == len(variants)
    assert len({pair.findings.SOPInstanceUID for pair in pairs}) == len(variants)


def test_encoded_document_is_a_part_10_file_that_reads_back(make_draft: MakeDraft) -> None:
    """Explicit VR Little Endian; strict pydicom reads it and writes the same bytes again."""
    for document in both(make_draft()):
        raw = encode(document)
        read = pydicom.dcmread(io.BytesIO(raw))
        assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert read.file_meta.MediaStorageSOPInstanceUID == document.SOPInstanceUID
        for _ in read.iterall():
            pass
        assert encode(read) == raw


def test_stamps_are_the_given_time_in_the_images_zone(
    make_draft: MakeDraft, make_image: MakeImage, created: datetime.datetime
) -> None:
    """The content, creation and series times agree with each other and with the study's clock."""
    there = make_draft(study=SourceStudy(images=(make_image(TimezoneOffsetFromUTC="-0330"),))).report
    assert (there.TimezoneOffsetFromUTC, there.ContentDate, there.ContentTime) == (
        "-0330",
        "20260304",
        "013607.000089",
    )
    here = make_draft(created=created).report
    assert "TimezoneOffsetFromUTC" not in here
    assert {here.ContentTime, here.SeriesTime, here.InstanceCreationTime} == {"050607.000089"}


def test_naive_time_is_refused(make_draft: MakeDraft) -> None:
    """A time without a time zone is ambiguous."""
    with pytest.raises(ContentError, match="created"):
        make_draft(created=datetime.datetime(2026, 1, 1))


def test_demonstration_is_named_in_series_and_text(make_draft: MakeDraft, algorithm: Algorithm) -> None:
    """A study list clearly shows the banner of a demonstration model."""
    pair = make_draft(algorithm=replace(algorithm, demonstration=True))
    for document in both(pair):
        assert BANNER in document.SeriesDescription
        assert BANNER in texts(document)
    for document in both(make_draft()):
        assert BANNER not in document.SeriesDescription
        assert BANNER not in texts(document)


def test_urgency_stands_in_series_summary_and_comment(make_draft: MakeDraft, content: DraftContent) -> None:
    """The priority is always shown with its reason."""
    urgent = replace(content, urgency=Urgency(level="urgent", reason="pneumothorax"))
    pair = make_draft(content=urgent)
    assert pair.report.SeriesDescription == "AI PRE-DRAFT report (unverified) URGENT: pneumothorax"
    for document in both(pair):
        assert "Priority URGENT: pneumothorax" in texts(document)


def test_flags_stand_in_summary_and_comment(make_draft: MakeDraft, content: DraftContent) -> None:
    """Both documents state every warning to the reader in words."""
    for document in both(make_draft(content=replace(content, flags=("Only the frontal view was there.",)))):
        assert "Please note: Only the frontal view was there." in texts(document)


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        ("not_attempted", "111225", "NO AI DRAFT WAS PRODUCED. Reason: not a chest film (by policy)."),
        ("failed", "111224", "NO AI DRAFT WAS PRODUCED. Reason: not a chest film (the analysis failed)."),
        ("rejected", "111224", "THE AI DRAFT WAS REJECTED BY A RADIOLOGIST. Reason: not a chest film."),
    ],
)
def test_rejection_says_why_and_states_no_finding(
    make_image: MakeImage,
    algorithm: Algorithm,
    created: datetime.datetime,
    outcome: Any,
    code: str,
    words: str,
) -> None:
    """A rejection never states all findings as absent, only the outcome of the analysis."""
    pair = build_rejection(
        SourceStudy(images=(make_image(),)),
        "not a chest film.",
        outcome,
        algorithm,
        revision=1,
        created=created,
    )
    assert words in texts(pair.report)
    assert words in texts(pair.findings)
    rows = [item for top in pair.findings.ContentSequence for item in top.get("ContentSequence", [])]
    outcomes = [
        item.ConceptCodeSequence[0].CodeValue
        for item in rows
        if item.ConceptNameCodeSequence[0].CodeValue == "111065"
    ]
    assert outcomes == [code]
    top = {item.ConceptNameCodeSequence[0].CodeMeaning: item for item in pair.findings.ContentSequence}
    assert not top["Imaging Measurements"].get("ContentSequence")


def test_rejection_needs_a_reason(
    make_image: MakeImage, algorithm: Algorithm, created: datetime.datetime
) -> None:
    """A rejection must state its reason."""
    with pytest.raises(ContentError, match="reason_text"):
        build_rejection(
            SourceStudy(images=(make_image(),)), " ", "failed", algorithm, revision=1, created=created
        )


@pytest.mark.parametrize("demonstration", [True, False])
@pytest.mark.parametrize("edited", [True, False])
def test_verified_report_is_final_and_names_its_observer(
    make_draft: MakeDraft,
    make_image: MakeImage,
    content: DraftContent,
    algorithm: Algorithm,
    created: datetime.datetime,
    edited: bool,
    demonstration: bool,
) -> None:
    """COMPLETE, VERIFIED and FINAL go together with the person responsible for the report."""
    pair = build_verified(
        SourceStudy(images=(make_image(),)),
        content,
        replace(algorithm, demonstration=demonstration),
        Verification(
            observer_name="Röntgen^Wilhelm",
            organization="Klinik",
            verified_at=created,
            edited=edited,
            identification="4711",
            identification_scheme="99KLINIK",
        ),
        revision=2,
        created=created,
        predecessors=make_draft().references,
    )
    for document in both(pair):
        assert (document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag) == (
            "COMPLETE",
            "VERIFIED",
            "FINAL",
        )
        observer = document.VerifyingObserverSequence[0]
        assert str(observer.VerifyingObserverName) == "Röntgen^Wilhelm"
        assert str(observer.VerificationDateTime) == "20260304050607.000089+0000"
        code = observer.VerifyingObserverIdentificationCodeSequence[0]
        assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == (
            "4711",
            "99KLINIK",
            "Röntgen Wilhelm",
        )
        author = document.AuthorObserverSequence[0]
        assert author.ObserverType == ("PSN" if edited else "DEV")
        assert str(author.get("PersonName", "")) == ("Röntgen^Wilhelm" if edited else "")
        schemes = [item.CodingSchemeDesignator for item in document.CodingSchemeIdentificationSequence]
        assert "99KLINIK" in schemes
        assert len(document.PredecessorDocumentsSequence) == 1
        assert (BANNER in document.SeriesDescription) == demonstration
    assert ("Algorithm Name" in names(pair.findings)) == (not edited)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"scores": (0.5,)}, "scores"),
        ({"scores": (1.5, None, None)}, "score"),
    ],
)
def test_content_that_cannot_be_encoded_is_refused(
    make_draft: MakeDraft, content: DraftContent, changed: dict[str, Any], field: str
) -> None:
    """The error names the field."""
    with pytest.raises(ContentError, match=field):
        make_draft(content=replace(content, **changed))


@pytest.mark.parametrize("field", ["name", "version", "manufacturer"])
def test_algorithm_without_a_name_is_refused(make_draft: MakeDraft, algorithm: Algorithm, field: str) -> None:
    """A report names what wrote it; the error names the part that is missing."""
    with pytest.raises(ContentError, match=rf"algorithm\.{field} is empty"):
        make_draft(algorithm=replace(algorithm, **{field: " "}))


def test_priors_of_another_patient_stop_the_draft(make_draft: MakeDraft, make_image: MakeImage) -> None:
    """The error reaches the caller."""
    prior = make_image(9, StudyInstanceUID="1.2.700", PatientID="PID-2")
    with pytest.raises(MixedStudyError):
        make_draft(study=SourceStudy(images=(make_image(1),), priors=(prior,)))


def references(document: Dataset, keyword: str) -> list[tuple[str, str]]:
    """Study and instance UIDs of every reference in an evidence sequence."""
    return [
        (str(study.StudyInstanceUID), str(instance.ReferencedSOPInstanceUID))
        for study in document[keyword].value
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]


def texts(document: Dataset) -> list[str]:
    """All TEXT values of a document."""
    return [element.value for element in document.iterall() if element.keyword == "TextValue"]


def names(document: Dataset) -> list[str]:
    """All code meanings of a document."""
    return [element.value for element in document.iterall() if element.keyword == "CodeMeaning"]


def test_documents_name_the_algorithm_as_contributing_equipment(make_draft: MakeDraft) -> None:
    """IHE AIR: the documents name the algorithm involved in a form that survives a change of the author."""
    for document in both(make_draft()):
        (item,) = document.ContributingEquipmentSequence
        assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert (item.Manufacturer, item.ManufacturerModelName, item.SoftwareVersions) == (
            "ECHO Agent",
            "ECHO",
            "1.2.3",
        )
        assert item.ContributionDescription == "Processing Algorithm"


def test_documents_say_what_their_private_schemes_are(make_draft: MakeDraft, content: DraftContent) -> None:
    """Every designator that begins with 99 is identified, wherever it occurs, and no public one."""
    device = Finding(concept="support_device", presence=Presence.PRESENT, evidence="A line.")
    draft = make_draft(content=replace(content, findings=(device, *content.findings)))
    used = {
        str(element.value)
        for element in draft.findings.iterall()
        if element.keyword == "CodingSchemeDesignator" and str(element.value).startswith("99")
    }
    listed = draft.findings.CodingSchemeIdentificationSequence
    assert {item.CodingSchemeDesignator for item in listed} == used == {"99ECHO", "99OIFM"}
    assert all(item.CodingSchemeName and item.CodingSchemeResponsibleOrganization for item in listed)


@pytest.mark.parametrize(
    ("attributes", "drafted", "rejected"),
    [
        ({"BodyPartExamined": "CHEST"}, "30745-4", "30745-4"),
        ({}, "30745-4", "43468-8"),
        ({"BodyPartExamined": "KNEE"}, "43468-8", "43468-8"),
        ({"BodyPartExamined": "CHEST", "Modality": "CT"}, "43468-8", "43468-8"),
    ],
)
def test_procedure_reported_is_a_chest_radiograph_where_that_is_true(
    make_draft: MakeDraft,
    make_image: MakeImage,
    algorithm: Algorithm,
    created: datetime.datetime,
    attributes: dict[str, str],
    drafted: str,
    rejected: str,
) -> None:
    """A drafted study was accepted as a chest film; one without a draft is described by its images alone."""
    study = SourceStudy(images=(make_image(**attributes),))
    refused = build_rejection(study, "why", "not_attempted", algorithm, revision=1, created=created)
    for pair, expected in ((make_draft(study=study), drafted), (refused, rejected)):
        for document in both(pair):
            reported = [
                item.ConceptCodeSequence[0].CodeValue
                for item in document.ContentSequence
                if item.ConceptNameCodeSequence[0].CodeValue == "121058"
            ]
            assert reported == [expected]


def test_fixed_texts_are_ascii(
    make_draft: MakeDraft, make_image: MakeImage, content: DraftContent, algorithm: Algorithm
) -> None:
    """Readers that decode nested text as Latin-1 show all our fixed texts correctly."""
    image = make_image(PatientName="Doe^Jane", ReferringPhysicianName="", StudyDescription="x" * 64)
    plain = replace(content, findings=tuple(replace(one, evidence="Said.") for one in content.findings))
    plain = replace(plain, findings_sentences=("Said.",), impression_sentences=(), flags=("Look.",))
    demonstration = replace(algorithm, demonstration=True)
    study = SourceStudy(images=(image,))
    pair = make_draft(study=study, content=plain, algorithm=demonstration)
    for document in both(pair):
        assert all(str(element.value).isascii() for element in document.iterall() if element.VR != "SQ")


def test_tree_grows_with_findings_plus_images_not_with_their_product(
    make_draft: MakeDraft, make_image: MakeImage, content: DraftContent
) -> None:
    """Each group names at most a few images; the image library names all of them."""
    images = [make_image(number) for number in range(1, 31)]
    sizes = [
        len(
            encode(
                make_draft(study=SourceStudy(images=[make_image(n) for n in range(1, count + 1)])).findings
            )
        )
        for count in (10, 20, 30)
    ]
    assert sizes[2] - sizes[1] == pytest.approx(sizes[1] - sizes[0], rel=0.02)
    one_finding = replace(content, findings=content.findings[:1])
    few = make_draft(study=SourceStudy(images=images), content=one_finding).findings
    named = [item for item in few.iterall() if item.keyword == "ReferencedSOPInstanceUID"]
    assert len(named) == 30 + 30 + 4 + 4  # evidence, library, group, assessed regions
