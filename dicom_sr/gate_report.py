"""The gate's rules on document B's content tree."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_sr import codes, tree
from dicom_sr.problem import Problem
from dicom_sr.terminology import code_key

_SECTIONS = [
    code_key(codes.SUMMARY_SECTION),
    code_key(codes.PRIOR_PROCEDURES_SECTION),
    code_key(codes.PREVIOUS_FINDINGS_SECTION),
    code_key(codes.FINDINGS_SECTION),
    code_key(codes.IMPRESSIONS_SECTION),
]
_CONTEXT = (codes.PROCEDURE_REPORTED, codes.LANGUAGE, codes.OBSERVER_TYPE)


def report_problems(document: Dataset) -> Iterator[Problem]:
    """TID 2000 in its order: context, Summary, then any other sections."""
    if tree.name(document) != code_key(codes.DIAGNOSTIC_IMAGING_REPORT):
        yield _problem("title", "ConceptNameCodeSequence", "must be (18748-4, LN, Diagnostic Imaging Report)")
    templates = tree.items(document, "ContentTemplateSequence")
    if [tree.words(item, "TemplateIdentifier") for item in templates] != ["2000"]:
        yield _problem("template", "ContentTemplateSequence", "must be DCMR 2000")
    rows = tree.children(document)
    names = [tree.name(row) for row in rows]
    context = [name for name in names if name in {code_key(code) for code in _CONTEXT}]
    if list(dict.fromkeys(context)) != [code_key(code) for code in _CONTEXT]:
        yield _problem("context", "ContentSequence", "must begin with procedure, language and observer")
    containers = [row for row in rows if tree.words(row, "ValueType") == "CONTAINER"]
    sections = [tree.name(row) for row in containers]
    if not sections or sections[0] != _SECTIONS[0]:
        yield _problem("summary", "ContentSequence", "must have a Summary as its first section")
    if sections != [section for section in _SECTIONS if section in sections]:
        order = "Summary, Prior Procedure Descriptions, Previous Findings, Findings, Impressions"
        yield _problem("sections", "ContentSequence", f"must be {order} in this order")
    for container in containers:
        if not tree.children(container):
            yield _problem("sections", "ContentSequence", "has an empty section")


def _problem(code: str, where: str, text: str) -> Problem:
    return Problem(code=code, where=where, text=text)
