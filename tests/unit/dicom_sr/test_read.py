"""Findings written to document A and read back."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_sr.charset import clean
from dicom_sr.codes import SITE
from dicom_sr.document import DocumentPair, DraftContent, encode
from dicom_sr.errors import NotStructuredReportError
from dicom_sr.read import outline, read_findings
from dicom_sr.terminology import Term, build_terminology, default_terminology
from model.findings.types import Change, Finding, Laterality, Presence, Severity

MakeDraft = Callable[..., DocumentPair]

TERMS = default_terminology()


def optional(values: type[Laterality] | type[Severity] | type[Change]) -> st.SearchStrategy[object]:
    return st.none() | st.sampled_from(list(values))


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    """Any finding; an absent one has no severity, because the documents never state one."""
    presence = draw(st.sampled_from(list(Presence)))
    return Finding(
        concept=draw(st.sampled_from(sorted(TERMS.terms))),
        presence=presence,
        laterality=draw(optional(Laterality)),
        location=draw(st.none() | st.sampled_from(sorted(TERMS.locations))),
        severity=None if presence is Presence.ABSENT else draw(optional(Severity)),
        change=draw(optional(Change)),
        evidence=clean(draw(st.text(max_size=40))),
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stated=st.lists(findings(), max_size=12))
def test_any_set_of_findings_comes_back(
    make_draft: MakeDraft, content: DraftContent, stated: list[Finding]
) -> None:
    """Concept, presence, side, place, severity, change and sentence are read back from the file."""
    raw = encode(make_draft(content=replace(content, findings=stated)).findings)
    assert read_findings(pydicom.dcmread(io.BytesIO(raw))) == tuple(dict.fromkeys(stated))


@pytest.mark.parametrize("sop_class", ["comprehensive3d", "comprehensive", "enhanced"])
def test_findings_come_back_from_every_class(
    make_draft: MakeDraft, content: DraftContent, sop_class: str
) -> None:
    """The fallback SOP classes give the same findings."""
    assert read_findings(make_draft(findings_sop_class=sop_class).findings) == content.findings


def test_concepts_that_share_a_code_are_told_apart_by_their_tracking(
    make_draft: MakeDraft, content: DraftContent
) -> None:
    """A hospital may map two of its concepts to one code and still read back what was written."""
    shared = Code("301256004", "SCT", "Pleura finding")
    keys = ("pleural_plaque", "pleural_scar")
    terms = {key: Term(key=key, code=shared, site=SITE["pleura"], abnormal=True) for key in keys}
    terminology = build_terminology(terms, {})
    stated = tuple(Finding(concept=key, presence=Presence.PRESENT) for key in keys)
    pair = make_draft(content=replace(content, findings=stated), terminology=terminology)
    assert read_findings(pair.findings, terminology) == stated


def test_report_document_has_no_findings_to_read(make_draft: MakeDraft) -> None:
    """B holds text only; the findings are in A."""
    assert read_findings(make_draft().report) == ()


def test_other_object_is_refused() -> None:
    """An image is not a report."""
    with pytest.raises(NotStructuredReportError):
        read_findings(Dataset())
    with pytest.raises(NotStructuredReportError):
        outline(Dataset())


def test_outline_shows_header_and_tree(make_draft: MakeDraft) -> None:
    """The outline has state, patient, series and evidence, then one line per content item."""
    lines = outline(make_draft(revision=2, predecessors=make_draft().references).report).splitlines()
    assert lines[0] == "Basic Text SR Storage: PARTIAL UNVERIFIED PRELIMINARY"
    assert "Patient   Müller^Jürgen [PID-1] 19500102" in lines
    assert "Series    9104 AI PRE-DRAFT report (unverified)" in lines
    assert "Replaces  1 × Basic Text SR Storage" in lines
    assert "    Finding: New small left pleural effusion, depth ≥ 5 mm." in lines
    assert "  concept: Procedure reported: XR Chest Views (LN 30745-4)" in lines


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("dcmqi_tid1500_sr.dcm", "      Volume: 33.5824 ml"),
        ("highdicom_sr_document.dcm", "      Image Region: CIRCLE, 4 numbers"),
    ],
)
def test_outline_shows_other_products_documents(shared_data: Path, name: str, line: str) -> None:
    """Documents of dcmqi and highdicom are readable, but state none of our findings."""
    document = pydicom.dcmread(shared_data / "06_sr" / name)
    assert line in outline(document).splitlines()
    assert read_findings(document) == ()


def test_outline_of_a_damaged_tree_shows_what_is_left() -> None:
    """Missing names, values and types are shown, not raised."""
    document, empty, number = Dataset(), Dataset(), Dataset()
    document.ValueType = "CONTAINER"
    number.ValueType = "NUM"
    code = Dataset()
    code.ValueType = "CODE"
    document.ContentSequence = [empty, number, code]
    assert outline(document).splitlines()[-4:] == [
        "(untitled)",
        "  : (no value type)",
        "  : (no value)",
        "  : (no code)",
    ]
