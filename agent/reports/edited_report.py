"""An edited report: two texts with one sentence per line, and their findings. Pure.

Nothing that a radiologist writes is dropped: every line becomes a sentence of the document, whether or
not a finding can be read in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from model.findings.extract import ReportReading, read_sections, stronger
from model.findings.types import Finding, Presence

LONGEST_TEXT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The sentences of a report."""

    findings: tuple[str, ...]
    impression: tuple[str, ...]

    @property
    def text(self) -> str:
        """The report in its stored form."""
        return f"Findings: {' '.join(self.findings)} Impression: {' '.join(self.impression)}".strip()

    @property
    def empty(self) -> bool:
        """Whether it has no sentences."""
        return not self.findings and not self.impression


def report_of(findings: str, impression: str) -> Report:
    """Return the report made from the two texts."""
    return Report(findings=_lines(findings), impression=_lines(impression))


def drafted_report(content: Mapping[str, Any], text: str) -> Report:
    """Return the sentences of a stored draft."""
    sentences = content.get("sentences") or {}
    kept = Report(
        findings=tuple(one["text"] for one in sentences.get("findings", ())),
        impression=tuple(one["text"] for one in sentences.get("impression", ())),
    )
    return kept if not kept.empty else Report(findings=_lines(text), impression=())


def doubtful_sentences(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return by section the sentences of a draft in which the network has low confidence."""
    sentences = content.get("sentences") or {}
    return {
        section: [one["text"] for one in sentences.get(section, ()) if one.get("doubtful")]
        for section in ("findings", "impression")
    }


def read_findings(report: Report) -> ReportReading:
    """Return the findings read again from the report, its language, and what could not be read."""
    return read_sections(report.findings, report.impression)


def edit_distance(before: Report, after: Report) -> tuple[int, int]:
    """Return the number of words inserted, deleted or replaced, and the total."""
    old, new = before.text.split(), after.text.split()
    edits = sum(
        max(i2 - i1, j2 - j1)
        for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if tag != "equal"
    )
    return edits, len(old)


def agreement(before: Iterable[Finding], after: Iterable[Finding]) -> dict[str, list[str]]:
    """Return by concept its presence in the draft and in the report; "" if it is not mentioned."""
    drafted, reported = _presences(before), _presences(after)
    return {
        concept: [drafted.get(concept, ""), reported.get(concept, "")]
        for concept in sorted({*drafted, *reported})
    }


def _presences(findings: Iterable[Finding]) -> dict[str, str]:
    found: dict[str, Presence] = {}
    for finding in findings:
        found[finding.concept] = stronger(found.get(finding.concept), finding.presence)
    return {concept: presence.value for concept, presence in found.items()}


def _lines(text: str) -> tuple[str, ...]:
    lines: Sequence[str] = text[:LONGEST_TEXT].splitlines()
    return tuple(words for words in (re.sub(r"\s+", " ", line).strip() for line in lines) if words)
