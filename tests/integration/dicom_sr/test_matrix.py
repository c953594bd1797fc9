"""Every kind of study against every judge: the gate, dciodvfy, dcmtk's renderers, Orthanc."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage

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
from dicom_sr.validate import validate_pair

pytestmark = pytest.mark.integration

OnDisk = Callable[[Dataset], Path]
Store = Callable[[bytes], bytes]
Draft = Callable[..., DocumentPair]


@pytest.fixture(autouse=True)
def programs(program: Callable[[str], str]) -> None:
    """The Debian packages under test."""
    for name in ("dciodvfy", "dsrdump", "dsr2html"):
        program(name)


@pytest.fixture
def judged(on_disk: OnDisk, stored: Store) -> Callable[[DocumentPair], tuple[str, str]]:
    """Submit a pair to every judge; return B as dcmtk renders it (text, HTML)."""

    def judge(pair: DocumentPair) -> tuple[str, str]:
        shown = []
        for document in (pair.findings, pair.report):
            path = on_disk(document)
            assert external.dciodvfy(path).errors == ()
            assert stored(path.read_bytes()) == path.read_bytes()
            shown.append((external.dsrdump(path), html.unescape(external.dsr2html(path))))
        return shown[1]

    return judge


def test_every_study_passes_every_judge(
    case: Any, draft_of: Draft, make_study: Callable[..., SourceStudy], judged: Callable[..., tuple[str, str]]
) -> None:
    """No errors, rendered with the name intact, returned from Orthanc byte for byte, evidence resolved."""
    pair, study = draft_of(case), make_study(case)
    sources = [*study.images, *study.priors]
    assert (
        validate_pair(encode(pair.findings), encode(pair.report), sources=sources, demonstration=True) == ()
    )
    text, page = judged(pair)
    name = "" if "PatientName" in case.missing else case.name
    assert name in text
    # dsr2html renders the first component group of a name, in its own order; dsrdump all of it.
    assert all(component in page for component in name.split("=")[0].split("^"))
    assert "New small left pleural effusion, depth ≥ 5 mm." in page
    assert (case.accession in page) == (len(case.accession) > 16)


@pytest.mark.parametrize("sop_class", ["comprehensive3d", "comprehensive", "enhanced"])
def test_every_class_passes_every_judge(
    plain_case: Any, draft_of: Draft, judged: Callable[..., tuple[str, str]], sop_class: str
) -> None:
    """The fallbacks for archives that do not support Comprehensive 3D SR."""
    judged(draft_of(plain_case, findings_sop_class=sop_class))


def test_revision_passes_every_judge(
    plain_case: Any, draft_of: Draft, judged: Callable[..., tuple[str, str]]
) -> None:
    """With predecessors."""
    first = draft_of(plain_case)
    judged(draft_of(plain_case, revision=2, predecessors=first.references))


@pytest.mark.parametrize("outcome", ["not_attempted", "failed", "rejected"])
def test_rejection_passes_every_judge(
    plain_case: Any,
    make_study: Callable[..., SourceStudy],
    algorithm: Algorithm,
    created: Any,
    judged: Callable[..., tuple[str, str]],
    outcome: Any,
) -> None:
    """A study without a draft."""
    pair = build_rejection(
        make_study(plain_case), "no chest film", outcome, algorithm, revision=1, created=created
    )
    assert "Reason: no chest film" in judged(pair)[1]


@pytest.mark.parametrize("edited", [True, False])
def test_verified_report_passes_every_judge(
    plain_case: Any,
    make_study: Callable[..., SourceStudy],
    draft_of: Draft,
    content: DraftContent,
    algorithm: Algorithm,
    created: Any,
    judged: Callable[..., tuple[str, str]],
    edited: bool,
) -> None:
    """With a verifying observer."""
    pair = build_verified(
        make_study(plain_case),
        content,
        algorithm,
        Verification(
            observer_name="Röntgen^Wilhelm", organization="Klinik", verified_at=created, edited=edited
        ),
        revision=2,
        created=created,
        predecessors=draft_of(plain_case).references,
    )
    assert "Wilhelm" in judged(pair)[1]


def test_real_files_give_documents_that_pass(
    shared_data: Path, algorithm: Algorithm, content: DraftContent, created: Any, on_disk: OnDisk
) -> None:
    """The sample chest films and the character-set samples, unmodified."""
    paths = [*(shared_data / "01_cxr_dicom").glob("*.dcm"), *(shared_data / "03_charset").glob("*.dcm")]
    assert len(paths) == 6
    for path in paths:
        image = pydicom.dcmread(path, stop_before_pixels=True)
        pair = build_draft(SourceStudy(images=(image,)), content, algorithm, revision=1, created=created)
        for document in (pair.findings, pair.report):
            assert external.dciodvfy(on_disk(document)).errors == ()


def test_usual_neighbour_has_three_errors_or_more(
    plain_case: Any, make_study: Callable[..., SourceStudy], tmp_path: Path
) -> None:
    """One TEXT item, random UIDs, inherited ISO_IR 100: dciodvfy reports errors."""
    image = make_study(plain_case).images[0]
    path = tmp_path / "neighbour.dcm"
    usual_neighbour(image).save_as(path, enforce_file_format=True)
    assert len(external.dciodvfy(path).errors) >= 3


def usual_neighbour(image: Dataset) -> Dataset:
    """The document of a quickly written script."""
    document = Dataset()
    document.SpecificCharacterSet = image.SpecificCharacterSet
    document.SOPClassUID, document.SOPInstanceUID = BasicTextSRStorage, "1.2.826.0.1.3680043.8.498.1"
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID"):
        setattr(document, keyword, image[keyword].value)
    for keyword in ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"):
        setattr(document, keyword, image[keyword].value)
    document.SeriesInstanceUID, document.Modality = "1.2.826.0.1.3680043.8.498.2", "SR"
    document.SeriesNumber, document.InstanceNumber = 1, 1
    document.ContentDate, document.ContentTime = "20260304", "050607"
    document.CompletionFlag, document.VerificationFlag = "COMPLETE", "UNVERIFIED"
    document.ValueType, document.ContinuityOfContent = "CONTAINER", "SEPARATE"
    title, name, item = Dataset(), Dataset(), Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "18748-4", "LN", "Report"
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = "121071", "DCM", "Finding"
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", "No pneumothorax."
    item.ConceptNameCodeSequence = [name]
    document.ConceptNameCodeSequence, document.ContentSequence = [title], [item]
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = image.file_meta.TransferSyntaxUID
    return document
