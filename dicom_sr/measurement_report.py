"""Document A: the findings for machines, an Imaging Measurement Report (TID 1500).

One TID 1501 group per assessed finding says *finding = Present | Absent | Undetermined*; Finding (121071)
occurs only in the groups of present findings, so that a reader that lists findings never shows a negative one
as positive. Concepts that the report does not mention have no group.

Source: PS3.16 TID 1500, 1501, 1600, 4019; CID 240, 244, 3716, 6042.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydicom.sr.coding import Code

from dicom_sr import codes, content
from dicom_sr.charset import clean
from dicom_sr.content import Item, Relationship
from dicom_sr.identifiers import tracking_uid
from dicom_sr.observer import algorithm_uid, observer_items
from dicom_sr.source import ImageReference
from dicom_sr.terminology import NO_FINDING, Term, Terminology
from dicom_sr.values import Algorithm, Verification
from model.findings.types import Finding, Presence

# Images that a group names, frontal views first; the image library names all of them.
MOST_IMAGES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NarrativeCopy:
    """The copy of the text that A carries for consumers of one document."""

    comments: Sequence[str]
    findings: Sequence[str] = ()
    impression: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentContext:
    """The first items of every tree, and the terminology."""

    algorithm: Algorithm
    terminology: Terminology
    images: Sequence[ImageReference]
    study_instance_uid: str
    language: str
    procedure: Code = codes.RADIOGRAPHY
    verification: Verification | None = None

    @property
    def edited(self) -> bool:
        """Whether a person changed the draft, so that its findings are the person's."""
        return self.verification is not None and self.verification.edited


def findings_tree(
    context: DocumentContext,
    findings: Sequence[Finding],
    scores: Sequence[float | None],
    narrative: NarrativeCopy,
) -> Item:
    """The tree of a draft; `scores` is empty or one calibrated probability (or None) per finding."""
    children = [*_opening(context), _image_library(context.images)]
    # Written even without findings: readers look for the container.
    children.append(content.container(codes.IMAGING_MEASUREMENTS, _groups(context, findings, scores)))
    assessment = overall_assessment(context.terminology, findings)
    children.append(_evaluations(codes.SUCCEEDED, assessment, narrative))
    return content.container(codes.IMAGING_MEASUREMENT_REPORT, children, template="1500", is_root=True)


def outcome_tree(context: DocumentContext, outcome: Code, narrative: NarrativeCopy) -> Item:
    """The tree of a study without a draft: only the outcome of the analysis, never an absent finding."""
    children = [
        *_opening(context),
        _image_library(context.images),
        content.container(codes.IMAGING_MEASUREMENTS, ()),
        _evaluations(outcome, None, narrative),
    ]
    return content.container(codes.IMAGING_MEASUREMENT_REPORT, children, template="1500", is_root=True)


def _opening(context: DocumentContext) -> list[Item]:
    """Language, observer, procedure reported (TID 1204, 1001)."""
    return [
        content.language(context.language),
        *observer_items(context.algorithm, context.verification),
        content.code(codes.PROCEDURE_REPORTED, context.procedure, Relationship.CONCEPT_MOD),
    ]


def _image_library(images: Sequence[ImageReference]) -> Item:
    """TID 1600: the images that were analysed, each with its descriptors."""
    entries = [_library_entry(image) for image in images]
    group = content.container(codes.IMAGE_LIBRARY_GROUP, entries)
    return content.container(codes.IMAGE_LIBRARY, [group], template="1600")


def overall_assessment(terminology: Terminology, findings: Sequence[Finding]) -> Code:
    """Normal only if the report states it; a device in place is not an abnormality."""
    present = [finding for finding in findings if finding.presence is Presence.PRESENT]
    if any(terminology.term(finding).abnormal for finding in present):
        return codes.ABNORMAL
    stated_normal = any(finding.concept == NO_FINDING for finding in present)
    in_doubt = any(finding.presence is Presence.INDETERMINATE for finding in findings)
    return codes.NORMAL if stated_normal and not in_doubt else codes.UNDETERMINED


