"""The public interface: builds documents A and B from a study's headers and a draft.

A (`findings`) is for machines, B (`report`) for a reader; each has its own series, and B names A as
evidence. Nothing here reads a clock or a random number: the same arguments give the same bytes.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.sr.coding import Code
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from dicom_sr import codes, labels
from dicom_sr.assembly import DocumentParts, Frame, assemble, encode, open_frame
from dicom_sr.charset import clean
from dicom_sr.content import Item
from dicom_sr.errors import ContentError
from dicom_sr.header import DocumentState, SeriesPlace
from dicom_sr.measurement_report import NarrativeCopy, findings_tree, outcome_tree
from dicom_sr.terminology import Terminology
from dicom_sr.text_report import report_tree
from dicom_sr.values import (
    BANNER,
    Algorithm,
    DocumentPair,
    DocumentPairReference,
    DocumentReference,
    DraftContent,
    FindingsSopClass,
    Outcome,
    SourceStudy,
    Urgency,
    Verification,
    reference_to,
)

__all__ = [
    "BANNER",
    "Algorithm",
    "DocumentPair",
    "DocumentPairReference",
    "DocumentReference",
    "DraftContent",
    "SourceStudy",
    "Urgency",
    "Verification",
    "build_draft",
    "build_rejection",
    "build_verified",
    "encode",
    "reference_to",
]

_FINDINGS_SOP_CLASS: dict[FindingsSopClass, str] = {
    "comprehensive3d": Comprehensive3DSRStorage,
    "comprehensive": ComprehensiveSRStorage,
    "enhanced": EnhancedSRStorage,
}


def sop_classes_of(findings_sop_class: FindingsSopClass, documents: Sequence[str]) -> tuple[str, ...]:
    """Return the SOP Class UIDs of what is sent for a study, for the presentation contexts.

    documents: `findings`, `report`, `pdf` (Encapsulated PDF), `capture` (Secondary Capture), `kos` (Key
    Object Selection).
    """
    known = {
        "findings": _FINDINGS_SOP_CLASS[findings_sop_class],
        "report": BasicTextSRStorage,
        "pdf": EncapsulatedPDFStorage,
        "capture": SecondaryCaptureImageStorage,
        "kos": KeyObjectSelectionDocumentStorage,
    }
    return tuple(str(known[one]) for one in documents)


_OUTCOME: dict[Outcome, Code] = {
    "not_attempted": codes.NOT_ATTEMPTED,
    "failed": codes.FAILED,
    # CID 6042 has no rejection and no withdrawal; the comment next to it states them.
    "rejected": codes.FAILED,
    "withdrawn": codes.FAILED,
}
_FIRST_SERIES_NUMBER = 9100  # beyond any number that a modality assigns


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """One tree, with its position in the series list and its legal state."""

    tree: Item
    description: str
    state: DocumentState


def build_draft(
    study: SourceStudy,
    content: DraftContent,
    algorithm: Algorithm,
    *,
    revision: int,
    created: datetime.datetime,
    predecessors: DocumentPairReference | None = None,
    findings_sop_class: FindingsSopClass = "comprehensive3d",
    locale: str = "en",
    terminology: Terminology | None = None,
) -> DocumentPair:
    """Documents A and B of a draft: preliminary, unverified, written by a device.

    Args:
        study: headers of the images, and of prior images that were compared with.
        content: the draft.
        algorithm: the model that wrote it.
        revision: 1 for the first draft of a study; a later one names its `predecessors`.
        created: aware time of the draft, in the zone in which a reader should see it.
        predecessors: the pair that this one replaces.
        findings_sop_class: A's SOP Class, for archives without support for Comprehensive 3D SR.
        locale: language tag of the sentences, such as `en` or `en-US`.
        terminology: concepts and codes; None for the shipped vocabulary.

    Raises:
        SourceIdentityError: an image cannot be named in a document.
        MixedStudyError: images of several studies or patients.
        ContentError: the draft or the algorithm cannot be encoded; the text says which field.
    """
    _check_algorithm(algorithm, revision, created)
    _check_content(content)
    frame = open_frame(study, algorithm, created, locale, terminology)
    summary = labels.summary_lines(algorithm, content, revision, frame.header.notes)
    findings_sentences = _sentences(content.findings_sentences)
    impression = _sentences(content.impression_sentences)
    procedures, previous = _sentences(content.prior_procedures), _sentences(content.previous_findings)
    narrative = NarrativeCopy(
        comments=(*summary, *procedures, *previous), findings=findings_sentences, impression=impression
    )
    findings = _Written(
        tree=findings_tree(frame.context, content.findings, content.scores, narrative),
        description=labels.findings_description(algorithm, content.urgency),
        state=DocumentState(completion="COMPLETE", completion_description=labels.FINDINGS_COMPLETION),
    )
    report = _Written(
        tree=report_tree(
            frame.context,
            summary,
            findings_sentences,
            impression,
            prior_procedures=procedures,
            previous_findings=previous,
        ),
        description=labels.report_description(algorithm, content.urgency),
        state=DocumentState(completion="PARTIAL", completion_description=labels.REPORT_COMPLETION),
    )
    before = [] if predecessors is None else [predecessors]
    return _pair(frame, findings, report, revision, before, findings_sop_class)


def build_verified(
    study: SourceStudy,
    content: DraftContent,
    algorithm: Algorithm,
    verification: Verification,
    *,
    revision: int,
    created: datetime.datetime,
    predecessors: DocumentPairReference,
    also_replaces: DocumentPairReference | None = None,
    findings_sop_class: FindingsSopClass = "comprehensive3d",
    locale: str = "en",
    terminology: Terminology | None = None,
) -> DocumentPair:
    """Documents A and B that a person verified: complete, final, with the verifying observer.

    `also_replaces` is the pair that was verified before, if `predecessors` is a newer draft.

    Flags, urgency and scores of the content belong to the draft and are not carried over; where the
    person edited the draft, no finding is attributed to the algorithm.

    The other arguments and the errors are those of `build_draft`.
    """
    _check_algorithm(algorithm, revision, created)
    _check_verification(verification)
    frame = open_frame(study, algorithm, created, locale, terminology, verification)
    summary = labels.verified_lines(algorithm, verification, revision, frame.header.notes)
    findings_sentences = _sentences(content.findings_sentences)
    impression = _sentences(content.impression_sentences)
    narrative = NarrativeCopy(comments=summary, findings=findings_sentences, impression=impression)
    state = DocumentState(
        completion="COMPLETE",
        completion_description=labels.VERIFIED_COMPLETION,
        verification=verification,
    )
    findings = _Written(
        tree=findings_tree(frame.context, content.findings, (), narrative),
        description=labels.verified_findings_description(algorithm),
        state=state,
    )
    report = _Written(
        tree=report_tree(frame.context, summary, findings_sentences, impression),
        description=labels.verified_report_description(algorithm),
        state=state,
    )
    replaced = [predecessors] if also_replaces is None else [predecessors, also_replaces]
    return _pair(frame, findings, report, revision, replaced, findings_sop_class)


def build_rejection(
    study: SourceStudy,
    reason_text: str,
    outcome: Outcome,
    algorithm: Algorithm,
    *,
    revision: int,
    created: datetime.datetime,
    predecessors: DocumentPairReference | None = None,
    findings_sop_class: FindingsSopClass = "comprehensive3d",
    locale: str = "en",
    terminology: Terminology | None = None,
) -> DocumentPair:
    """Documents A and B of a study without a draft: its outcome and the reason, and no findings.

    Args:
        reason_text: in a radiologist's words.
        outcome: whether policy or a failure stopped the draft, a radiologist rejected it, or it is withdrawn
            because its patient was corrected.

    The other arguments and the errors are those of `build_draft`.
    """
    _check_algorithm(algorithm, revision, created)
    if not clean(reason_text):
        raise ContentError("reason_text is empty: say in words why there is no draft")
    frame = open_frame(
        study, algorithm, created, locale, terminology, drafted=outcome in ("rejected", "withdrawn")
    )
    lines = labels.rejection_lines(algorithm, clean(reason_text), outcome, revision, frame.header.notes)
    findings = _Written(
        tree=outcome_tree(frame.context, _OUTCOME[outcome], NarrativeCopy(comments=lines)),
        description=labels.rejection_findings_description(algorithm, outcome),
        state=DocumentState(completion="COMPLETE", completion_description=labels.NO_FINDINGS_COMPLETION),
    )
    report = _Written(
        tree=report_tree(frame.context, lines, (), ()),
        description=labels.rejection_report_description(algorithm, outcome),
        state=DocumentState(completion="PARTIAL", completion_description=labels.NO_DRAFT_COMPLETION),
    )
    before = [] if predecessors is None else [predecessors]
    return _pair(frame, findings, report, revision, before, findings_sop_class)


def _pair(
    frame: Frame,
    findings: _Written,
    report: _Written,
    revision: int,
    predecessors: Sequence[DocumentPairReference],
    findings_sop_class: FindingsSopClass,
) -> DocumentPair:
    """A first, because B names it; series numbers grow with the revision."""
    number = _FIRST_SERIES_NUMBER + 2 * revision
    document_a = assemble(
        frame,
        DocumentParts(
            sop_class_uid=_FINDINGS_SOP_CLASS[findings_sop_class],
            tree=findings.tree,
            state=findings.state,
            series=SeriesPlace(number=number + 1, description=findings.description),
            predecessors=[one.findings for one in predecessors],
        ),
    )
    document_b = assemble(
        frame,
        DocumentParts(
            sop_class_uid=BasicTextSRStorage,
            tree=report.tree,
            state=report.state,
            series=SeriesPlace(number=number, description=report.description),
            also_evidence=[reference_to(document_a)],
            predecessors=[one.report for one in predecessors],
        ),
    )
    return DocumentPair(findings=document_a, report=document_b)


def _check_algorithm(algorithm: Algorithm, revision: int, created: datetime.datetime) -> None:
    for name in ("name", "version", "manufacturer"):
        if not clean(getattr(algorithm, name)):
            raise ContentError(f"algorithm.{name} is empty: a report must name what wrote it")
    if created.tzinfo is None:
        raise ContentError("created must be an aware datetime: give it the hospital's time zone")
    if revision < 0:
        raise ContentError(f"revision is {revision}: it must not be negative")


def _check_verification(verification: Verification) -> None:
    if not clean(verification.observer_name) or not clean(verification.organization):
        raise ContentError("a verification needs the observer's name and organization")
    if verification.verified_at.tzinfo is None:
        raise ContentError("verification.verified_at must be an aware datetime")


def _check_content(content: DraftContent) -> None:
    if content.scores and len(content.scores) != len(content.findings):
        raise ContentError("scores must be empty or have one entry (or None) per finding")
    if any(score is not None and not 0.0 <= score <= 1.0 for score in content.scores):
        raise ContentError("a score is outside [0, 1]: give calibrated probabilities only")


def _sentences(raw: Sequence[str]) -> tuple[str, ...]:
    """The sentences in a form that fits a TEXT item; empty ones are left out."""
    return tuple(words for words in map(clean, raw) if words)
