"""The two texts of a phantom: dictation in varied words, the normalised report in fixed words."""

from __future__ import annotations

import re

import numpy as np
import pytest

from model.findings.types import Finding, Laterality, Severity
from model.findings.vocabulary import load_vocabulary
from model.findings.wording import normalised_report, sentence_for
from model.findings.wording_terms import REGION_ORDER, region_of
from model.phantom import PHANTOM_CONCEPTS, dictated_report, draw_spec, training_example
from model.phantom.dictation import dictated_sentence
from tests.unit.model.phantom.builders import present, spec_with

# The words that identify a sentence's region, to read the order back from the text.
_MARKS = {
    "thorax": "tube|catheter|pacemaker|device",
    "mediastinum": "mediastinal",
    "lungs": "consolidation|edema|atelectasis|nodule|mass",
    "heart": "cardi",
    "hila": "hila",
    "diaphragm": "hemidiaphragm",
    "pleura": "pleural effusion|pneumothorax",
    "bones": "rib",
}

SIDELESS = {"endotracheal_tube", "widened_mediastinum", "pulmonary_edema", "cardiomegaly"}


def test_every_finding_is_dictated_in_many_ways() -> None:
    """Each finding has at least five wordings, each with its side if it has one."""
    for concept in PHANTOM_CONCEPTS:
        if concept == "malpositioned_device":  # dictated with its tube
            continue
        focal = concept in {"consolidation", "atelectasis", "nodule", "mass"}
        finding = present(concept, Laterality.LEFT, "mid_zone" if focal else None, Severity.MODERATE)
        wordings = {dictated_sentence(finding, np.random.default_rng(n)) for n in range(200)}
        assert len(wordings) >= 5, concept
        sided = {re.search(r"\b(left|L)\b", one, re.IGNORECASE) is not None for one in wordings}
        assert sided == {concept not in SIDELESS}, concept


def test_dictated_reports_of_one_study_hardly_repeat() -> None:
    """A hundred dictations of one study give at least ninety different texts."""
    spec = spec_with(
        present("pleural_effusion", Laterality.LEFT, None, Severity.MILD),
        present("nodule", Laterality.RIGHT, "upper_zone"),
    )
    texts = {dictated_report(spec, np.random.default_rng(n)) for n in range(100)}
    assert len(texts) >= 90
    assert all(re.search("effusion|pleural fluid", text, re.IGNORECASE) for text in texts)


def test_dictated_report_leaves_normal_regions_out() -> None:
    """A normal study is dictated with varying numbers of its negatives."""
    lengths = {len(dictated_report(spec_with(), np.random.default_rng(n)).split(".")) for n in range(50)}
    assert min(lengths) < 7 < max(lengths)


def test_dictated_report_is_deterministic() -> None:
    """The same generator gives the same dictation."""
    spec = draw_spec(5)
    assert dictated_report(spec, np.random.default_rng(1)) == dictated_report(spec, np.random.default_rng(1))


def test_dictated_report_has_no_unfilled_slot() -> None:
    """No braces, double spaces or empty words remain."""
    for seed in range(200):
        text = dictated_report(draw_spec(seed), np.random.default_rng(seed))
        assert not re.search(r"[{}]|  | \.| ,|\bNone\b", text), text


@pytest.mark.parametrize("seed", range(40))
def test_normalised_report_states_every_region_in_order(seed: int) -> None:
    """Eight regions, all stated in the fixed order, then the impression."""
    report = normalised_report(draw_spec(seed).truth)
    regions = []
    for sentence in report.findings:
        regions.append(
            next(name for name, mark in _MARKS.items() if re.search(mark, sentence, re.IGNORECASE))
        )
    order = [REGION_ORDER.index(region) for region in regions]
    assert order == sorted(order)
    assert list(dict.fromkeys(regions)) == list(_MARKS)
    assert report.impression


def test_normalised_reports_stay_small() -> None:
    """At most 90 distinct words and marks over many studies; a normal report has 60 to 90 words and marks."""
    words: set[str] = set()
    for seed in range(2000):
        words |= set(re.findall(r"\w+|[.,:]", normalised_report(draw_spec(seed).truth).text.lower()))
    assert len(words) <= 90
    normal = normalised_report(spec_with().truth).text
    assert 60 <= len(re.findall(r"\w+|[.,:]", normal)) <= 90


def test_normalised_report_states_each_finding_in_the_canonical_sentence() -> None:
    """Each present finding's sentence is in the report; a malpositioned tube has one in each section."""
    misplaced = 0
    for seed in range(200):
        spec = draw_spec(seed)
        text = normalised_report(spec.truth).text
        for finding in spec.findings:
            if finding.location != "right_main_bronchus":
                assert sentence_for(finding) in text
        if any(finding.location == "right_main_bronchus" for finding in spec.findings):
            misplaced += 1
            assert text.lower().count("tube") == 2, text
    assert misplaced > 0


def test_training_example_holds_images_texts_and_truth() -> None:
    """Views, images and texts belong to one study and follow from its seed alone."""
    example = training_example(1, size=64)
    spec = draw_spec(1)
    assert example.views == spec.views
    assert example.images.shape == (len(spec.views), 64, 64)
    assert example.images.dtype == np.uint8
    assert example.normalised == normalised_report(spec.truth).text
    assert example.truth == spec.truth
    assert training_example(1, size=64).dictated == example.dictated


def test_regions_of_the_phantom_cover_the_report() -> None:
    """The phantom can draw at least one finding of every region."""
    findings = [Finding(concept=c, presence=present(c).presence) for c in PHANTOM_CONCEPTS]
    regions = {region_of(finding.concept, load_vocabulary()) for finding in findings}
    assert regions == set(_MARKS)
