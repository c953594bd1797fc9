"""The gate: the rules for every outgoing document, checked on the object itself.

It does not rely on how a document was built: it reads bytes or a data set. `external` adds independent
validation programs.

Source: PS3.3 C.17.2, C.17.3; PS3.16 TID 1500, 1501, 2000.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
)

from dicom_sr import tree
from dicom_sr.assembly import content_digest_uid
from dicom_sr.gate_evidence import evidence_problems
from dicom_sr.gate_findings import findings_problems
from dicom_sr.gate_header import header_problems
from dicom_sr.gate_report import report_problems
from dicom_sr.gate_values import value_problems
from dicom_sr.identifiers import series_uid
from dicom_sr.problem import Problem

__all__ = ["Problem", "validate", "validate_pair"]

FINDINGS_SOP_CLASSES = frozenset({Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage})


def validate(
    document: bytes | Dataset,
    *,
    sources: Sequence[Dataset] | None = None,
    demonstration: bool | None = None,
) -> tuple[Problem, ...]:
    """All problems of one document; empty if it may be sent.

    Args:
        document: a DICOM file's bytes or a data set.
        sources: headers of the study's images, priors and, for B, of A: when given, every reference
            must resolve to one of them, of the same patient.
        demonstration: whether the model is a demonstration; None to rely on the document's own statement.
    """
    dataset = _parsed(document) if isinstance(document, bytes) else document
    if dataset is None:
        return (Problem(code="unreadable", where="file", text="is not a DICOM file that can be read"),)
    return tuple(_problems(dataset, sources, demonstration))


def validate_pair(
    findings: bytes | Dataset,
    report: bytes | Dataset,
    *,
    sources: Sequence[Dataset] | None = None,
    demonstration: bool | None = None,
) -> tuple[Problem, ...]:
    """The problems of A and of B, and of the values that both must share."""
    problems = list(validate(findings, sources=sources, demonstration=demonstration))
    document_a = _parsed(findings) if isinstance(findings, bytes) else findings
    document_b = _parsed(report) if isinstance(report, bytes) else report
    known = None if sources is None or document_a is None else [*sources, document_a]
    problems.extend(validate(report, sources=known, demonstration=demonstration))
    if document_a is not None and document_b is not None:
        problems.extend(_pair_problems(document_a, document_b))
    return tuple(problems)


def _problems(
    document: Dataset, sources: Sequence[Dataset] | None, demonstration: bool | None
) -> Iterator[Problem]:
    sop_class = tree.words(document, "SOPClassUID")
    if sop_class == BasicTextSRStorage:
        yield from header_problems(document, "PARTIAL", demonstration)
        yield from report_problems(document)
    elif sop_class in FINDINGS_SOP_CLASSES:
        yield from header_problems(document, "COMPLETE", demonstration)
        yield from findings_problems(document)
    else:
        yield Problem(code="sop_class", where="SOPClassUID", text="is none that this product writes")
        return
    yield from evidence_problems(document, sources)
    yield from value_problems(document)
    yield from _identity_problems(document)


def _identity_problems(document: Dataset) -> Iterator[Problem]:
    """A document's UIDs are derived from its bytes; changing one requires changing the other."""
    own = tree.words(document, "SOPInstanceUID")
    try:
        expected = content_digest_uid(document)
    except (ValueError, TypeError, AttributeError, LookupError):
        yield Problem(code="digest", where="SOPInstanceUID", text="the document cannot be encoded again")
        return
    if own != expected:
        yield Problem(code="digest", where="SOPInstanceUID", text="does not follow from the content")
    elif tree.words(document, "SeriesInstanceUID") != series_uid(own):
        yield Problem(code="digest", where="SeriesInstanceUID", text="is not the document's own series")


def _pair_problems(document_a: Dataset, document_b: Dataset) -> Iterator[Problem]:
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber", "VerificationFlag"):
        if tree.words(document_a, keyword) != tree.words(document_b, keyword):
            yield Problem(code="pair", where=keyword, text="must be the same in both documents")
    listed = {
        tree.words(instance, "ReferencedSOPInstanceUID")
        for study in tree.items(document_b, "CurrentRequestedProcedureEvidenceSequence")
        for series in tree.items(study, "ReferencedSeriesSequence")
        for instance in tree.items(series, "ReferencedSOPSequence")
    }
    if tree.words(document_a, "SOPInstanceUID") not in listed:
        yield Problem(
            code="pair",
            where="CurrentRequestedProcedureEvidenceSequence",
            text="the report must list the findings document in its evidence",
        )


def _parsed(raw: bytes) -> Dataset | None:
    try:
        return pydicom.dcmread(io.BytesIO(raw))
    except (InvalidDicomError, EOFError, ValueError, KeyError, NotImplementedError, OSError):
        return None