def _library_entry(image: ImageReference) -> Item:
    modality = codes.MODALITIES.get(image.modality, codes.OTHER_MODALITY)
    described = [content.code(codes.MODALITY, modality, Relationship.ACQ_CONTEXT)]
    for name, pixels in (
        (codes.PIXEL_DATA_ROWS, image.rows),
        (codes.PIXEL_DATA_COLUMNS, image.columns),
    ):
        if pixels:
            described.append(content.number(name, str(pixels), codes.PIXELS, Relationship.ACQ_CONTEXT))
    if image.view in codes.VIEWS:
        described.append(content.code(codes.IMAGE_VIEW, codes.VIEWS[image.view], Relationship.ACQ_CONTEXT))
    return content.image(codes.SOURCE_IMAGE, image.sop_class_uid, image.sop_instance_uid, children=described)


def _groups(
    context: DocumentContext, findings: Sequence[Finding], scores: Sequence[float | None]
) -> list[Item]:
    tracked = tracking_identifiers(findings)
    # A finding that comes twice is written once, with its first score.
    first: dict[Finding, int] = {}
    for index, finding in enumerate(findings):
        first.setdefault(finding, index)
    return [
        _group(context, finding, tracked[finding], scores[index] if scores else None)
        for finding, index in first.items()
    ]


def tracking_identifiers(findings: Sequence[Finding]) -> Mapping[Finding, str]:
    """The tracking identifier of each finding of a report: its subject, if no other finding has it too.

    Of several, each has an identifier with as much of what is stated of it as tells it from the others, so
    that neither order nor number decides which is which. None of them has the subject alone, which may name
    another one of them in the next revision.
    """
    alike: dict[str, set[Finding]] = {}
    for finding in findings:
        alike.setdefault(tracked_subject(finding), set()).add(finding)
    return {
        finding: subject if len(group) == 1 else _told_apart(subject, finding, group)
        for subject, group in alike.items()
        for finding in group
    }


def _told_apart(subject: str, finding: Finding, group: Iterable[Finding]) -> str:
    stated = _stated_of(finding)
    identifier = ", ".join((subject, *stated))
    if sum(_stated_of(other) == stated for other in group) == 1:
        return identifier
    return f"{identifier}, {hashlib.sha256(finding.evidence.encode()).hexdigest()[:8]}"


def _stated_of(finding: Finding) -> tuple[str, ...]:
    stated = (finding.presence, finding.severity, finding.change)
    return tuple(str(part) for part in stated if part is not None)


def tracked_subject(finding: Finding) -> str:
    """The identity of a group across the revisions of a report: concept, side and place, such as `mass,
    left`.

    It does not depend on the order and number of the other findings, so an identifier never names the left
    effusion in one revision and the right one in the next.
    """
    stated = (finding.concept, finding.laterality, finding.location)
    return ", ".join(str(part) for part in stated if part is not None)


def _group(context: DocumentContext, finding: Finding, tracking: str, score: float | None) -> Item:
    """TID 1501 for one finding."""
    term = context.terminology.term(finding)
    shown = context.images[:MOST_IMAGES]
    device = algorithm_uid(context.algorithm)
    items = [
        content.text(codes.TRACKING_IDENTIFIER, tracking, Relationship.OBS_CONTEXT),
        content.uid_reference(codes.TRACKING_UID, tracking_uid(context.study_instance_uid, device, tracking)),
    ]
    if finding.presence is Presence.PRESENT and term.key != NO_FINDING:
        items.append(content.code(codes.FINDING, term.code))
    items.append(_site(context.terminology, term, finding))
    if not context.edited:
        items.extend(_algorithm_identification(context.algorithm))
    items.extend(_evaluations_of(term, finding))
    items.extend(
        content.image(codes.SOURCE_OF_MEASUREMENT, image.sop_class_uid, image.sop_instance_uid)
        for image in shown
    )
    items.extend(_assessed_region(image) for image in shown if image.rows and image.columns)
    if score is not None:
        items.append(_certainty(score, shown))
    if clean(finding.evidence):
        items.append(content.text(codes.COMMENT, finding.evidence))
    return content.container(codes.MEASUREMENT_GROUP, items, template="1501")


