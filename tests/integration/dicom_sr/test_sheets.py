"""The report as PDF and as picture: every validator, every viewer, and the contents of the pages."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pypdfium2
import pytest
from highdicom.ko import KeyObjectSelectionDocument
from PIL import Image
from pydicom.dataset import Dataset

from dicom_sr import external
from dicom_sr.document import (
    Algorithm,
    DocumentPair,
    DraftContent,
    SourceStudy,
    Verification,
    build_draft,
    build_rejection,
    build_verified,
    encode,
)
from dicom_sr.errors import ContentError
from dicom_sr.key_images import build_key_images
from dicom_sr.sheet import BANNERS, Outcome, sheet_of, spoken_name
from dicom_sr.sheet_objects import build_pdf, build_picture
from dicom_sr.sheet_pages import NOT_SHOWN, pdf_of

pytestmark = pytest.mark.integration

DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
Reports = Callable[[Outcome], Dataset]


@pytest.fixture
def report_of(
    plain_case: Any,
    draft_of: Callable[..., DocumentPair],
    make_study: Callable[..., SourceStudy],
    content: DraftContent,
    algorithm: Algorithm,
    created: Any,
) -> Reports:
    """Document B for each outcome."""

    def build(outcome: Outcome) -> Dataset:
        if outcome == "drafted":
            return draft_of(plain_case).report
        study = make_study(plain_case)
        if outcome == "verified":
            return build_verified(
                study,
                content,
                algorithm,
                Verification(
                    observer_name="Roe^Ann", organization="General", verified_at=created, edited=False
                ),
                revision=2,
                created=created,
                predecessors=draft_of(plain_case).references,
            ).report
        return build_rejection(
            study, "the film shows a hip", outcome, algorithm, revision=2, created=created
        ).report

    return build


def pages_of(pdf: Dataset) -> Iterator[str]:
    """The text of each page, as read by another library."""
    document = pypdfium2.PdfDocument(bytes(pdf.EncapsulatedDocument))
    for page in document:
        yield " ".join(page.get_textpage().get_text_bounded().split())
    document.close()


@pytest.mark.parametrize("outcome", sorted(BANNERS))
def test_views_pass_every_judge_and_come_back_from_the_archive(
    report_of: Reports,
    on_disk: Callable[[Dataset], Path],
    stored: Callable[[bytes], bytes],
    program: Callable[[str], str],
    outcome: Outcome,
) -> None:
    """No dciodvfy errors; byte for byte from Orthanc, in the patient's study, titled, marked as burned in."""
    program("dciodvfy")
    report = report_of(outcome)
    for view in (build_pdf(report, outcome), build_picture(report, outcome)):
        path = on_disk(view)
        assert external.dciodvfy(path).errors == ()
        back = pydicom.dcmread(io.BytesIO(stored(path.read_bytes())))
        assert encode(back) == path.read_bytes()
        assert (back.PatientID, back.StudyInstanceUID) == (report.PatientID, report.StudyInstanceUID)
        assert back.SourceInstanceSequence[0].ReferencedSOPInstanceUID == report.SOPInstanceUID
        assert back.BurnedInAnnotation == "YES"
        assert back.SeriesDescription == sheet_of(report, outcome).title
        assert back.get("VerificationFlag", "UNVERIFIED") == "UNVERIFIED" or outcome == "verified"


