"""Studies as real modalities send them, and documents on disk for external programs."""

from __future__ import annotations

import datetime
import io
import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from agent.commands.demo.orthanc import Orthanc
from dicom_sr.document import Algorithm, DocumentPair, DraftContent, SourceStudy, build_draft, encode
from dicom_sr.identifiers import derived_uid
from model.findings.types import Change, Finding, Laterality, Presence, Severity

CREATED = datetime.datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def strict_pydicom() -> Iterator[None]:
    """Make pydicom raise on a value outside its VR."""
    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.RAISE
    yield
    config.settings.writing_validation_mode = before


@pytest.fixture
def created() -> datetime.datetime:
    """A fixed, timezone-aware time of drafting."""
    return CREATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One study of the matrix: its character set, its name and its other particulars."""

    label: str
    character_set: str | list[str] = "ISO_IR 100"
    name: str = "Müller^Jürgen"
    images: int = 1
    missing: tuple[str, ...] = ()
    accession: str = "ACC-1"
    has_prior: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case(label="latin-1"),
    Case(label="cyrillic", character_set="ISO_IR 144", name="Люксембург^Роза"),
    Case(label="greek", character_set="ISO_IR 126", name="Διονυσίου^Ελένη"),
    Case(label="arabic", character_set="ISO_IR 127", name="قباني^نزار"),
    Case(label="hebrew", character_set="ISO_IR 138", name="שרון^דבורה"),
    Case(label="japanese", character_set=["", "ISO 2022 IR 87"], name="Yamada^Tarou=山田^太郎=やまだ^たろう"),
    Case(
        label="japanese-katakana",
        character_set=["ISO 2022 IR 13", "ISO 2022 IR 87"],
        name="ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    Case(label="korean", character_set=["", "ISO 2022 IR 149"], name="Hong^Gildong=洪^吉洞=홍^길동"),
    Case(label="chinese-gb18030", character_set="GB18030", name="Wang^XiaoDong=王^小东"),
    Case(label="chinese-gb2312", character_set=["", "ISO 2022 IR 58"], name="Zhang^XiaoDong=张^小东"),
    Case(label="utf-8-mixed", character_set="ISO_IR 192", name="Ελένη^Müller=山田^洪=Люк^さん"),
    Case(label="chinese-alone", character_set="GB18030", name="王^小东"),
    Case(label="japanese-alone", character_set="ISO_IR 192", name="山田^太郎"),
    Case(label="korean-alone", character_set=["", "ISO 2022 IR 149"], name="홍^길동"),
    Case(label="no-accession", missing=("AccessionNumber",)),
    Case(label="no-birth-date", missing=("PatientBirthDate",)),
    Case(label="no-study-time", missing=("StudyTime", "StudyID")),
    Case(
        label="nothing-optional", missing=("PatientName", "PatientSex", "StudyDate", "ReferringPhysicianName")
    ),
    Case(label="accession-of-56", accession="A" * 56),
    Case(label="two-images", images=2),
    Case(label="six-images", images=6),
    Case(label="prior", has_prior=True),
    Case(label="zone", attributes={"TimezoneOffsetFromUTC": "+0530"}),
)


def make_image(case: Case, number: int, study: str) -> Dataset:
    """The header of one image, written in its own character set and read back from the file."""
    image = Dataset()
    image.SpecificCharacterSet = case.character_set
    image.SOPClassUID = DigitalXRayImageStorageForPresentation
    image.SOPInstanceUID = derived_uid("image", study, str(number))
    image.StudyInstanceUID, image.SeriesInstanceUID = study, derived_uid("series", study)
    image.PatientName, image.PatientID = case.name, f"PID-{case.label}"
    image.PatientBirthDate, image.PatientSex = "19500102", "F"
    image.StudyDate, image.StudyTime, image.StudyID = "20260304", "040500", "S1"
    image.ReferringPhysicianName = "Arzt^Anna"
    image.Modality, image.ViewPosition = "DX", "PA" if number == 1 else "LL"
    image.Rows, image.Columns = 2048, 1024
    if len(case.accession) <= 16:
        image.AccessionNumber = case.accession
    for keyword, value in case.attributes.items():
        setattr(image, keyword, value)
    for keyword in case.missing:
        delattr(image, keyword)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    read = pydicom.dcmread(io.BytesIO(buffer.getvalue()))
    if len(case.accession) > 16:
        read.add(pydicom.DataElement(0x00080050, "SH", case.accession, validation_mode=config.IGNORE))
    return read


@pytest.fixture
def make_study() -> Callable[[Case], SourceStudy]:
    """A study of a case; each label has its own study UID."""

    def make(case: Case) -> SourceStudy:
        study = derived_uid("matrix", case.label)
        prior_study = derived_uid("matrix", case.label, "prior")
        return SourceStudy(
            images=tuple(make_image(case, number, study) for number in range(1, case.images + 1)),
            priors=(make_image(case, 1, prior_study),) if case.has_prior else (),
        )

    return make


@pytest.fixture
def algorithm() -> Algorithm:
    """A demonstration model: the case with the longest labels."""
    return Algorithm(
        name="ECHO demonstration",
        version="1.2.3",
        manufacturer="ECHO Agent",
        weights_sha256="0123456789abcdef" * 4,
        demonstration=True,
        parameters={"block_size": "8"},
    )


@pytest.fixture
def content() -> DraftContent:
    """A draft that uses every type of row."""
    return DraftContent(
        findings=(
            Finding(
                concept="pleural_effusion",
                presence=Presence.PRESENT,
                laterality=Laterality.LEFT,
                location="costophrenic_angle",
                severity=Severity.MILD,
                change=Change.NEW,
                evidence="New small left pleural effusion, depth ≥ 5 mm.",
            ),
            Finding(concept="pneumothorax", presence=Presence.ABSENT, evidence="No pneumothorax."),
            Finding(concept="pneumonia", presence=Presence.INDETERMINATE, evidence="Possible pneumonia."),
            Finding(concept="endotracheal_tube", presence=Presence.PRESENT, location="right_main_bronchus"),
        ),
        findings_sentences=(
            "New small left pleural effusion, depth ≥ 5 mm.",
            "No pneumothorax.",
            "Possible pneumonia.",
        ),
        impression_sentences=("New small left pleural effusion.",),
        flags=("Only the frontal view was available.",),
        scores=(0.93, None, 0.4, None),
    )


PRIOR_SENTENCES: dict[str, Any] = {
    "prior_procedures": ("Earlier radiograph of 2025-01-01 (Thorax p.a. – Röntgen), 2 images.",),
    "previous_findings": ("Report of 2025-01-01: Kein Erguss ≥ 5 mm.",),
}


@pytest.fixture
def draft_of(
    make_study: Callable[[Case], SourceStudy], algorithm: Algorithm, content: DraftContent
) -> Callable[..., DocumentPair]:
    """The draft of a case."""

    def build(case: Case, **options: Any) -> DocumentPair:
        said = replace(content, **PRIOR_SENTENCES) if case.has_prior else content
        return build_draft(
            make_study(case), said, algorithm, **{"revision": 1, "created": CREATED, **options}
        )

    return build


@pytest.fixture
def on_disk(tmp_path: Path) -> Callable[[Dataset], Path]:
    """The document as a file, for external programs."""

    def write(document: Dataset) -> Path:
        path = tmp_path / f"{document.SOPInstanceUID}.dcm"
        path.write_bytes(encode(document))
        return path

    return write


@pytest.fixture
def stored(orthanc: Orthanc) -> Callable[[bytes], bytes]:
    """Store a file in Orthanc and return what Orthanc returns for it."""

    def store(raw: bytes) -> bytes:
        request = urllib.request.Request(f"{orthanc.url}/instances", data=raw, method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            identifier = json.load(answer)["ID"]
        return orthanc.get(f"/instances/{identifier}/file")

    return store


@pytest.fixture(params=CASES, ids=lambda case: case.label)
def case(request: pytest.FixtureRequest) -> Case:
    """Each study of the matrix."""
    chosen: Case = request.param
    return chosen


@pytest.fixture
def plain_case() -> Case:
    """A study without particulars."""
    return Case(label="plain")
