"""The canonical wording is read back exactly, and no text makes the reader fail."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.findings.canonical import read_canonical
from model.findings.consistency import contradictions
from model.findings.extract import chexpert_classes, extract_findings
from model.findings.given import presence_of
from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import load_vocabulary
from model.findings.wording import normalised_report

VOCABULARY = load_vocabulary()
ZONES = ("upper_zone", "mid_zone", "lower_zone", "apex", "base", "retrocardiac", "perihilar")
CHANGES = (Change.NEW, Change.INCREASED, Change.DECREASED, Change.UNCHANGED)
WORDS = [
    "no",
    "not",
    "without",
    "possible",
    "effusion",
    "pneumothorax",
    "left",
    "right",
    "small",
    "large",
    "and",
    "or",
    "but",
    ",",
    ".",
    ";",
    ":",
    "heart",
    "normal",
    "enlarged",
    "is",
    "may",
    "represent",
    "pneumonia",
    "cannot",
    "exclude",
    "history",
    "of",
    "FINDINGS:",
    "IMPRESSION:",
    "1.",
    "ETT",
    "tip",
    "carina",
    "unchanged",
    "?",
    "___",
    "XXXX",
    "clear",
    "lungs\n",
]


@st.composite
def legal_findings(draw: st.DrawFn) -> list[Finding]:
    """Sets of findings that a normalised report can state: at most one per concept."""
    keys = sorted(set(VOCABULARY.concepts) - {"no_finding"})
    return [draw(legal_finding(key)) for key in draw(st.lists(st.sampled_from(keys), unique=True))]


@st.composite
def legal_finding(draw: st.DrawFn, key: str) -> Finding:
    """One finding with attributes that its concept and presence allow."""
    concept = VOCABULARY.concepts[key]
    presence = draw(st.sampled_from(Presence))
    if presence is Presence.ABSENT:
        return Finding(concept=key, presence=presence, change=draw(st.sampled_from([None, Change.RESOLVED])))
    places: tuple[str | None, ...] = (None, *ZONES) if concept.sided else (None,)
    if concept.device:
        places = (None, "carina", "right_main_bronchus", "right_atrium")
    return Finding(
        concept=key,
        presence=presence,
        laterality=draw(st.sampled_from([None, *Laterality])) if concept.sided else None,
        location=draw(st.sampled_from(places)),
        severity=None if concept.device else draw(st.sampled_from([None, *Severity])),
        change=draw(st.sampled_from([None, *CHANGES])),
    )


@settings(max_examples=150, deadline=None)
@example(
    [
        Finding(concept=concept, presence=Presence.PRESENT, location="carina", change=Change.INCREASED)
        for concept in ("central_line", "malpositioned_device")
    ]
)
@given(legal_findings())
def test_canonical_wording_is_read_back_exactly(findings: list[Finding]) -> None:
    """findings → normalised report → findings is the identity, including repeats in the impression."""
    read = extract_findings(normalised_report(findings).text)
    assert set(findings) == {replace(finding, evidence="") for finding in read}
    assert len(findings) == len(read)


@settings(max_examples=60, deadline=None)
@given(legal_findings())
def test_chinese_canonical_wording_is_read_back_exactly(findings: list[Finding]) -> None:
    """The same holds in Chinese, for the free-text reader and for the strict one."""
    text = normalised_report(findings, language="zh").text
    read = extract_findings(text)
    strict = read_canonical(text)

    assert set(findings) == {replace(finding, evidence="") for finding in read}
    assert len(findings) == len(read)
    assert (set(findings), 0, bool(findings)) == (set(strict.findings), strict.broken, strict.legal)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=300), st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)))
def test_any_text_is_answered_with_evidence(text: str) -> None:
    """No text raises an exception, and every finding's evidence is a passage of the text."""
    findings = extract_findings(text)
    assert all(finding.evidence and finding.evidence in text for finding in findings)
    assert set(chexpert_classes(findings).values()) <= set(Presence)
    assert all(c.first in findings and c.second in findings for c in contradictions(findings))
    assert presence_of(text, text[:10]) in Presence


def test_lone_surrogate_is_answered() -> None:
    """Text that cannot be encoded is still read."""
    assert [f.concept for f in extract_findings("Small \ud800 effusion.")] == ["pleural_effusion"]
