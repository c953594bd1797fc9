"""The canonical wording: one sentence per statement, regions in order, and nothing that was not stated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from model.findings.types import Change, Finding, Laterality, Presence, Severity
from model.findings.vocabulary import load_vocabulary
from model.findings.wording import NO_FINDING_SENTENCE, normalised_report, sentence_for
from model.findings.wording_terms import PLACES, REGION_ORDER, TERM_ORDER, region_of

PRESENT, ABSENT, INDETERMINATE = Presence.PRESENT, Presence.ABSENT, Presence.INDETERMINATE


def every_finding() -> Iterator[Finding]:
    """Every concept in every presence with every side, place and severity, and with every change."""
    for concept, presence in itertools.product(TERM_ORDER, Presence):
        for side, place, severity in itertools.product(
            (None, *Laterality), (None, *PLACES), (None, *Severity)
        ):
            yield Finding(
                concept=concept, presence=presence, laterality=side, location=place, severity=severity
            )
        for change in Change:
            yield Finding(concept=concept, presence=presence, laterality=Laterality.LEFT, change=change)


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (
            Finding(
                concept="pleural_effusion",
                presence=PRESENT,
                laterality=Laterality.LEFT,
                severity=Severity.MILD,
            ),
            "Small left pleural effusion.",
        ),
        (
            Finding(concept="cardiomegaly", presence=PRESENT, severity=Severity.MODERATE),
            "Moderate cardiomegaly.",
        ),
        (Finding(concept="cardiomegaly", presence=ABSENT), "The cardiac silhouette is normal in size."),
        (
            Finding(concept="nodule", presence=PRESENT, laterality=Laterality.RIGHT, location="upper_zone"),
            "Nodule in the right upper zone.",
        ),
        (
            Finding(
                concept="atelectasis",
                presence=INDETERMINATE,
                laterality=Laterality.BILATERAL,
                location="base",
                severity=Severity.MILD,
                change=Change.UNCHANGED,
            ),
            "Possible mild bilateral atelectasis at the bases, unchanged.",
        ),
        (
            Finding(
                concept="pneumothorax",
                presence=ABSENT,
                laterality=Laterality.LEFT,
                change=Change.RESOLVED,
            ),
            "Resolved left pneumothorax.",
        ),
        (Finding(concept="pacemaker", presence=PRESENT), "Pacemaker in place."),
        (Finding(concept="rare_sign", presence=ABSENT), "No rare sign."),
    ],
)
def test_sentence_for_words_a_finding_like_a_radiologist(finding: Finding, expected: str) -> None:
    """Side, place, severity and change each have a fixed position in the sentence."""
    assert sentence_for(finding) == expected


def test_wording_knows_every_concept_and_place_of_the_vocabulary() -> None:
    """No shipped concept or place falls back to its bare name, and both files name the same region."""
    vocabulary = load_vocabulary()
    assert set(vocabulary.locations) == set(PLACES)
    assert set(vocabulary.concepts) - {"no_finding"} == set(TERM_ORDER)
    for concept in TERM_ORDER:
        assert region_of(concept, vocabulary) == vocabulary.concepts[concept].region


def test_sentence_for_gives_different_findings_different_sentences() -> None:
    """No two findings share a wording, so that each sentence can be read back."""
    seen: dict[str, Finding] = {}
    for finding in every_finding():
        if finding.change is Change.RESOLVED:
            continue  # a resolved finding has the same wording for every presence
        sentence = sentence_for(finding)
        assert sentence not in seen, (seen.get(sentence), finding)
        seen[sentence] = finding


def test_normalised_report_joins_plain_absences_of_a_region() -> None:
    """Plain absences of one region form one sentence, in the order of the terms."""
    report = normalised_report(
        Finding(concept=concept, presence=ABSENT)
        for concept in ("mass", "pneumothorax", "nodule", "pleural_effusion")
    )
    assert report.findings == ("No nodule or mass.", "No pleural effusion or pneumothorax.")
    assert report.impression == ()
    assert report.text == "Findings: No nodule or mass. No pleural effusion or pneumothorax."


def test_normalised_report_says_nothing_that_was_not_said() -> None:
    """A region without a finding is not mentioned, and an empty list of findings is an empty report."""
    assert normalised_report([]).text == ""
    only = normalised_report([Finding(concept="cardiomegaly", presence=ABSENT)])
    assert only.text == "Findings: The cardiac silhouette is normal in size."


def test_normalised_report_merges_a_tube_with_its_malposition() -> None:
    """A malpositioned tube is one statement, in findings and impression alike."""
    place = "right_main_bronchus"
    report = normalised_report(
        Finding(concept=concept, presence=PRESENT, location=place)
        for concept in ("endotracheal_tube", "malpositioned_device")
    )
    sentence = "Malpositioned endotracheal tube in the right main bronchus."
    assert (report.findings, report.impression) == ((sentence,), (sentence,))


def test_normalised_report_keeps_the_order_of_regions_for_any_order_of_findings() -> None:
    """The same findings in any order give the same report, ordered by region."""
    findings = [Finding(concept=concept, presence=PRESENT) for concept in TERM_ORDER]
    report = normalised_report(findings)
    assert normalised_report(reversed(findings)) == report
    regions = [REGION_ORDER.index(region_of(concept, load_vocabulary())) for concept in TERM_ORDER]
    assert regions == sorted(regions)
    assert report.findings == tuple(sentence_for(finding) for finding in findings)


def test_normalised_report_puts_the_most_important_first_into_the_impression() -> None:
    """Present comes before possible, a pneumothorax before cardiomegaly; devices in place are left out."""
    findings = [
        Finding(concept="consolidation", presence=INDETERMINATE),
        Finding(concept="cardiomegaly", presence=PRESENT),
        Finding(concept="pneumothorax", presence=PRESENT, laterality=Laterality.LEFT),
        Finding(concept="pacemaker", presence=PRESENT),
    ]
    assert normalised_report(findings).impression == (
        "Left pneumothorax.",
        "Cardiomegaly.",
        "Possible consolidation.",
    )


def test_normalised_report_states_a_normal_study_only_when_told() -> None:
    """The sentence for a normal study comes only from `no_finding`, never from silence or absences."""
    absent = Finding(concept="pneumothorax", presence=ABSENT)
    normal = Finding(concept="no_finding", presence=PRESENT)
    assert normalised_report([absent]).impression == ()
    assert normalised_report([absent, normal]).impression == (NO_FINDING_SENTENCE,)
