"""The promised figures: accuracy on annotated text, and speed."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import numpy as np

from model.findings.evaluate import Evaluation, evaluate
from model.findings.examples import format_of, read_examples
from model.findings.extract import extract_findings
from model.findings.types import Presence
from model.findings.vocabulary import Vocabulary
from model.phantom.dictation import dictated_report
from model.phantom.draw import draw_spec


def evaluated(file: Path, vocabulary: Vocabulary) -> Evaluation:
    """The evaluation of an annotated file."""
    text = file.read_text(encoding="utf-8")
    return evaluate(read_examples(text, vocabulary), format_of(text), vocabulary)


def test_own_sentences_are_read_at_macro_f1_095(annotated: Path, vocabulary: Vocabulary) -> None:
    """At least 300 annotated chest sentences, macro-F1 at least 0.95."""
    result = evaluated(annotated, vocabulary)
    assert result.examples >= 300
    assert result.macro_f1 >= 0.95
    assert result.attribute_accuracy is not None
    assert result.attribute_accuracy >= 0.95


def test_negex_sentences_are_judged_at_accuracy_095(shared_data: Path, vocabulary: Vocabulary) -> None:
    """Negated or affirmed, for the given concept in each of 2,376 annotated sentences."""
    result = evaluated(shared_data / "09_reports" / "negex_rsAnnotations.txt", vocabulary)
    assert (result.examples, result.accuracy >= 0.95) == (2376, True)


def test_chexpert_samples_are_labelled_alike(shared_data: Path, vocabulary: Vocabulary) -> None:
    """No label of the samples is missed; "lungs are clear" gives our only additional negative."""
    result = evaluated(shared_data / "09_reports" / "chexpert_labeled_reports.csv", vocabulary)
    extra = [(row.concept, row.presence) for row in result.rows if row.false_positives]
    assert (result.micro.false_negatives, extra) == (0, [("Lung Opacity", "absent")])


def test_dictated_phantoms_are_read_as_they_were_drawn() -> None:
    """Dictation varies freely; the present findings that are read match the truth, with few exceptions."""
    wrong = []
    for seed in range(60):
        spec = draw_spec(seed)
        read = extract_findings(dictated_report(spec, np.random.default_rng(seed)))
        present = {f.concept for f in read if f.presence is Presence.PRESENT} - {"no_finding"}
        wrong += [(seed, concept) for concept in present ^ {f.concept for f in spec.findings}]
    assert len(wrong) <= 3


def test_thousand_reports_a_minute_are_read(annotated: Path) -> None:
    """Reports of twelve sentences, on one core."""
    texts = [json.loads(line)["text"] for line in annotated.read_text().splitlines()]
    rng = random.Random(0)
    reports = [" ".join(rng.sample(texts, 12)) for _ in range(100)]
    extract_findings(reports[0])
    begin = time.process_time()
    assert all(extract_findings(report) for report in reports)
    assert time.process_time() - begin < 6