@pytest.mark.parametrize("outcome", ["drafted", "verified"])
def test_key_images_pass_every_judge_and_name_the_images(
    report_of: Reports,
    on_disk: Callable[[Dataset], Path],
    stored: Callable[[bytes], bytes],
    program: Callable[[str], str],
    outcome: Outcome,
) -> None:
    """No dciodvfy errors; byte for byte from Orthanc; "Of Interest", the banner, each image once."""
    program("dciodvfy")
    report = report_of(outcome)
    selection = build_key_images(report, outcome)
    assert selection is not None
    path = on_disk(selection)
    assert external.dciodvfy(path).errors == ()
    back = pydicom.dcmread(io.BytesIO(stored(path.read_bytes())))
    assert encode(back) == path.read_bytes()
    assert (back.PatientID, back.StudyInstanceUID) == (report.PatientID, report.StudyInstanceUID)
    assert back.ConceptNameCodeSequence[0].CodeMeaning == "Of Interest"
    said = [item.TextValue for item in back.ContentSequence if item.ValueType == "TEXT"]
    assert any(BANNERS[outcome] in line for line in said)
    read = KeyObjectSelectionDocument.from_dataset(back)
    named = {str(item.referenced_sop_instance_uid) for item in read.content.get_references()}
    evidence = [
        str(instance.ReferencedSOPInstanceUID)
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
        if ".88." not in instance.ReferencedSOPClassUID
    ]
    assert named == set(evidence)
    assert len(evidence) == len(read.content.get_references())
    assert encode(build_key_images(report, outcome)) == encode(selection)  # type: ignore[arg-type]


@pytest.mark.parametrize("outcome", ["rejected", "withdrawn"])
def test_key_images_of_a_draft_are_taken_back_by_its_document(
    plain_case: Any,
    draft_of: Callable[..., DocumentPair],
    make_study: Callable[..., SourceStudy],
    algorithm: Algorithm,
    created: Any,
    on_disk: Callable[[Dataset], Path],
    program: Callable[[str], str],
    outcome: Outcome,
) -> None:
    """The rejection note names the key images sent with the draft, and nothing else."""
    program("dciodvfy")
    pair = draft_of(plain_case)
    sent = build_key_images(pair.report, "drafted")
    assert sent is not None
    rejected = build_rejection(
        make_study(plain_case),
        "another patient",
        outcome,
        algorithm,
        revision=2,
        created=created,
        predecessors=pair.references,
    )
    note = build_key_images(rejected.report, outcome)
    assert note is not None
    assert external.dciodvfy(on_disk(note)).errors == ()
    (named,) = KeyObjectSelectionDocument.from_dataset(note).content.get_references()
    assert named.referenced_sop_instance_uid == sent.SOPInstanceUID
    assert note.SOPInstanceUID != sent.SOPInstanceUID
    assert note.ConceptNameCodeSequence[0].CodeMeaning.startswith("Rejected for")


@pytest.mark.parametrize("outcome", ["failed", "not_attempted"])
def test_study_without_a_draft_has_no_key_images(report_of: Reports, outcome: Outcome) -> None:
    """A notice of failure has no images of interest."""
    assert build_key_images(report_of(outcome), outcome) is None


@pytest.mark.parametrize("outcome", sorted(BANNERS))
def test_pdf_has_the_banner_on_every_page_and_all_sentences(report_of: Reports, outcome: Outcome) -> None:
    """Nothing in the Structured Report is left out, and no unverified page looks verified."""
    report = report_of(outcome)
    pdf = build_pdf(report, outcome)
    pages = list(pages_of(pdf))
    assert all(page.count(BANNERS[outcome]) >= 2 for page in pages)
    assert (pdf.VerificationFlag == "VERIFIED") == (outcome == "verified")
    whole = " ".join(pages)
    for section in sheet_of(report, outcome).sections:
        assert section.heading in whole
        assert all(" ".join(line.split()) in whole for line in section.lines)
    assert "VERIFIED REPORT" not in whole or outcome == "verified"


def test_views_are_the_same_bytes_each_time(report_of: Reports) -> None:
    """A view built again has the same bytes and therefore the same UID."""
    report = report_of("drafted")
    for build in (build_pdf, build_picture):
        assert encode(build(report, "drafted")) == encode(build(report, "drafted"))


