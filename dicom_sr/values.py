"""The inputs of a document: the study's headers, the algorithm, the draft. Plain values, no DICOM tree."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydicom.dataset import Dataset

from model.findings.types import Finding

# ASCII, like all fixed texts: some readers decode text inside sequences as Latin-1.
BANNER = "DEMONSTRATION MODEL - NOT FOR CLINICAL USE"

FindingsSopClass = Literal["comprehensive3d", "comprehensive", "enhanced"]
Outcome = Literal["not_attempted", "failed", "rejected", "withdrawn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """The model that drafted: name, version and the digest of its weights identify the device."""

    name: str
    version: str
    manufacturer: str
    weights_sha256: str
    demonstration: bool
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Urgency:
    """A priority with the reason that a rule gave; shown in the Summary and the series description."""

    level: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftContent:
    """One draft. Sentences and flags are shown as they are; flags are in a radiologist's words.

    `scores` are *calibrated* probabilities in [0, 1] that a finding is present, one (or None) per
    finding, or empty: a number that the model merely generated does not belong here.

    `prior_procedures` and `previous_findings` are sentences on earlier studies and on their reports; they
    have their own sections, separate from the draft's findings.
    """

    findings: Sequence[Finding]
    findings_sentences: Sequence[str]
    impression_sentences: Sequence[str]
    flags: Sequence[str] = ()
    urgency: Urgency | None = None
    scores: Sequence[float | None] = ()
    prior_procedures: Sequence[str] = ()
    previous_findings: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The person responsible for a report: a DICOM person name, the organization, an aware time.

    `edited` says whether the person changed the draft; the report and its findings are then the person's own.
    `identification` is the person's code in `identification_scheme`; empty if the hospital has assigned none.
    """

    observer_name: str
    organization: str
    verified_at: datetime.datetime
    edited: bool
    identification: str = ""
    identification_scheme: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStudy:
    """Headers of the study's images (pixel data not needed) and of prior images of the same patient."""

    images: Sequence[Dataset]
    priors: Sequence[Dataset] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentReference:
    """Identifies one stored document, so that a later revision can reference it as its predecessor."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPairReference:
    """Identifies a stored pair: A with the findings, B with the report."""

    findings: DocumentReference
    report: DocumentReference


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DocumentPair:
    """Document A (`findings`) and document B (`report`) of one revision."""

    findings: Dataset
    report: Dataset

    @property
    def references(self) -> DocumentPairReference:
        """The references to both documents, for the next revision."""
        return DocumentPairReference(findings=reference_to(self.findings), report=reference_to(self.report))


def reference_to(document: Dataset) -> DocumentReference:
    """The reference to a document."""
    return DocumentReference(
        study_instance_uid=str(document.StudyInstanceUID),
        series_instance_uid=str(document.SeriesInstanceUID),
        sop_class_uid=str(document.SOPClassUID),
        sop_instance_uid=str(document.SOPInstanceUID),
    )
