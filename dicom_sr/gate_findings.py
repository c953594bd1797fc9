"""The gate's rules on document A's content tree."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_sr import codes, tree
from dicom_sr.problem import Problem
from dicom_sr.terminology import NO_FINDING, CodeKey, code_key, default_terminology
from model.findings.types import Presence

_PRESENCE_BY_CODE = {code_key(code): presence for presence, code in codes.PRESENCE.items()}
_NO_DRAFT = frozenset({code_key(codes.FAILED), code_key(codes.NOT_ATTEMPTED)})


def findings_problems(document: Dataset) -> Iterator[Problem]:
    """TID 1500 with one answered question per group, and nothing positive where the answer is no."""
    if tree.name(document) != code_key(codes.IMAGING_MEASUREMENT_REPORT):
        yield _problem(
            "title", "ConceptNameCodeSequence", "must be (126000, DCM, Imaging Measurement Report)"
        )
    if [
        tree.words(item, "TemplateIdentifier") for item in tree.items(document, "ContentTemplateSequence")
    ] != ["1500"]:
        yield _problem("template", "ContentTemplateSequence", "must be DCMR 1500")
    groups = [item for item in tree.descendants(document) if _is(item, codes.MEASUREMENT_GROUP)]
    rows = [row for group in groups for row in tree.children(group)]
    tracked = [tree.words(row, "UID") for row in rows if _is(row, codes.TRACKING_UID)]
    if len(set(tracked)) != len(tracked):
        yield _problem("tracking", "ContentSequence", "two groups have one Tracking Unique Identifier")
    if not any(_is(item, codes.IMAGING_MEASUREMENTS) for item in tree.children(document)):
        yield _problem("measurements", "ContentSequence", "must have an Imaging Measurements container")
    for number, group in enumerate(groups, 1):
        yield from _group_problems(group, f"group {number}")
    outcomes = [
        tree.value(item) for item in tree.descendants(document) if _is(item, codes.SUMMARY_OF_ANALYSES)
    ]
    if len(outcomes) != 1:
        yield _problem("outcome", "Summary of Analyses", "must be stated exactly once")
    elif outcomes[0] in _NO_DRAFT and groups:
        yield _problem("outcome", "Summary of Analyses", "a study without analysis must state no finding")


def _group_problems(group: Dataset, where: str) -> Iterator[Problem]:
    rows = tree.children(group)
    answers = [
        (tree.name(row), _PRESENCE_BY_CODE[tree.value(row)])
        for row in rows
        if tree.value(row) in _PRESENCE_BY_CODE
    ]
    if len(answers) != 1:
        yield _problem("presence", where, f"must have exactly one presence, has {len(answers)}")
        return
    question, presence = answers[0]
    yield from _positive_rows(rows, question, presence, where)
    identifiers = [row for row in rows if _is(row, codes.TRACKING_UID)]
    if len(identifiers) != 1:
        yield _problem("tracking", where, "must have one Tracking Unique Identifier")
    if not any(_is(row, codes.FINDING_SITE) for row in rows):
        yield _problem("site", where, "must have a Finding Site")
    for row in rows:
        if _is(row, codes.CERTAINTY_OF_FINDING) and not any(
            tree.words(child, "RelationshipType") == "INFERRED FROM" for child in tree.children(row)
        ):
            yield _problem("certainty", where, "Certainty of Finding must be inferred from an image")


def _positive_rows(
    rows: list[Dataset], question: CodeKey, presence: Presence, where: str
) -> Iterator[Problem]:
    findings = [tree.value(row) for row in rows if _is(row, codes.FINDING)]
    is_statement = question == code_key(default_terminology().terms[NO_FINDING].code)
    if presence is Presence.PRESENT and not is_statement and findings != [question]:
        yield _problem("finding", where, "a present finding must be named once as Finding (121071)")
    if findings and (presence is not Presence.PRESENT or is_statement):
        yield _problem("finding", where, "Finding (121071) stands only where something is present")
    if presence is Presence.ABSENT and any(_is(row, codes.SEVERITY) for row in rows):
        yield _problem("severity", where, "an absent finding has no severity")


def _is(item: Dataset, name: Code) -> bool:
    return tree.name(item) == code_key(name)


def _problem(code: str, where: str, text: str) -> Problem:
    return Problem(code=code, where=where, text=text)
