"""The figures of the table for cases that can be counted by hand."""

from __future__ import annotations

import pytest

from model.findings.metrics import attribute_accuracy, macro_f1, rouge_l
from model.findings.types import Finding, Laterality, Presence, Severity


def _present(concept: str, side: Laterality | None = None, severity: Severity | None = None) -> Finding:
    return Finding(concept=concept, presence=Presence.PRESENT, laterality=side, severity=severity)


def _absent(concept: str) -> Finding:
    return Finding(concept=concept, presence=Presence.ABSENT)


TRUTH = [[_present("mass"), _absent("nodule")], [_present("mass"), _present("nodule")]]


def test_macro_f1_is_one_for_the_truth_and_zero_for_silence() -> None:
    """Macro-F1 reaches both ends of its scale."""
    assert macro_f1(TRUTH, TRUTH) == 1.0
    assert macro_f1([[], []], TRUTH) == 0.0


def test_macro_f1_averages_over_the_concepts_that_occur() -> None:
    """For mass 1 of 2 found, none wrong: 2/3; for nodule 1; a concept that is never true does not count."""
    drafted = [[_present("mass")], [_present("nodule"), _present("hernia")]]

    assert pytest.approx(5 / 6) == macro_f1(drafted, TRUTH)


def test_attribute_accuracy_counts_found_findings_alone() -> None:
    """A missed finding counts in F1 alone; of each finding found, every stated attribute is judged."""
    truth = [[_present("mass", Laterality.LEFT, Severity.MILD), _present("nodule", Laterality.LEFT)]]
    drafted = [[_present("mass", Laterality.LEFT, Severity.SEVERE)]]

    found = attribute_accuracy(drafted, truth)

    assert found == {"laterality": 1.0, "severity": 0.0, "location": 1.0, "all": 0.5}


def test_rouge_l_is_one_for_equal_texts() -> None:
    """ROUGE-L is 1 for equal texts and less for others."""
    assert pytest.approx(1.0) == rouge_l(["No mass."], ["No mass."])
    assert rouge_l(["No mass."], ["Large left effusion."]) == 0.0
