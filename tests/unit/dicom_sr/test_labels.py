"""Series descriptions and summary lines."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from dicom_sr import labels
from dicom_sr.values import Algorithm, DraftContent, Outcome, Urgency

OUTCOMES: tuple[Outcome, ...] = ("not_attempted", "failed", "rejected")


def test_every_series_description_fits_its_attribute(algorithm: Algorithm) -> None:
    """At most 64 bytes for every model and urgency; A and B can be told apart."""
    urgencies = [
        None,
        *(Urgency(level=level, reason="r" * n) for level in ("stat", "x" * 40) for n in (3, 90)),
    ]
    for demonstration, urgency in product((True, False), urgencies):
        model = replace(algorithm, demonstration=demonstration)
        pairs = [
            (labels.report_description(model, urgency), labels.findings_description(model, urgency)),
            (labels.verified_report_description(model), labels.verified_findings_description(model)),
            *(
                (
                    labels.rejection_report_description(model, outcome),
                    labels.rejection_findings_description(model, outcome),
                )
                for outcome in OUTCOMES
            ),
        ]
        for report, findings in pairs:
            assert report != findings
            assert max(len(report.encode()), len(findings.encode())) <= labels.SERIES_DESCRIPTION_BYTES


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("pneumothorax", "AI PRE-DRAFT report (unverified) STAT: pneumothorax"),
        ("large left pneumothorax with shift", "AI PRE-DRAFT report (unverified) STAT"),
    ],
)
def test_urgency_is_shown_with_its_reason_where_there_is_room(
    algorithm: Algorithm, reason: str, expected: str
) -> None:
    """Half a reason misleads: it is shown in full or only in the Summary."""
    assert labels.report_description(algorithm, Urgency(level="stat", reason=reason)) == expected


def test_summary_names_the_origin_and_warns(algorithm: Algorithm, content: DraftContent) -> None:
    """Unverified, priority, flags, algorithm, notes, in this order."""
    draft = replace(content, urgency=Urgency(level="stat", reason="free air"), flags=("One view.",))
    assert labels.summary_lines(algorithm, draft, 2, ("A note.",)) == (
        labels.UNVERIFIED,
        "Priority STAT: free air",
        "Please note: One view.",
        "Algorithm: ECHO 1.2.3, ECHO Agent, weights 0123456789ab; report revision 2.",
        "A note.",
    )
