"""Rules of eligibility: which images the default rules accept and skip, and by which rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.foundation.settings.tree import EligibilityRule, RoutingSettings, Settings
from agent.objects.films.routing.rules import NO_IMAGE, NO_RULE, Router, router_of
from agent.objects.header import Code, Header

CHEST = Header(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
    sop_instance_uid="1.2.3.1",
    study_instance_uid="1.2.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="CR",
    body_part_examined="CHEST",
)


ROUTER = router_of(Settings())


def coded(value: str, scheme: str) -> tuple[Code, ...]:
    """A sequence with one code without a meaning."""
    return (Code(value=value, scheme=scheme, meaning=""),)


def ruled(*rules: EligibilityRule) -> Router:
    """A router with only these rules."""
    return replace(ROUTER, rules=rules)


@pytest.mark.parametrize(
    ("changes", "rule", "accepted"),
    [
        ({}, "chest-body-part", True),
        ({"body_part_examined": "Thorax"}, "chest-body-part", True),
        ({"modality": "DX"}, "chest-body-part", True),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, "chest-body-part", True),
        ({"body_part_examined": "", "anatomic_regions": coded("51185008", "SCT")}, "chest-body-part", True),
        ({"body_part_examined": "", "anatomic_regions": coded("T-D3000", "SRT")}, "chest-body-part", True),
        ({"body_part_examined": "", "study_description": "Chest PA"}, "chest-by-description", True),
        ({"body_part_examined": "", "series_description": "CXR lat"}, "chest-by-description", True),
        ({"body_part_examined": "", "protocol_name": "Thorax p.a."}, "chest-by-description", True),
        ({"has_pixel_data": False}, "no-pixel-data", False),
        ({"number_of_frames": 30}, "multi-frame", False),
        ({"presentation_intent_type": "FOR PROCESSING"}, "for-processing", False),
        ({"modality": "CT"}, "not-a-radiograph", False),
        ({"modality": "OT"}, "modality-not-drafted", False),
        ({"modality": ""}, "modality-not-drafted", False),
        ({"body_part_examined": "HIP"}, "other-body-part", False),
        ({"body_part_examined": "HIP", "study_description": "chest"}, "other-body-part", False),
        ({"body_part_examined": "", "anatomic_regions": coded("29836001", "SCT")}, "other-body-part", False),
        ({"body_part_examined": ""}, NO_RULE, False),
        ({"body_part_examined": "", "study_description": "No Finding"}, NO_RULE, False),
        ({"body_part_examined": "", "study_description": "Orchestra"}, NO_RULE, False),
    ],
)
def test_default_rules_decide(changes: dict[str, Any], rule: str, accepted: bool) -> None:
    """An image is drafted only if an attribute says that it is a chest radiograph."""
    decision = ROUTER.decide(replace(CHEST, **changes))
    assert (decision.rule, decision.accepted) == (rule, accepted)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"body_part_examined": "RIBS"}, "ribs"),
        ({"body_part_examined": "MEDIASTINUM"}, "mediastinum"),
        ({"body_part_examined": "STERNUM"}, "sternum"),
        ({"body_part_examined": "CLAVICLE"}, "clavicle"),
        ({"body_part_examined": "ABDOMEN"}, "abdomen"),
        ({"body_part_examined": "TSPINE"}, "thoracic-spine"),
        ({"body_part_examined": "SHOULDER"}, "shoulder"),
        ({"body_part_examined": "CHESTABDOMEN"}, "chest-and-abdomen"),
        ({"body_part_examined": "BABYGRAM"}, "babygram"),
        ({"body_part_examined": "BREAST"}, "breast"),
        ({"body_part_examined": "CHEST WALL"}, "chest-wall"),
        ({"body_part_examined": "CHEST\\KNEE"}, "several-regions"),
        ({"series_description": "Abdomen AP"}, "region-contradiction"),
        ({"body_part_examined": "", "study_description": "XR Chest", "series_description": "Hand"},
         "other-by-description"),
        ({"body_part_examined": "QWERTZ", "study_description": "XR Chest"}, "other-body-part"),
        ({"body_part_examined": "QWERTZ"}, "other-body-part"),
    ],
)  # fmt: skip
def test_each_region_has_a_rule_of_its_own(changes: dict[str, Any], rule: str) -> None:
    """Each skipped image is skipped by a rule that names the reason."""
    decision = ROUTER.decide(replace(CHEST, **changes))
    assert (decision.rule, decision.accepted, decision.for_words) == (rule, False, True)


@pytest.mark.parametrize("modality", ["RG", "XR", "OT", "DR"])
def test_another_modality_can_be_switched_on(modality: str) -> None:
    """A chest film of another modality is skipped by a named rule until the site's settings include it."""
    image = replace(CHEST, modality=modality)
    on = router_of(Settings(routing=RoutingSettings(modalities=("CR", "DX", modality))))
    assert ROUTER.decide(image).rule == "modality-not-drafted"
    assert (on.decide(image).rule, on.may_accept(modality)) == ("chest-body-part", True)


def test_selection_keeps_the_eligible_images_of_a_mixed_study() -> None:
    """One chest film among other images makes the study eligible, with that film only."""
    hip = replace(CHEST, sop_instance_uid="1.2.3.2", body_part_examined="HIP")
    selection = ROUTER.select([hip, CHEST])
    assert selection.accepted == (CHEST,)
    assert (
        selection.reason
        == "1 image(s) skipped by rule 'other-body-part'; 1 image(s) accepted by rule 'chest-body-part'"
    )


def test_selection_of_nothing_names_that() -> None:
    """A study without an image is skipped for that reason."""
    selection = ROUTER.select([])
    assert (selection.accepted, selection.skipping_rule) == ((), NO_IMAGE)


def test_first_matching_rule_decides() -> None:
    """Rules are applied in order: once one matches, later rules are not applied."""
    router = ruled(
        EligibilityRule(name="no-laterals", decision="skip", view_position=("LL", "RL")),
        EligibilityRule(name="no-view", decision="skip", view_position=("",)),
        EligibilityRule(name="all", decision="accept"),
    )
    images = [replace(CHEST, view_position=view) for view in ("LL", "", "PA")]
    assert [one.rule for one in router.select(images).decisions] == ["no-laterals", "no-view", "all"]


def test_without_rules_nothing_is_eligible() -> None:
    """Images are denied by default."""
    selection = ruled().select([CHEST])
    assert (selection.accepted, selection.skipping_rule) == ((), NO_RULE)


@pytest.mark.parametrize(
    ("modality", "expected"),
    [("CR", True), ("DX", True), ("CT", False), ("SR", False), ("XR", False), ("", False)],
)
def test_modality_alone_tells_what_can_never_be_accepted(modality: str, expected: bool) -> None:
    """A modality that a rule always skips, or that no rule accepts, is not waited for."""
    assert ROUTER.may_accept(modality) is expected


def test_rule_with_another_condition_skips_no_modality_whole() -> None:
    """A later rule may accept what this one does not match."""
    router = ruled(
        EligibilityRule(name="laterals", decision="skip", modality=("DX",), view_position=("LL",)),
        EligibilityRule(name="all", decision="accept"),
    )
    assert router.may_accept("DX") is True
