"""Document B: the draft for a reader, a Basic Diagnostic Imaging Report (TID 2000).

The template is not extensible and its order matters: procedure reported, language, observer, then
the sections Summary, Prior Procedure Descriptions, Previous Findings, Findings, Impressions with one TEXT
item per sentence.

Source: PS3.16 TID 2000, 1204, 1001; CID 7000, 7001, 7002.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.sr.coding import Code

from dicom_sr import codes, content
from dicom_sr.content import Item, Relationship
from dicom_sr.measurement_report import DocumentContext
from dicom_sr.observer import observer_items


def report_tree(
    context: DocumentContext,
    summary: Sequence[str],
    findings: Sequence[str],
    impression: Sequence[str],
    *,
    prior_procedures: Sequence[str] = (),
    previous_findings: Sequence[str] = (),
) -> Item:
    """The tree of a draft; a section without sentences is left out, the Summary never is."""
    sections = [_section(codes.SUMMARY_SECTION, codes.SUMMARY_SECTION, summary)]
    for heading, element, sentences in (
        (codes.PRIOR_PROCEDURES_SECTION, codes.PROCEDURE_DESCRIPTION, prior_procedures),
        (codes.PREVIOUS_FINDINGS_SECTION, codes.PREVIOUS_FINDING, previous_findings),
        (codes.FINDINGS_SECTION, codes.FINDING, findings),
        (codes.IMPRESSIONS_SECTION, codes.IMPRESSION, impression),
    ):
        if sentences:
            sections.append(_section(heading, element, sentences))
    children: list[Item] = [
        content.code(codes.PROCEDURE_REPORTED, context.procedure, Relationship.CONCEPT_MOD),
        content.language(context.language),
        *observer_items(context.algorithm, context.verification),
        *sections,
    ]
    return content.container(codes.DIAGNOSTIC_IMAGING_REPORT, children, template="2000", is_root=True)


def _section(heading: Code, element: Code, sentences: Sequence[str]) -> Item:
    return content.container(heading, [content.text(element, sentence) for sentence in sentences])
