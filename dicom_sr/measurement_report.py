"""Document A: the findings for machines, an Imaging Measurement Report (TID 1500).

One TID 1501 group per assessed finding says *finding = Present | Absent | Undetermined*; Finding
(121071) stands only in the groups of present findings, so that a reader that lists findings never
shows a negative as a positive. What the report does not mention has no group.

Source: PS3.16 TID 1500, 1501, 1600, 4019; CID 240, 244, 3716, 6042.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    FindingSite,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.sr.coding import Code

from dicom_sr import codes, content
from dicom_sr.identifiers import tracking_uid
from dicom_sr.observer import algorithm_uid, observer_items
from dicom_sr.source import ImageReference
from dicom_sr.terminology import NO_FINDING, Term, Terminology
from dicom_sr.values import Algorithm
from model.findings.types import Finding, Presence


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrative:
    """The copy of the text that A carries for consumers of one document."""

    comments: Sequence[str]
    findings: Sequence[str] = ()
    impression: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContext:
    """What every tree begins with, and what the terms mean."""

    algorithm: Algorithm
    terminology: Terminology
    images: Sequence[ImageReference]
    study_instance_uid: str
    language: str


def findings_tree(
    context: ReportContext,
    findings: Sequence[Finding],
    scores: Sequence[float | None],
    narrative: Narrative,
) -> ContainerContentItem:
    """The tree of a draft; `scores` is empty or one calibrated probability (or None) per finding."""
    children = [*_opening(context), _image_library(context.images)]
    groups = _groups(context, findings, scores)
    if groups:
        children.append(content.container(codes.IMAGING_MEASUREMENTS, groups))
    assessment = overall_assessment(context.terminology, findings)
    children.append(_evaluations(codes.SUCCEEDED, assessment, narrative))
    return content.container(codes.IMAGING_MEASUREMENT_REPORT, children, template="1500", is_root=True)


def outcome_tree(context: ReportContext, outcome: Code, narrative: Narrative) -> ContainerContentItem:
    """The tree of a study without draft: only what became of the analysis, never an absent finding."""
    children = [
        *_opening(context),
        _image_library(context.images),
        _evaluations(outcome, None, narrative),
    ]
    return content.container(codes.IMAGING_MEASUREMENT_REPORT, children, template="1500", is_root=True)


def _opening(context: ReportContext) -> list[ContentItem]:
    """Language, observer, procedure reported (TID 1204, 1001)."""
    return [
        content.language(context.language),
        *observer_items(context.algorithm),
        content.code(codes.PROCEDURE_REPORTED, codes.RADIOGRAPHY, content.CONCEPT_MOD),
    ]


def _image_library(images: Sequence[ImageReference]) -> ContainerContentItem:
    """TID 1600: the images that were looked at, each with what describes it."""
    entries = [_library_entry(image) for image in images]
    group = content.container(codes.IMAGE_LIBRARY_GROUP, entries)
    return content.container(codes.IMAGE_LIBRARY, [group], template="1600")


def overall_assessment(terminology: Terminology, findings: Sequence[Finding]) -> Code:
    """Normal only where the report says so; a device in place makes nothing abnormal."""
    present = [finding for finding in findings if finding.presence is Presence.PRESENT]
    if any(terminology.term(finding).abnormal for finding in present):
        return codes.ABNORMAL
    stated_normal = any(finding.concept == NO_FINDING for finding in present)
    in_doubt = any(finding.presence is Presence.INDETERMINATE for finding in findings)
    return codes.NORMAL if stated_normal and not in_doubt else codes.UNDETERMINED


def _library_entry(image: ImageReference) -> ContentItem:
    entry = content.image(codes.SOURCE_IMAGE, image.sop_class_uid, image.sop_instance_uid)
    modality = codes.MODALITIES.get(image.modality, codes.OTHER_MODALITY)
    described: list[ContentItem] = [content.code(codes.MODALITY, modality, content.ACQ_CONTEXT)]
    for name, pixels in (
        (codes.PIXEL_DATA_ROWS, image.rows),
        (codes.PIXEL_DATA_COLUMNS, image.columns),
    ):
        if pixels:
            described.append(content.number(name, pixels, codes.PIXELS, content.ACQ_CONTEXT))
    if image.view in codes.VIEWS:
        described.append(content.code(codes.IMAGE_VIEW, codes.VIEWS[image.view], content.ACQ_CONTEXT))
    entry.ContentSequence = ContentSequence(described)
    return entry


def _groups(
    context: ReportContext, findings: Sequence[Finding], scores: Sequence[float | None]
) -> list[ContentItem]:
    groups: list[ContentItem] = []
    seen: Counter[str] = Counter()
    written = set()
    for index, finding in enumerate(findings):
        if finding in written:
            continue
        written.add(finding)
        seen[finding.concept] += 1
        score = scores[index] if scores else None
        groups.append(_group(context, finding, seen[finding.concept], score))
    return groups


def _group(context: ReportContext, finding: Finding, ordinal: int, score: float | None) -> ContentItem:
    """TID 1501 for one finding; the rows that highdicom has no argument for are added behind."""
    term = context.terminology.term(finding)
    tracking = f"{finding.concept}-{ordinal}"
    is_positive = finding.presence is Presence.PRESENT and term.key != NO_FINDING
    template = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=tracking_uid(context.study_instance_uid, algorithm_uid(context.algorithm), tracking),
            identifier=tracking,
        ),
        finding_type=_coded(term.code) if is_positive else None,
        finding_sites=[_site(context.terminology, term, finding)],
        algorithm_id=_algorithm_identification(context.algorithm),
        qualitative_evaluations=_evaluations_of(term, finding),
        source_images=[
            SourceImageForMeasurementGroup(image.sop_class_uid, image.sop_instance_uid)
            for image in context.images
        ],
    )
    group = cast(ContainerContentItem, template[0])
    _add_equivalent(group, term, finding.presence)
    if score is not None:
        group.ContentSequence.append(_certainty(score, context.images))
    if finding.evidence:
        group.ContentSequence.append(content.text(codes.COMMENT, finding.evidence))
    return group


def _evaluations_of(term: Term, finding: Finding) -> list[QualitativeEvaluation]:
    evaluations = [QualitativeEvaluation(_coded(term.code), _coded(codes.PRESENCE[finding.presence]))]
    if finding.severity is not None and finding.presence is not Presence.ABSENT:
        evaluations.append(
            QualitativeEvaluation(_coded(codes.SEVERITY), _coded(codes.GRADE[finding.severity]))
        )
    if finding.change is not None:
        evaluations.append(
            QualitativeEvaluation(_coded(codes.DESCRIPTION_OF_CHANGE), _coded(codes.CHANGE[finding.change]))
        )
    return evaluations


def _site(terminology: Terminology, term: Term, finding: Finding) -> FindingSite:
    return FindingSite(
        anatomic_location=_coded(term.site),
        laterality=None if finding.laterality is None else _coded(codes.SIDE[finding.laterality]),
        topographical_modifier=(
            None if finding.location is None else _coded(terminology.location(finding.location))
        ),
    )


def _add_equivalent(group: ContainerContentItem, term: Term, presence: Presence) -> None:
    """Beside the answer of CID 240, the code that other products write for it."""
    equivalent = codes.EQUIVALENT_PRESENCE.get(presence)
    if equivalent is None:
        return
    answer = next(
        item
        for item in group.ContentSequence
        if isinstance(item, CodeContentItem) and item.name == _coded(term.code)
    )
    answer.ConceptCodeSequence[0].EquivalentCodeSequence = [_coded(equivalent)]


def _certainty(score: float, images: Sequence[ImageReference]) -> ContentItem:
    item = content.number(codes.CERTAINTY_OF_FINDING, round(100.0 * score, 1), codes.PERCENT)
    item.ContentSequence = ContentSequence(
        [
            content.image(
                codes.SOURCE_IMAGE, image.sop_class_uid, image.sop_instance_uid, content.INFERRED_FROM
            )
            for image in images
        ]
    )
    return item


def _algorithm_identification(algorithm: Algorithm) -> AlgorithmIdentification:
    parameters = [f"{name}={value}" for name, value in sorted(algorithm.parameters.items())]
    return AlgorithmIdentification(
        name=algorithm.name,
        version=algorithm.version,
        manufacturer=algorithm.manufacturer,
        parameters=[f"weights_sha256={algorithm.weights_sha256}", *parameters],
    )


def _evaluations(outcome: Code, assessment: Code | None, narrative: Narrative) -> ContainerContentItem:
    """TID 1500 row 12: what became of the analysis, its warnings and the copy of the narrative."""
    items: list[ContentItem] = [content.code(codes.SUMMARY_OF_ANALYSES, outcome)]
    if assessment is not None:
        items.append(content.code(codes.OVERALL_ASSESSMENT, assessment))
    items.extend(content.text(codes.COMMENT, line) for line in narrative.comments)
    items.extend(content.text(codes.FINDING, sentence) for sentence in narrative.findings)
    items.extend(content.text(codes.IMPRESSION, sentence) for sentence in narrative.impression)
    return content.container(codes.QUALITATIVE_EVALUATIONS, items)


def _coded(code: Code) -> CodedConcept:
    return CodedConcept.from_code(code)