def test_view_of_another_outcome_than_the_documents_is_refused(report_of: Reports) -> None:
    """An unverified report is never shown as verified, nor a verified one as unverified."""
    with pytest.raises(ContentError, match="VerificationFlag"):
        build_pdf(report_of("drafted"), "verified")
    with pytest.raises(ContentError, match="VerificationFlag"):
        build_picture(report_of("verified"), "drafted")


def test_picture_shows_the_banner_white_on_black_twice(report_of: Reports) -> None:
    """A black band with white letters stands above and below the text, which is black on white."""
    pixels = build_picture(report_of("drafted"), "drafted").pixel_array
    assert pixels.shape[1] == 1191
    dark = (pixels[:, 150:1040] < 64).mean(axis=1)
    bands = np.flatnonzero(np.diff(np.concatenate([[0], (dark > 0.6).astype(int), [0]])))
    starts, ends = bands[::2], bands[1::2]
    assert len({int(start) // 120 for start in starts}) == 2
    assert all(
        pixels[start:end].max() > 200 for start, end in zip(starts, ends, strict=True) if end - start > 20
    )
    between = pixels[int(ends[0]) + 60 : int(starts[-1]) - 60]
    assert np.median(between) == 255
    assert (between < 64).any()


def test_long_report_grows_in_the_picture_and_gets_pages_in_the_pdf(
    plain_case: Any, make_study: Callable[..., SourceStudy], algorithm: Algorithm, created: Any
) -> None:
    """No line is lost, however long the report is."""
    lines = tuple(f"Sentence number {number} of a long report." for number in range(120))
    content = DraftContent(findings=(), findings_sentences=lines, impression_sentences=("Long.",))
    report = build_draft(make_study(plain_case), content, algorithm, revision=1, created=created).report
    pages = list(pages_of(build_pdf(report, "drafted")))
    assert len(pages) > 2
    assert all(line in " ".join(pages) for line in lines)
    assert build_picture(report, "drafted").Rows > 3000


def test_line_that_the_font_cannot_show_says_so(
    plain_case: Any, make_study: Callable[..., SourceStudy], algorithm: Algorithm, created: Any
) -> None:
    """No page silently lacks a character: the whole line is replaced."""
    content = DraftContent(
        findings=(), findings_sentences=("双侧未见气胸。", "No effusion."), impression_sentences=("Норма.",)
    )
    report = build_draft(make_study(plain_case), content, algorithm, revision=1, created=created).report
    whole = " ".join(pages_of(build_pdf(report, "drafted")))
    assert whole.count(NOT_SHOWN) == 2
    assert "No effusion." in whole
    if DEJAVU.is_file():
        assert "Норма." in " ".join(pages_of(build_pdf(report, "drafted", font=DEJAVU)))


def test_font_that_is_none_is_a_clear_error(report_of: Reports, tmp_path: Path) -> None:
    """The error names a file that is not a TrueType font."""
    path = tmp_path / "font.ttf"
    path.write_bytes(b"not a font")
    with pytest.raises(ContentError, match=r"font\.ttf cannot be read"):
        pdf_of(sheet_of(report_of("drafted"), "drafted"), path)


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("Doe^Jane^Q^Dr", "Doe, Jane Q"),
        ("Doe", "Doe"),
        ("=王^小东=", "王, 小东"),
        ("^Jane", "Jane"),
        ("", ""),
    ],
)
def test_spoken_name_reads_a_person_name(name: str, spoken: str) -> None:
    """The family name comes first; the first component group with a name is used."""
    assert spoken_name(name) == spoken


def test_picture_can_be_read_by_an_image_library(report_of: Reports, tmp_path: Path) -> None:
    """The pixels are plain 8-bit greyscale, which any viewer can read."""
    view = build_picture(report_of("drafted"), "drafted")
    assert (view.PhotometricInterpretation, view.BitsStored, view.SamplesPerPixel) == ("MONOCHROME2", 8, 1)
    path = tmp_path / "view.png"
    Image.fromarray(view.pixel_array).save(path)
    with Image.open(path) as read:
        assert read.size == (view.Columns, view.Rows)