def _evaluations_of(term: Term, finding: Finding) -> list[Item]:
    presence = finding.presence
    rows = [
        content.code(term.code, codes.PRESENCE[presence], equivalent=codes.EQUIVALENT_PRESENCE.get(presence))
    ]
    if finding.severity is not None and presence is not Presence.ABSENT:
        rows.append(content.code(codes.SEVERITY, codes.GRADE[finding.severity]))
    if finding.change is not None:
        rows.append(content.code(codes.DESCRIPTION_OF_CHANGE, codes.CHANGE[finding.change]))
    return rows


def _site(terminology: Terminology, term: Term, finding: Finding) -> Item:
    modifiers = []
    if finding.laterality is not None:
        side = codes.SIDE[finding.laterality]
        modifiers.append(content.code(codes.LATERALITY, side, Relationship.CONCEPT_MOD))
    if finding.location is not None:
        place = terminology.location(finding.location)
        modifiers.append(content.code(codes.TOPOGRAPHICAL_MODIFIER, place, Relationship.CONCEPT_MOD))
    return content.code(codes.FINDING_SITE, term.site, Relationship.CONCEPT_MOD, children=modifiers)


def _assessed_region(image: ImageReference) -> Item:
    """The whole image as the region that was assessed, by its corners. It claims no location for a finding.

    OHIF needs coordinates in every group before it shows the image
    of a measurement report; corners are what it draws without a label over the image.
    """
    source = content.image(
        codes.REGION_SOURCE, image.sop_class_uid, image.sop_instance_uid, Relationship.SELECTED_FROM
    )
    return content.corners(codes.ASSESSED_CORNERS, source, columns=image.columns, rows=image.rows)


def _certainty(score: float, images: Sequence[ImageReference]) -> Item:
    """The calibrated probability in percent, inferred from the images."""
    sources = [
        content.image(
            codes.SOURCE_IMAGE, image.sop_class_uid, image.sop_instance_uid, Relationship.INFERRED_FROM
        )
        for image in images
    ]
    return content.number(codes.CERTAINTY_OF_FINDING, f"{100.0 * score:.1f}", codes.PERCENT, children=sources)


def _algorithm_identification(algorithm: Algorithm) -> list[Item]:
    """TID 4019; the digest of the weights is the first parameter."""
    parameters = {"weights_sha256": algorithm.weights_sha256, **dict(sorted(algorithm.parameters.items()))}
    stated = [
        (codes.ALGORITHM_NAME, algorithm.name),
        (codes.ALGORITHM_VERSION, algorithm.version),
        (codes.ALGORITHM_MANUFACTURER, algorithm.manufacturer),
        (codes.ALGORITHM_PARAMETERS, "; ".join(f"{name}={value}" for name, value in parameters.items())),
    ]
    return [content.text(name, value, Relationship.CONCEPT_MOD) for name, value in stated]


def _evaluations(outcome: Code, assessment: Code | None, narrative: NarrativeCopy) -> Item:
    """TID 1500 row 12: the outcome of the analysis, its warnings and the copy of the narrative."""
    items: list[Item] = [content.code(codes.SUMMARY_OF_ANALYSES, outcome)]
    if assessment is not None:
        items.append(content.code(codes.OVERALL_ASSESSMENT, assessment))
    items.extend(content.text(codes.COMMENT, line) for line in narrative.comments)
    items.extend(content.text(codes.FINDING, sentence) for sentence in narrative.findings)
    items.extend(content.text(codes.IMPRESSION, sentence) for sentence in narrative.impression)
    return content.container(codes.QUALITATIVE_EVALUATIONS, items)
