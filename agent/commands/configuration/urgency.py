"""Checks whether the rules of urgency fit to the vocabulary: a rule that misses its finding says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent.commands.configuration.finding import Finding
from agent.foundation.settings.problems import suggestion
from agent.foundation.settings.rules import UrgencyRule
from agent.foundation.settings.tree import Settings

if TYPE_CHECKING:
    from model.findings.vocabulary import Vocabulary


def urgency_findings(settings: Settings, vocabulary: Vocabulary | None) -> Iterator[Finding]:
    """Return what is wrong with the rules; vocabulary: the one in force if None."""
    from model.findings.vocabulary import load_vocabulary

    vocabulary = vocabulary or load_vocabulary()
    shipped_rules = "urgency" not in settings.model_fields_set
    for number, rule in enumerate(settings.urgency):
        known = (
            ("concept", rule.concept, vocabulary.concepts),
            ("location", rule.location, vocabulary.locations),
        )
        for key, words, names in known:
            for word in words:
                if word not in names:
                    text = f"the vocabulary has no {key} {word!r}, so the rule could never match"
                    place = f"urgency[{number}].{key}"
                    yield Finding(place=place, text=text, cure=suggestion(word, names), stops=True)
        yield from _overlaid(f"urgency[{number}].concept", rule, vocabulary, shipped_rules=shipped_rules)


def _overlaid(
    place: str, rule: UrgencyRule, vocabulary: Vocabulary, *, shipped_rules: bool
) -> Iterator[Finding]:
    """A hospital's more specific concept takes texts from one that a rule names: they were urgent before."""
    from model.findings.overlaps import overlaid

    copied = " (copy the shipped rules from `echo-agent config show`)" if shipped_rules else ""
    for concept in rule.concept:
        if concept not in vocabulary.concepts:
            continue
        for other, word in overlaid(concept, vocabulary).items():
            if other not in rule.concept:
                text = (
                    f"the rule {rule.name!r} would miss what findings.vocabulary makes of {word!r}: "
                    f"{other} instead of {concept}"
                )
                cure = f"add {other} to the rule's concepts{copied}, or take {word!r} out of the vocabulary"
                yield Finding(place=place, text=text, cure=cure, stops=True)
