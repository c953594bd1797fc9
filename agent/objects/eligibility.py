"""Which images of a study may be drafted: a rule list, first match decides, and its name is the reason.

Pure: headers and rules in, a selection out. Without a rule that accepts it, an image is skipped, because
a draft of something that is no chest radiograph is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.foundation.settings.tree import EligibilityRule
from agent.objects.header import Header

NO_RULE = "chest-not-established"
NO_IMAGE = "no-image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one image's first matching rule says."""

    header: Header
    rule: str
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The decisions on a study's images, in the order in which the images were given."""

    decisions: tuple[Decision, ...]

    @property
    def accepted(self) -> tuple[Header, ...]:
        """The images to draft from."""
        return tuple(decision.header for decision in self.decisions if decision.accepted)

    @property
    def skipping_rule(self) -> str:
        """The rule that the study is skipped by: the first image's, or why there is none."""
        skipped = [decision.rule for decision in self.decisions if not decision.accepted]
        return skipped[0] if skipped else NO_IMAGE

    @property
    def reason(self) -> str:
        """The decisions in words, without anything of the patient."""
        counted: dict[str, int] = {}
        for decision in self.decisions:
            text = f"{'taken' if decision.accepted else 'skipped'} by rule '{decision.rule}'"
            counted[text] = counted.get(text, 0) + 1
        return "; ".join(f"{count} image(s) {text}" for text, count in counted.items()) or "no image arrived"


def select_images(rules: Sequence[EligibilityRule], headers: Sequence[Header]) -> Selection:
    """Decide on each image of a study."""
    return Selection(decisions=tuple(_decide(rules, header) for header in headers))


def may_accept(rules: Sequence[EligibilityRule], modality: str) -> bool:
    """Whether an image of which only the modality is known may be accepted."""
    for rule in rules:
        if not _one_of(rule.modality, modality):
            continue
        if rule.decision == "accept":
            return True
        if rule == EligibilityRule(name=rule.name, decision="skip", modality=rule.modality):
            return False  # it skips the modality whole
    return False


def _decide(rules: Sequence[EligibilityRule], header: Header) -> Decision:
    for rule in rules:
        if _matches(rule, header):
            return Decision(header=header, rule=rule.name, accepted=rule.decision == "accept")
    return Decision(header=header, rule=NO_RULE, accepted=False)


def _matches(rule: EligibilityRule, header: Header) -> bool:
    texts = (header.study_description, header.series_description, header.protocol_name)
    return (
        _one_of(rule.modality, header.modality)
        and _one_of(rule.body_part, header.body_part_examined)
        and _one_of(rule.anatomic_region, header.anatomic_region)
        and _one_of(rule.view_position, header.view_position)
        and _one_of(rule.sop_class, header.sop_class_uid)
        and _one_of(rule.intent, header.presentation_intent_type)
        and rule.pixel_data in (None, header.has_pixel_data)
        and rule.multi_frame in (None, header.number_of_frames > 1)
        and (rule.text is None or any(re.search(rule.text, text, re.IGNORECASE) for text in texts))
    )


def _one_of(listed: tuple[str, ...], value: str) -> bool:
    if not listed:
        return True
    if value and "*" in listed:
        return True
    return value.casefold() in (one.casefold() for one in listed)
