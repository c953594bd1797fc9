"""Sentences that correct the ones before: "Correction: left pneumothorax.", "right, not left."."""

from __future__ import annotations

from dataclasses import replace

from model.findings.merge import Read
from model.findings.spans import Reader
from model.findings.speech.contrast import without_excluded_side
from model.findings.types import Laterality
from model.findings.vocabulary import Vocabulary

_REACH = 3  # sentences before a correction that it can apply to


def replace_concepts(reads: list[list[Read]]) -> None:
    """Remove from the earlier sentences what the last one corrects."""
    concepts = {read.finding.concept for read in reads[-1] if read.finding is not None}
    for index in range(max(0, len(reads) - 1 - _REACH), len(reads) - 1):
        reads[index] = [r for r in reads[index] if r.finding is None or r.finding.concept not in concepts]


def side_of(reader: Reader, sentence: str) -> Laterality | None:
    """The one side named by a correction without a finding: in "right, not left" the right."""
    marked = reader.mark(sentence)
    tokens = without_excluded_side(marked)
    sides = {s.key for s in (marked if tokens is None else reader.mark_tokens(tokens)).sides}
    return Laterality(sides.pop()) if len(sides) == 1 and sides <= {"left", "right", "bilateral"} else None


def move_to(reads: list[list[Read]], side: Laterality, vocabulary: Vocabulary) -> None:
    """Give the corrected side to the findings of the nearest sentence that has a sided finding."""
    for index in range(len(reads) - 2, max(-1, len(reads) - 2 - _REACH), -1):
        sided = [r for r in reads[index] if r.finding is not None and r.finding.laterality is not None]
        if sided:
            reads[index] = [_moved(r, side, vocabulary) for r in reads[index]]
            return


def _moved(read: Read, side: Laterality, vocabulary: Vocabulary) -> Read:
    finding = read.finding
    if finding is None or finding.laterality is None or not vocabulary.concepts[finding.concept].sided:
        return read
    return Read(replace(finding, laterality=side), read.weak, read.why)
