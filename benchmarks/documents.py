"""Measures the time for and the size of a pair of documents, by the number of images.

    python -m benchmarks.documents

Prints a line for each number of images: seconds for building and encoding, and bytes of document A. The
figures must grow with findings + images, not with their product: 100 images and 33 findings in < 0.5 s.
"""

from __future__ import annotations

import datetime
from time import perf_counter

from pydicom.dataset import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation

from dicom_sr.document import Algorithm, DraftContent, SourceStudy, build_draft, encode
from model.findings.types import Finding, Presence
from model.findings.vocabulary import load_vocabulary

FINDINGS = 33
IMAGES = (1, 2, 10, 50, 100, 200)
REPEATS = 3


def image(number: int) -> Dataset:
    """The header of one image."""
    header = Dataset()
    header.SOPClassUID = DigitalXRayImageStorageForPresentation
    header.SOPInstanceUID, header.StudyInstanceUID = f"1.2.3.1.{number}", "1.2.3"
    header.SeriesInstanceUID, header.Modality, header.ViewPosition = "1.2.3.1", "DX", "PA"
    header.PatientID, header.PatientName, header.AccessionNumber = "P1", "DOE^JANE", "A1"
    header.StudyDate, header.StudyTime, header.BodyPartExamined = "20260101", "120000", "CHEST"
    header.Rows, header.Columns = 2048, 1024
    return header


def content() -> DraftContent:
    """A draft with a finding for each of the first concepts."""
    concepts = list(load_vocabulary().concepts)[:FINDINGS]
    return DraftContent(
        findings=tuple(
            Finding(concept=one, presence=Presence.PRESENT, evidence=f"There is {one}.") for one in concepts
        ),
        findings_sentences=[f"There is {one}." for one in concepts],
        impression_sentences=["Abnormal."],
    )


def main() -> None:
    """Measure and print."""
    algorithm = Algorithm(
        name="ECHO", version="1", manufacturer="ECHO Agent", weights_sha256="0" * 64, demonstration=False
    )
    created, draft = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), content()
    for count in IMAGES:
        study = SourceStudy(images=[image(number) for number in range(count)])
        best = float("inf")
        for _ in range(REPEATS):
            begun = perf_counter()
            pair = build_draft(study, draft, algorithm, revision=1, created=created)
            size = len(encode(pair.findings))
            encode(pair.report)
            best = min(best, perf_counter() - begun)
        print(f"{count:4d} images x {FINDINGS} findings: {best:.3f} s, {size} bytes")


if __name__ == "__main__":
    main()
