"""Decides which images of a study may be drafted: in a rule list the first match decides, and its name is the
reason.

Pure: headers, rules and vocabulary in, a selection out. Without a rule that accepts it, an image is skipped,
because a draft of an image that is not a chest radiograph is worse than none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.foundation.settings.rules import EligibilityRule
from agent.foundation.settings.tree import Settings
from agent.objects.films.routing import vocabulary as words
from agent.objects.films.routing.evidence import evidence_of
from agent.objects.films.routing.region import NONE, Region, region_of
from agent.objects.films.routing.vocabulary import Vocabulary
from agent.objects.header import Header

NO_RULE = "chest-not-established"
NO_IMAGE = "no-image"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingDecision:
    """The decision of the first rule that matches an image, and the region stated in its attributes."""

    header: Header
    rule: str
    accepted: bool
    region: Region

    @property
    def words(self) -> str:
        """The attribute that the decision is based on, as it was sent: the value for a site's rule."""
        return self.region.decisive[0].value if self.region.decisive else ""

    @property
    def for_words(self) -> bool:
        """Whether the image was skipped for what its attributes say, or do not say, about the region."""
        return not self.accepted and (self.rule == NO_RULE or bool(self.region.decisive))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The decisions on a study's images, in the order in which the images were given."""

    decisions: tuple[RoutingDecision, ...]

    @property
    def accepted(self) -> tuple[Header, ...]:
        """The images to draft from."""
        return tuple(decision.header for decision in self.decisions if decision.accepted)

    @property
    def skipping_rule(self) -> str:
        """The rule that skipped the study: the first image's, or the reason why there is none."""
        skipped = [decision.rule for decision in self.decisions if not decision.accepted]
        return skipped[0] if skipped else NO_IMAGE

    @property
    def reason(self) -> str:
        """The decisions in words, without patient data."""
        counted = Counter(
            f"{'accepted' if decision.accepted else 'skipped'} by rule '{decision.rule}'"
            for decision in self.decisions
        )
        return "; ".join(f"{count} image(s) {text}" for text, count in counted.items()) or "no image arrived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """A site's rules, with the words and modalities that they refer to."""

    rules: tuple[EligibilityRule, ...]
    vocabulary: Vocabulary
    modalities: frozenset[str]

    def select(self, headers: Sequence[Header]) -> Selection:
        """Decide on each image of a study."""
        return Selection(decisions=tuple(self.decide(header) for header in headers))

    def decide(self, header: Header) -> RoutingDecision:
        """Decide on one image."""
        region = region_of(evidence_of(header, self.vocabulary))
        for rule in self.rules:
            if self._matches(rule, header, region):
                accepted = rule.decision == "accept"
                return RoutingDecision(header=header, rule=rule.name, accepted=accepted, region=region)
        return RoutingDecision(header=header, rule=NO_RULE, accepted=False, region=region)

    def may_accept(self, modality: str) -> bool:
        """Whether an image with only a known modality may be accepted."""
        for rule in self.rules:
            if not (_one_of(rule.modality, modality) and self._switched_on(rule, modality)):
                continue
            if rule.decision == "accept":
                return True
            plain = EligibilityRule(
                name=rule.name,
                decision="skip",
                modality=rule.modality,
                drafted_modality=rule.drafted_modality,
            )
            if rule == plain:
                return False  # it skips the whole modality
        return False

    def _switched_on(self, rule: EligibilityRule, modality: str) -> bool:
        return rule.drafted_modality in (None, modality.strip().upper() in self.modalities)

    def _matches(self, rule: EligibilityRule, header: Header, region: Region) -> bool:
        texts = (header.study_description, header.series_description, header.protocol_name)
        rank = "" if region.rank is None else region.rank.name.lower()
        return (
            _one_of(rule.modality, header.modality)
            and self._switched_on(rule, header.modality)
            and _one_of(rule.region, region.name)
            and _one_of(rule.rank, rank)
            and _one_of(rule.body_part, header.body_part_examined)
            and _one_of(rule.anatomic_region, header.anatomic_region)
            and _one_of(rule.view_position, header.view_position)
            and _one_of(rule.sop_class, header.sop_class_uid)
            and _one_of(rule.intent, header.presentation_intent_type)
            and rule.pixel_data in (None, header.has_pixel_data)
            and rule.multi_frame in (None, header.number_of_frames > 1)
            and (rule.text is None or any(re.search(rule.text, text, re.IGNORECASE) for text in texts))
        )


def router_of(settings: Settings) -> Router:
    """Return the router for the settings.

    Raises:
        SettingsError: the site's vocabulary cannot be used.
    """
    routing = settings.routing
    return Router(
        rules=settings.eligibility,
        vocabulary=words.load(routing.vocabulary, routing.words),
        modalities=frozenset(one.strip().upper() for one in routing.modalities),
    )


def _one_of(listed: tuple[str, ...], value: str) -> bool:
    if not listed:
        return True
    if value and value != NONE and "*" in listed:
        return True
    return value.casefold() in (one.casefold() for one in listed)
