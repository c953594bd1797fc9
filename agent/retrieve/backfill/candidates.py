"""Applies the routing rules to an archive's answers: which studies are worth retrieving. Pure.

Once the images are here, the gate decides on the images themselves; this only leaves in the archive what the
gate would certainly skip. A value that the archive does not state never excludes a study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.foundation.settings.rules import EligibilityRule
from agent.network.query_scu import FoundSeries, ListedStudy
from agent.objects.films.routing.evidence import Rank
from agent.objects.films.routing.region import CHEST_ABDOMEN, CONTRADICTION, NONE, SEVERAL, UNRECOGNISED
from agent.objects.films.routing.rules import Router, RoutingDecision
from agent.objects.header import Header

NO_SUCH_MODALITY = "no-eligible-modality"
# Regions that an image's own attributes may still change to the chest.
_OPEN = frozenset({SEVERAL, CHEST_ABDOMEN, CONTRADICTION, UNRECOGNISED, NONE, "heart", "mediastinum"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The series to retrieve; if there are none, the rule that excluded them."""

    series: tuple[FoundSeries, ...]
    rule: str | None


def judge_study(study: ListedStudy, router: Router, *, trust_description: bool) -> str | None:
    """Return the rule that excludes a listed study, or None if it may be retrieved.

    A description that names another region counts only if descriptions are trusted: a study "XR hand" may
    contain a chest film, whose own attributes the archive has not stated yet.
    """
    if study.modalities and not any(router.may_accept(one) for one in study.modalities):
        return NO_SUCH_MODALITY
    if not trust_description or not study.study_description:
        return None
    modalities = [one for one in study.modalities if router.may_accept(one)] or ["DX"]
    decisions = [router.decide(_header(one, study_description=study.study_description)) for one in modalities]
    return decisions[0].rule if all(_is_final(one, router) for one in decisions) else None


def wanted_series(series: Sequence[FoundSeries], router: Router) -> Wanted:
    """Return the series of a study that may hold an image to be drafted."""
    eligible = [one for one in series if not one.modality or router.may_accept(one.modality)]
    if not eligible:
        return Wanted(series=(), rule=NO_SUCH_MODALITY)
    refused = {one.series_instance_uid: _refusal(one, router) for one in eligible}
    wanted = tuple(one for one in eligible if refused[one.series_instance_uid] is None)
    rule = None if wanted else refused[eligible[0].series_instance_uid]
    return Wanted(series=wanted, rule=rule)


def _refusal(series: FoundSeries, router: Router) -> str | None:
    """Return the rule that would skip every image of a series, given what the series states."""
    if not series.modality:
        return None
    decision = router.decide(
        _header(
            series.modality,
            body_part_examined=series.body_part_examined,
            series_description=series.series_description,
            protocol_name=series.protocol_name,
        )
    )
    spoken = decision.region.rank in (Rank.IMAGE, Rank.SERIES)
    return decision.rule if spoken and _is_final(decision, router) else None


def _is_final(decision: RoutingDecision, router: Router) -> bool:
    """Whether the image's other attributes could not change a refusal."""
    if decision.accepted or not decision.region.decisive or decision.region.name in _OPEN:
        return False
    for rule in router.rules:
        if rule.name == decision.rule:
            return True
        if rule.decision == "accept" and _asks_the_image(rule):
            return False
    return True


def _asks_the_image(rule: EligibilityRule) -> bool:
    """Whether a rule depends on attributes that an archive's answers do not state."""
    asked = (rule.anatomic_region, rule.view_position, rule.sop_class, rule.intent, rule.text, rule.body_part)
    return any(asked) or rule.pixel_data is not None or rule.multi_frame is not None


def _header(
    modality: str,
    *,
    study_description: str = "",
    body_part_examined: str = "",
    series_description: str = "",
    protocol_name: str = "",
) -> Header:
    """Return the header of an image about which nothing else is known."""
    return Header(
        sop_class_uid="",
        sop_instance_uid="",
        study_instance_uid="",
        transfer_syntax_uid="",
        modality=modality,
        presentation_intent_type="FOR PRESENTATION",
        study_description=study_description,
        body_part_examined=body_part_examined,
        series_description=series_description,
        protocol_name=protocol_name,
    )
