"""Document B: the order of TID 2000 and exactly the sentences of the draft."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicom_sr.charset import clean
from dicom_sr.document import DocumentPair, DraftContent

MakeDraft = Callable[..., DocumentPair]
SENTENCES = st.lists(st.text(max_size=60), max_size=6)


def section(report: Dataset, title: str) -> list[str]:
    """The TEXT values below a section heading; empty if there is no such section."""
    return [
        item.TextValue
        for container in report.ContentSequence
        if container.ConceptNameCodeSequence[0].CodeMeaning == title
        for item in container.ContentSequence
    ]


def test_report_follows_its_template(make_draft: MakeDraft) -> None:
    """Procedure, language, observer, Summary, Findings, Impressions, in this order."""
    report = make_draft().report
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "2000"
    assert [item.ConceptNameCodeSequence[0].CodeMeaning for item in report.ContentSequence] == [
        "Procedure reported",
        "Language of Content Item and Descendants",
        "Observer Type",
        "Device Observer UID",
        "Device Observer Name",
        "Device Observer Manufacturer",
        "Device Observer Model Name",
        "Device Observer Serial Number",
        "Summary",
        "Findings",
        "Impressions",
    ]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(findings=SENTENCES, impression=SENTENCES)
def test_report_says_the_drafts_sentences_and_no_other(
    make_draft: MakeDraft, content: DraftContent, findings: list[str], impression: list[str]
) -> None:
    """One TEXT item for each sentence that is not empty, in the draft's order."""
    draft = replace(content, findings_sentences=findings, impression_sentences=impression)
    report = make_draft(content=draft).report
    assert section(report, "Findings") == [clean(text) for text in findings if clean(text)]
    assert section(report, "Impressions") == [clean(text) for text in impression if clean(text)]


def test_findings_document_carries_the_same_narrative(make_draft: MakeDraft, content: DraftContent) -> None:
    """A recipient of document A alone has the text as well."""
    evaluations = make_draft().findings.ContentSequence[-1].ContentSequence
    spoken = [
        item.TextValue
        for item in evaluations
        if item.ConceptNameCodeSequence[0].CodeMeaning in {"Finding", "Impression"}
    ]
    assert spoken == [*content.findings_sentences, *content.impression_sentences]
