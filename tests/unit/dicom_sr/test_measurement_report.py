"""Document A: one answered question per group, and nothing positive where the answer is no."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace

import highdicom
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_sr import codes
from dicom_sr.document import DocumentPair, DraftContent, SourceStudy, encode
from dicom_sr.errors import ContentError
from dicom_sr.measurement_report import overall_assessment
from dicom_sr.terminology import default_terminology
from model.findings.types import Change, Finding, Laterality, Presence, Severity

MakeDraft = Callable[..., DocumentPair]
MakeImage = Callable[..., Dataset]


def rows(document: Dataset) -> list[dict[str, Dataset]]:
    """The rows of every measurement group, by the code meaning of their concept name."""
    return [
        {row.ConceptNameCodeSequence[0].CodeMeaning: row for row in group.ContentSequence}
        for container in document.ContentSequence
        if container.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
        for group in container.ContentSequence
    ]


def answer(row: Dataset) -> tuple[str, str]:
    code = row.ConceptCodeSequence[0]
    return code.CodingSchemeDesignator, code.CodeValue


def test_presence_is_answered_in_every_group(make_draft: MakeDraft) -> None:
    """Present, absent or undetermined, each with the code of CID 240 and the one that others write."""
    effusion, pneumothorax, pneumonia = rows(make_draft().findings)
    assert answer(effusion["Pleural effusion"]) == ("SCT", "52101004")
    assert answer(pneumothorax["Pneumothorax"]) == ("SCT", "272519000")
    assert answer(pneumonia["Pneumonia"]) == ("SCT", "373068000")
    for row, equivalent in ((pneumothorax["Pneumothorax"], "2667000"), (pneumonia["Pneumonia"], "82334004")):
        assert row.ConceptCodeSequence[0].EquivalentCodeSequence[0].CodeValue == equivalent


def test_finding_is_named_only_where_it_is_present(make_draft: MakeDraft) -> None:
    """A reader that lists Finding (121071) never shows a negative as a positive."""
    effusion, pneumothorax, pneumonia = rows(make_draft().findings)
    assert answer(effusion["Finding"]) == ("SCT", "60046008")
    assert "Finding" not in pneumothorax
    assert "Finding" not in pneumonia


def test_attributes_of_a_finding_are_coded(make_draft: MakeDraft) -> None:
    """Side, place, grade and change of the example."""
    effusion, pneumothorax, _ = rows(make_draft().findings)
    site = effusion["Finding Site"]
    assert answer(site) == ("SCT", "3120008")
    assert [answer(modifier) for modifier in site.ContentSequence] == [
        ("SCT", "7771000"),
        ("99ECHO", "lower_zone"),
    ]
    assert answer(effusion["Severity"]) == ("SCT", "255604002")
    assert answer(effusion["Description of Change"]) == ("SCT", "7147002")
    assert effusion["Comment"].TextValue == "New small left pleural effusion, depth ≥ 5 mm."
    assert "Severity" not in pneumothorax


def test_absent_finding_has_no_severity(make_draft: MakeDraft, content: DraftContent) -> None:
    """An absent finding is neither mild nor severe."""
    finding = Finding(concept="pneumothorax", presence=Presence.ABSENT, severity=Severity.SEVERE)
    (group,) = rows(make_draft(content=replace(content, findings=(finding,))).findings)
    assert "Severity" not in group


def test_certainty_stands_only_where_a_score_was_calibrated(
    make_draft: MakeDraft, content: DraftContent
) -> None:
    """The certainty is in percent, inferred from the image, and left out where there is no score."""
    scored = replace(content, scores=(0.875, None, None))
    effusion, pneumothorax, _ = rows(make_draft(content=scored).findings)
    certainty = effusion["Certainty of Finding"]
    assert certainty.MeasuredValueSequence[0].NumericValue == 87.5
    assert [child.RelationshipType for child in certainty.ContentSequence] == ["INFERRED FROM"]
    assert "Certainty of Finding" not in pneumothorax
    assert all("Certainty of Finding" not in group for group in rows(make_draft().findings))


def test_what_is_not_mentioned_has_no_group(make_draft: MakeDraft, content: DraftContent) -> None:
    """*Not mentioned* is not *absent*."""
    assert len(rows(make_draft().findings)) == len(content.findings)
    (container,) = [
        item
        for item in make_draft(content=replace(content, findings=())).findings.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
    ]
    assert "ContentSequence" not in container


def test_repeated_finding_has_one_group(make_draft: MakeDraft, content: DraftContent) -> None:
    """A repeated statement has one group; two lateralities of a concept have two, each with own tracking."""
    left, *_ = content.findings
    right = replace(left, laterality=None)
    groups = rows(make_draft(content=replace(content, findings=(left, right, left))).findings)
    identifiers = [group["Tracking Identifier"].TextValue for group in groups]
    assert identifiers == [
        "pleural_effusion, left, lower_zone",
        "pleural_effusion, lower_zone",
    ]
    assert len({group["Tracking Unique Identifier"].UID for group in groups}) == 2


def test_tracking_uid_names_one_side_whatever_else_is_found(
    make_draft: MakeDraft, content: DraftContent
) -> None:
    """Right and left in one revision, left alone in the next: the left effusion keeps its identifier."""
    left, *_ = content.findings
    right = replace(left, laterality=Laterality.RIGHT)

    def tracked(*findings: Finding) -> list[str]:
        pair = make_draft(content=replace(content, findings=findings))
        return [group["Tracking Unique Identifier"].UID for group in rows(pair.findings)]

    first, second = tracked(right, left), tracked(left, right)
    assert first == second[::-1]
    assert tracked(left) == [first[1]]
    assert tracked(replace(left, presence=Presence.ABSENT, severity=None)) == [first[1]]
    assert tracked(replace(left, location="upper_zone")) != [first[1]]
    assert len({*tracked(left, replace(left, severity=Severity.SEVERE))}) == 2


def test_tracking_uid_tells_two_findings_of_one_place_apart_in_any_order(
    make_draft: MakeDraft, content: DraftContent
) -> None:
    """A new and an unchanged finding: neither their order nor a third finding swaps or mixes their UIDs."""
    left, *_ = content.findings
    old = replace(left, severity=None, change=Change.UNCHANGED, evidence="Unchanged on the left.")
    new = replace(left, severity=None, change=Change.NEW, evidence="New on the left.")
    said = replace(old, evidence="Also unchanged on the left.")

    def tracked(*findings: Finding, **values: object) -> dict[Finding, str]:
        pair = make_draft(content=replace(content, findings=findings), **values)
        uids = [group["Tracking Unique Identifier"].UID for group in rows(pair.findings)]
        return dict(zip(findings, uids, strict=True))

    first = tracked(old, new)
    assert tracked(new, old, revision=2) == first
    assert tracked(said, new, old)[new] == first[new]
    alone = [tracked(one)[one] for one in (old, new)]
    assert not {*alone} & {*first.values()}
    assert len({*tracked(said, new, old).values()}) == 3


def test_tracking_uid_is_never_that_of_another_thing(make_draft: MakeDraft, content: DraftContent) -> None:
    """Over sides, places and concepts, each UID belongs to one finding, in any order of the report."""
    sides, places = (None, *Laterality), (None, "upper_zone", "lower_zone")
    things = [
        Finding(concept=concept, presence=Presence.PRESENT, laterality=side, location=place)
        for concept in ("mass", "nodule", "pleural_effusion")
        for side in sides
        for place in places
    ]

    def uids(findings: Sequence[Finding]) -> list[str]:
        pair = make_draft(content=replace(content, findings=tuple(findings)))
        return [group["Tracking Unique Identifier"].UID for group in rows(pair.findings)]

    together = uids(things)
    assert len({*together}) == len(things)
    assert uids(things[::-1]) == together[::-1]
    changed = [replace(one, severity=Severity.SEVERE, change=Change.INCREASED) for one in things]
    assert uids(changed) == together


def test_tracking_uid_stays_over_revisions(make_draft: MakeDraft) -> None:
    """The same finding of the same study keeps its tracking UID from one revision to the next."""
    uids = [
        [group["Tracking Unique Identifier"].UID for group in rows(make_draft(revision=revision).findings)]
        for revision in (1, 2)
    ]
    assert uids[0] == uids[1]


def test_no_finding_is_a_statement_not_a_finding(make_draft: MakeDraft, content: DraftContent) -> None:
    """That nothing is abnormal has a presence and makes the study normal, but is no positive finding."""
    normal = Finding(concept="no_finding", presence=Presence.PRESENT, evidence="Normal chest.")
    document = make_draft(content=replace(content, findings=(normal,))).findings
    (group,) = rows(document)
    assert "Finding" not in group
    assert ("SCT", codes.NORMAL.value) in [
        answer(row) for row in document.ContentSequence[-1].ContentSequence if row.ValueType == "CODE"
    ]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, codes.UNDETERMINED),
        ({"pneumothorax": Presence.ABSENT}, codes.UNDETERMINED),
        ({"no_finding": Presence.PRESENT, "pneumothorax": Presence.ABSENT}, codes.NORMAL),
        ({"no_finding": Presence.PRESENT, "pneumonia": Presence.INDETERMINATE}, codes.UNDETERMINED),
        ({"no_finding": Presence.PRESENT, "pacemaker": Presence.PRESENT}, codes.NORMAL),
        ({"pacemaker": Presence.PRESENT}, codes.UNDETERMINED),
        ({"malpositioned_device": Presence.PRESENT}, codes.ABNORMAL),
        ({"no_finding": Presence.PRESENT, "nodule": Presence.PRESENT}, codes.ABNORMAL),
    ],
)
def test_overall_assessment_follows_what_is_stated(stated: dict[str, Presence], expected: Code) -> None:
    """The study is normal only where the report says so and nothing contradicts it."""
    findings = [Finding(concept=concept, presence=presence) for concept, presence in stated.items()]
    assert overall_assessment(default_terminology(), findings) == expected


def test_image_library_describes_every_image(make_draft: MakeDraft, make_image: MakeImage) -> None:
    """Modality, size and view of each analysed image, as far as its header states them."""
    lateral = make_image(2, ViewPosition="LL", Modality="CR")
    bare = make_image(3, ViewPosition=None, Modality="ZZ", Rows=None)
    document = make_draft(study=SourceStudy(images=(make_image(1), lateral, bare))).findings
    library = next(
        item for item in document.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111028"
    )
    described = [
        [answer(row)[1] for row in entry.ContentSequence if row.ValueType == "CODE"]
        for entry in library.ContentSequence[0].ContentSequence
    ]
    assert described == [["DX", "272479007"], ["CR", "399173006"], ["OT"]]


def test_every_group_has_coordinates_where_the_image_has_a_size(
    make_draft: MakeDraft, make_image: MakeImage
) -> None:
    """OHIF shows the image of a measurement report only when every group has coordinates."""
    corners = "Corners of the assessed region"
    assert all(corners in group for group in rows(make_draft().findings))
    sizeless = SourceStudy(images=(make_image(1, Rows=None),))
    assert all(corners not in group for group in rows(make_draft(study=sizeless).findings))


def test_unknown_concept_is_refused(make_draft: MakeDraft, content: DraftContent) -> None:
    """A concept without a code cannot be stated; the error says where to add it."""
    with pytest.raises(
        ContentError, match=r"unheard_of.* is not in the vocabulary: add it with a code there"
    ):
        make_draft(
            content=replace(content, findings=(Finding(concept="unheard_of", presence=Presence.PRESENT),))
        )


def test_highdicom_reads_one_presence_per_assessed_finding(make_draft: MakeDraft) -> None:
    """Another product's TID 1500 reader sees three groups, one answer each, one positive finding."""
    document = make_draft().findings
    report = highdicom.sr.Comprehensive3DSR.from_dataset(pydicom.dcmread(io.BytesIO(encode(document))))
    groups = report.content.get_image_measurement_groups()
    answers = {code.value for code in codes.PRESENCE.values()}
    presences = [
        [row for row in group.get_qualitative_evaluations() if row.value.value in answers] for group in groups
    ]
    assert [len(found) for found in presences] == [1, 1, 1]
    assert [None if group.finding_type is None else group.finding_type.value for group in groups] == [
        "60046008",
        None,
        None,
    ]
