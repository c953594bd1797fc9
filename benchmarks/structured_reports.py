"""What building and reading back a findings document costs: our encoder, and highdicom's TID 1500 templates.

python benchmarks/structured_reports.py            one line for each size, processor time in ms
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from time import process_time

import highdicom.sr as hd
import pydicom
from pydicom import Dataset
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from agent.commands.demo.phantom_study import phantom_study
from dicom_sr import codes
from dicom_sr.document import Algorithm, DraftContent, SourceStudy, build_draft, encode
from dicom_sr.independent import read_back
from dicom_sr.terminology import default_terminology
from model.findings.types import Finding, Presence
from model.findings.vocabulary import load_vocabulary

ALGORITHM = Algorithm(
    name="benchmark", version="1", manufacturer="ECHO Agent", weights_sha256="0" * 64, demonstration=True
)
TAKEN = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = ((2, 8), (2, 32), (10, 32))


def main() -> None:
    """Print the table."""
    concepts = [key for key in load_vocabulary().concepts if key != "no_finding"]
    for images, count in SIZES:
        headers = _headers(images)
        findings = [Finding(concept=one, presence=Presence.PRESENT) for one in concepts[:count]]
        document = encode(_ours(headers, findings))
        ours = _ms(partial(_ours, headers, findings))
        theirs = _ms(partial(_theirs, headers, findings))
        back = _ms(partial(read_back, document, findings))
        print(
            f"{images} images, {count} findings: our encoder {ours:.0f} ms, highdicom's templates "
            f"{theirs:.0f} ms, read back {back:.0f} ms"
        )


def _headers(count: int) -> list[Dataset]:
    first = phantom_study(1, number=1, taken=TAKEN, size=256).instances[0]
    first.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    headers: list[Dataset] = []
    for number in range(count):
        buffer = io.BytesIO()
        first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(
            f"1.2.3.{number + 1}"
        )
        pydicom.dcmwrite(buffer, first, enforce_file_format=True)
        headers.append(pydicom.dcmread(io.BytesIO(buffer.getvalue()), stop_before_pixels=True))
    return headers


def _ms(act: Callable[[], object], times: int = 3) -> float:
    act()
    begun = process_time()
    for _ in range(times):
        act()
    return 1000 * (process_time() - begun) / times


def _ours(headers: Sequence[Dataset], findings: Sequence[Finding]) -> Dataset:
    content = DraftContent(findings=tuple(findings), findings_sentences=["x"], impression_sentences=["y"])
    study = SourceStudy(images=tuple(headers))
    return build_draft(study, content, ALGORITHM, revision=1, created=TAKEN).findings


def _theirs(headers: Sequence[Dataset], findings: Sequence[Finding]) -> Dataset:
    """The same groups without what the templates do not support: about the minimum that they have to do."""
    terms = default_terminology()
    groups = [
        hd.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.TrackingIdentifier(
                uid=f"2.25.{number + 1}", identifier=f"{finding.concept}-1"
            ),
            finding_type=_concept(terms.term(finding).code),
            finding_sites=[hd.FindingSite(anatomic_location=_concept(terms.term(finding).site))],
            qualitative_evaluations=[
                hd.QualitativeEvaluation(
                    name=_concept(terms.term(finding).code), value=_concept(codes.PRESENCE[finding.presence])
                )
            ],
            source_images=[
                hd.SourceImageForMeasurementGroup(one.SOPClassUID, one.SOPInstanceUID) for one in headers
            ],
        )
        for number, finding in enumerate(findings)
    ]
    observer = hd.ObserverContext(
        observer_type=dictionary.DCM.Device,
        observer_identifying_attributes=hd.DeviceObserverIdentifyingAttributes(uid="2.25.1"),
    )
    report = hd.MeasurementReport(
        observation_context=hd.ObservationContext(observer_device_context=observer),
        procedure_reported=dictionary.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )
    return hd.Comprehensive3DSR(
        evidence=list(headers),
        content=report,
        series_number=1,
        series_instance_uid="2.25.2",
        sop_instance_uid="2.25.3",
        instance_number=1,
        manufacturer="ECHO Agent",
    )


def _concept(code: Code) -> hd.CodedConcept:
    return hd.CodedConcept(code.value, code.scheme_designator, code.meaning)


if __name__ == "__main__":
    main()
