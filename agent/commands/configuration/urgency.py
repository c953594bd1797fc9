"""Checks whether the rules of urgency fit to the vocabulary: a rule that misses its finding says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agent.commands.configuration.finding import Finding
from agent.foundation.settings.problems import suggestion
from agent.foundation.settings.tree import Settings

if TYPE_CHECKING:
    from model.findings.vocabulary import Vocabulary


def urgency_findings(settings: Settings, vocabulary: Vocabulary | None) -> Iterator[Finding]:
    """Return what is wrong with the rules; vocabulary: the one in force if None."""
    from model.findings.overlaps import overlaid_concept, overlaid_location
    from model.findings.vocabulary import load_vocabulary

    vocabulary = vocabulary or load_vocabulary()
    copied = (
        "" if "urgency" in settings.model_fields_set else " (copy the rules from `echo-agent config show`)"
    )
    for number, rule in enumerate(settings.urgency):
        known = (
            ("concept", rule.concept, vocabulary.concepts, overlaid_concept),
            ("location", rule.location, vocabulary.locations, overlaid_location),
        )
        for key, words, names, overlaid in known:
            place = f"urgency[{number}].{key}"
            for word in words:
                if word not in names:
                    text = f"the vocabulary has no {key} {word!r}, so the rule could never match"
                    yield Finding(place=place, text=text, cure=suggestion(word, names), stops=True)
                else:
                    instead = overlaid(word, vocabulary)
                    yield from _missed(
                        place, word, words, instead, f"{key}s of the rule {rule.name!r}{copied}"
                    )


def _missed(
    place: str, word: str, named: Sequence[str], instead: dict[str, str], where: str
) -> Iterator[Finding]:
    """A hospital's more specific words take texts from what a rule names: those texts were urgent before."""
    for other, term in instead.items():
        if other not in named:
            text = (
                f"findings.vocabulary reads {term!r} as {other} instead of {word}, and the rule would miss it"
            )
            cure = f"add {other} to the {where}, or take {term!r} out of the vocabulary"
            yield Finding(place=place, text=text, cure=cure, stops=True)
