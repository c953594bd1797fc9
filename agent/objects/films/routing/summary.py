"""Summarises many decisions: how many images were skipped, by which rules and words, and the words to
add. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml

from agent.objects.films.routing.region import UNRECOGNISED
from agent.objects.films.routing.rules import NO_RULE

MODALITY_RULE = "modality-not-drafted"
_WORDS_SHOWN = 8
# If more than this share of a sender's images is skipped for their words, a person should look.
NOTABLE_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """One image that was skipped for what its attributes say about the region.

    words: the attribute that decided; empty if none says anything. region: the region read from it.
    """

    rule: str
    words: str
    region: str
    modality: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSummary:
    """Images that one rule skipped, with the words that they were skipped for, the most frequent first."""

    rule: str
    count: int
    words: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A folder, or a sender's last days: the images checked, those skipped for their words, and what to add.

    lines: for `config.yaml`, if all of these images show a chest; empty if nothing can be proposed.
    """

    images: int
    rules: Sequence[RuleSummary]
    lines: str

    @property
    def skipped(self) -> int:
        """Images skipped for words."""
        return sum(one.count for one in self.rules)

    @property
    def notable(self) -> bool:
        """Whether more than a tenth of the images were skipped for words."""
        return self.skipped > NOTABLE_SHARE * self.images

    @property
    def texts(self) -> tuple[str, ...]:
        """One line for each rule: "417 of 500 skipped by `other-body-part`: PORT CHEST 380, …"."""
        return tuple(
            f"{one.count} of {self.images} skipped by `{one.rule}`: "
            + ", ".join(f"{words or '(nothing stated)'} {count}" for words, count in one.words[:_WORDS_SHOWN])
            + (", …" if len(one.words) > _WORDS_SHOWN else "")
            for one in self.rules
        )


def summarise(images: int, skipped: Iterable[Skipped]) -> Summary:
    """Summarise what was skipped for its words among `images` images."""
    found = list(skipped)
    by_rule = Counter(one.rule for one in found)
    rules = tuple(
        RuleSummary(
            rule=rule,
            count=count,
            words=tuple(Counter(one.words for one in found if one.rule == rule).most_common()),
        )
        for rule, count in by_rule.most_common()
    )
    return Summary(images=images, rules=rules, lines=_proposal(found))


def _proposal(skipped: Sequence[Skipped]) -> str:
    """Return the lines for `config.yaml` that would accept the words not understood and the modalities not
    enabled."""
    words = Counter(
        one.words
        for one in skipped
        if one.words and (one.region == UNRECOGNISED or (one.rule == NO_RULE and one.region == "none"))
    )
    modalities = sorted({one.modality for one in skipped if one.rule == MODALITY_RULE and one.modality})
    routing: dict[str, object] = {}
    if words:
        routing["words"] = {"chest": [one for one, _count in words.most_common(_WORDS_SHOWN)]}
    if modalities:
        routing["modalities"] = ["CR", "DX", *(one for one in modalities if one not in ("CR", "DX"))]
    return (
        yaml.safe_dump({"routing": routing}, allow_unicode=True, default_flow_style=None) if routing else ""
    )
