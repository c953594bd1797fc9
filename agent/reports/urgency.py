"""Decides which draft a radiologist should see first, and why: a rule list applied to its findings. Pure.

A priority only orders: it never hides a study, and the reason is always shown with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.foundation.settings.tree import UrgencyRule
from model.findings.types import Finding

ROUTINE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """A draft's priority (smaller first), with the rule and the findings that determined it."""

    level: str
    priority: int
    rule: str
    reason: str


def assess(findings: Sequence[Finding], rules: Iterable[UrgencyRule]) -> Assessment | None:
    """Return the most urgent rule that a finding meets, the first in the list among equals; None if none.

    The reason names all of the findings that meet the rule, so that it can stand alone in a worklist.
    """
    best: Assessment | None = None
    for rule in rules:
        met = [finding for finding in findings if _meets(finding, rule)]
        if met and (best is None or rule.priority < best.priority):
            words = dict.fromkeys(describe_finding(finding) for finding in met)
            best = Assessment(
                level=rule.level, priority=rule.priority, rule=rule.name, reason=", ".join(words)
            )
    return best


def describe_finding(finding: Finding) -> str:
    """Return a finding in a few words, such as `possible left pneumothorax (moderate)`."""
    words = [] if finding.presence == "present" else ["possible"]
    if finding.laterality is not None:
        words.append(str(finding.laterality))
    words.append(finding.concept.replace("_", " "))
    attributes = [finding.severity, finding.location, finding.change]
    aside = ", ".join(str(value).replace("_", " ") for value in attributes if value is not None)
    return " ".join(words) + (f" ({aside})" if aside else "")


def _meets(finding: Finding, rule: UrgencyRule) -> bool:
    return (
        finding.concept in rule.concept
        and str(finding.presence) in rule.presence
        and (not rule.severity or (finding.severity is not None and str(finding.severity) in rule.severity))
        and (not rule.location or finding.location in rule.location)
        and (finding.change is None or str(finding.change) not in rule.except_change)
    )
