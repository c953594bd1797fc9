"""The public door: a study's headers and a draft in, documents A and B out.

A (`findings`) is for machines, B (`report`) for a reader; each has its own series, and B names A as
evidence. Nothing here asks a clock or chance: the same arguments give the same bytes.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from highdicom.sr import ContainerContentItem
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
)

from dicom_sr import codes, labels
from dicom_sr.assembly import DocumentParts, Frame, assemble, encode, open_frame
from dicom_sr.charset import clean
from dicom_sr.errors import ContentError
from dicom_sr.header import DocumentState, SeriesPlace
from dicom_sr.measurement_report import Narrative, findings_tree, outcome_tree
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
    "build_draft",
    "build_rejection",
    "encode",
    "reference_to",
]

_FINDINGS_SOP_CLASS: dict[FindingsSopClass, str] = {
    "comprehensive3d": Comprehensive3DSRStorage,
    "comprehensive": ComprehensiveSRStorage,
    "enhanced": EnhancedSRStorage,
}
_OUTCOME = {"not_attempted": codes.NOT_ATTEMPTED, "failed": codes.FAILED}
_FIRST_SERIES_NUMBER = 9100  # behind anything that a modality numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """The two trees of one revision, with what is said of each in the series list."""

    findings: ContainerContentItem
    findings_description: str
    findings_completion: str
    report: ContainerContentItem
    report_description: str
    report_completion: str


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
        findings_sop_class: A's SOP Class, for archives that know no Comprehensive 3D SR.
        locale: language tag of the sentences, such as `en` or `en-US`.
        terminology: concepts and codes; the shipped vocabulary where None.

    Raises:
        SourceIdentityError: an image cannot be named in a document.
        MixedStudyError: images of several studies or patients.
        ContentError: the draft or the algorithm cannot be encoded; the text says which field.
    """
    _check_algorithm(algorithm, revision)
    _check_content(content)
    frame = open_frame(study, algorithm, created, locale, terminology)
    summary = labels.summary_lines(algorithm, content, revision, frame.header.notes)
    findings_sentences = _sentences(content.findings_sentences)
    impression = _sentences(content.impression_sentences)
    narrative = Narrative(comments=summary, findings=findings_sentences, impression=impression)
    written = _Written(
        findings=findings_tree(frame.context, content.findings, content.scores, narrative),
        findings_description=labels.findings_description(algorithm, content.urgency),
        findings_completion=labels.FINDINGS_COMPLETION,
        report=report_tree(frame.context, summary, findings_sentences, impression),
        report_description=labels.report_description(algorithm, content.urgency),
        report_completion=labels.REPORT_COMPLETION,
    )
    return _pair(frame, written, revision, predecessors, findings_sop_class)


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
    """Documents A and B of a study without draft: what became of it and why, and no finding at all.

    Args:
        reason_text: in a radiologist's words; `outcome` says whether policy or a failure stopped it.

    The other arguments and the errors are those of `build_draft`.
    """
    _check_algorithm(algorithm, revision)
    if not clean(reason_text):
        raise ContentError("reason_text is empty: say in words why there is no draft")
    frame = open_frame(study, algorithm, created, locale, terminology)
    lines = labels.rejection_lines(algorithm, clean(reason_text), outcome, revision, frame.header.notes)
    written = _Written(
        findings=outcome_tree(frame.context, _OUTCOME[outcome], Narrative(comments=lines)),
        findings_description=labels.rejection_findings_description(algorithm),
        findings_completion=labels.NOTHING_ANALYSED,
        report=report_tree(frame.context, lines, (), ()),
        report_description=labels.rejection_report_description(algorithm),
        report_completion=labels.NOTHING_DRAFTED,
    )
    return _pair(frame, written, revision, predecessors, findings_sop_class)


def _pair(
    frame: Frame,
    written: _Written,
    revision: int,
    predecessors: DocumentPairReference | None,
    findings_sop_class: FindingsSopClass,
) -> DocumentPair:
    """A first, because B names it; series numbers grow with the revision."""
    number = _FIRST_SERIES_NUMBER + 2 * revision
    findings = assemble(
        frame,
        DocumentParts(
            sop_class_uid=_FINDINGS_SOP_CLASS[findings_sop_class],
            tree=written.findings,
            state=DocumentState(completion="COMPLETE", completion_description=written.findings_completion),
            series=SeriesPlace(number=number + 1, description=written.findings_description),
            predecessors=[] if predecessors is None else [predecessors.findings],
        ),
    )
    report = assemble(
        frame,
        DocumentParts(
            sop_class_uid=BasicTextSRStorage,
            tree=written.report,
            state=DocumentState(completion="PARTIAL", completion_description=written.report_completion),
            series=SeriesPlace(number=number, description=written.report_description),
            also_evidence=[reference_to(findings)],
            predecessors=[] if predecessors is None else [predecessors.report],
        ),
    )
    return DocumentPair(findings=findings, report=report)


def _check_algorithm(algorithm: Algorithm, revision: int) -> None:
    for name in ("name", "version", "manufacturer"):
        if not clean(getattr(algorithm, name)):
            raise ContentError(f"algorithm.{name} is empty: a report must name what wrote it")
    if revision < 0:
        raise ContentError(f"revision is {revision}: it must not be negative")


def _check_content(content: DraftContent) -> None:
    if content.scores and len(content.scores) != len(content.findings):
        raise ContentError("scores must be empty or have one entry (or None) per finding")
    if any(score is not None and not 0.0 <= score <= 1.0 for score in content.scores):
        raise ContentError("a score is outside [0, 1]: give calibrated probabilities only")


def _sentences(raw: Sequence[str]) -> tuple[str, ...]:
    """The sentences as they can stand in a TEXT item; empty ones say nothing and are left out."""
    return tuple(words for words in map(clean, raw) if words)
