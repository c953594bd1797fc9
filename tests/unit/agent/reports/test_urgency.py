"""What makes a draft urgent."""

from __future__ import annotations

import pytest

from agent.foundation.settings.tree import DEFAULT_URGENCY, UrgencyRule
from agent.reports.urgency import Assessment, assess, describe_finding
from model.findings.types import Change, Finding, Laterality, Presence, Severity


def finding(concept: str, presence: Presence = Presence.PRESENT, **attributes: object) -> Finding:
    """One finding."""
    return Finding(concept=concept, presence=presence, **attributes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("findings", "rule"),
    [
        ((), None),
        ((finding("cardiomegaly"),), None),
        ((finding("pneumothorax", Presence.ABSENT),), None),
        ((finding("pneumothorax"),), "pneumothorax"),
        ((finding("pneumothorax", change=Change.RESOLVED),), None),
        ((finding("pneumothorax", Presence.INDETERMINATE),), "possible-pneumothorax"),
        ((finding("pneumoperitoneum"),), "free-air"),
        ((finding("malpositioned_device"),), "malpositioned-device"),
        ((finding("endotracheal_tube", location="carina"),), None),
        ((finding("endotracheal_tube", location="right_main_bronchus"),), "tube-in-bronchus"),
        ((finding("pleural_effusion"),), None),
        ((finding("pleural_effusion", severity=Severity.MILD),), None),
        ((finding("pleural_effusion", severity=Severity.SEVERE),), "large-effusion"),
        ((finding("pleural_effusion", severity=Severity.SEVERE), finding("pneumothorax")), "pneumothorax"),
    ],
)
def test_urgency_of_the_default_rules(findings: tuple[Finding, ...], rule: str | None) -> None:
    """Dangerous findings are urgent if present, but not if absent, resolved or small; the most urgent rule
    counts.
    """
    found = assess(findings, DEFAULT_URGENCY)
    assert (found.rule if found else None) == rule


def test_urgency_reason_names_every_finding_of_the_rule() -> None:
    """The reason is understandable on its own."""
    found = assess(
        (
            finding("pneumothorax", laterality=Laterality.LEFT, severity=Severity.MODERATE),
            finding("pneumothorax", laterality=Laterality.RIGHT),
        ),
        DEFAULT_URGENCY,
    )
    assert found == Assessment(
        level="critical",
        priority=5,
        rule="pneumothorax",
        reason="left pneumothorax (moderate), right pneumothorax",
    )


def test_urgency_without_rules_is_none() -> None:
    """A hospital may have no rules."""
    assert assess((finding("pneumothorax"),), ()) is None


def test_urgency_first_rule_wins_among_equals() -> None:
    """Of two rules of one priority the first in the list counts."""
    rules = [UrgencyRule(name=name, concept=("mass",), level="urgent", priority=9) for name in ("a", "b")]
    found = assess((finding("mass"),), rules)
    assert found is not None
    assert found.rule == "a"


def test_description_says_when_a_finding_is_only_possible() -> None:
    """Uncertainty is never dropped."""
    words = describe_finding(finding("nodule", Presence.INDETERMINATE, location="upper_zone"))
    assert words == "possible nodule (upper zone)"
