"""Rules of eligibility: what the default rules take and skip, and by which name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from agent.objects.eligibility import NO_IMAGE, NO_RULE, may_accept, select_images

from agent.foundation.settings.tree import DEFAULT_ELIGIBILITY, EligibilityRule
from agent.objects.header import Header

CHEST = Header(
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
    sop_instance_uid="1.2.3.1",
    study_instance_uid="1.2.3",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    modality="CR",
    body_part_examined="CHEST",
)


@pytest.mark.parametrize(
    ("changes", "rule", "accepted"),
    [
        ({}, "chest-body-part", True),
        ({"body_part_examined": "Thorax"}, "chest-body-part", True),
        ({"modality": "DX"}, "chest-body-part", True),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, "chest-body-part", True),
        ({"body_part_examined": "", "anatomic_region": "51185008"}, "chest-anatomic-region", True),
        ({"body_part_examined": "", "anatomic_region": "T-D3000"}, "chest-anatomic-region", True),
        ({"body_part_examined": "", "study_description": "Chest PA"}, "chest-by-description", True),
        ({"body_part_examined": "", "series_description": "CXR lat"}, "chest-by-description", True),
        ({"body_part_examined": "", "protocol_name": "Thorax p.a."}, "chest-by-description", True),
        ({"has_pixel_data": False}, "no-pixel-data", False),
        ({"number_of_frames": 30}, "multi-frame", False),
        ({"presentation_intent_type": "FOR PROCESSING"}, "for-processing", False),
        ({"modality": "CT"}, "not-a-radiograph", False),
        ({"modality": "OT"}, NO_RULE, False),
        ({"modality": ""}, NO_RULE, False),
        ({"body_part_examined": "HIP"}, "other-body-part", False),
        ({"body_part_examined": "HIP", "study_description": "chest"}, "other-body-part", False),
        ({"body_part_examined": "", "anatomic_region": "29836001"}, "other-anatomic-region", False),
        ({"body_part_examined": ""}, NO_RULE, False),
        ({"body_part_examined": "", "study_description": "No Finding"}, NO_RULE, False),
        ({"body_part_examined": "", "study_description": "Orchestra"}, NO_RULE, False),
    ],
)
def test_default_rules_decide(changes: dict[str, Any], rule: str, accepted: bool) -> None:
    """An image is drafted only where something says that it is a chest radiograph."""
    (decision,) = select_images(DEFAULT_ELIGIBILITY, [replace(CHEST, **changes)]).decisions
    assert (decision.rule, decision.accepted) == (rule, accepted)


def test_selection_keeps_the_eligible_images_of_a_mixed_study() -> None:
    """One chest film among others makes the study eligible, with that film only."""
    hip = replace(CHEST, sop_instance_uid="1.2.3.2", body_part_examined="HIP")
    selection = select_images(DEFAULT_ELIGIBILITY, [hip, CHEST])
    assert selection.accepted == (CHEST,)
    assert (
        selection.reason
        == "1 image(s) skipped by rule 'other-body-part'; 1 image(s) taken by rule 'chest-body-part'"
    )


def test_selection_of_nothing_names_that() -> None:
    """A study without an image is skipped for that reason."""
    selection = select_images(DEFAULT_ELIGIBILITY, [])
    assert (selection.accepted, selection.skipping_rule) == ((), NO_IMAGE)


def test_first_matching_rule_decides() -> None:
    """Order is meaning: a later rule is not asked."""
    rules = (
        EligibilityRule(name="no-laterals", decision="skip", view_position=("LL", "RL")),
        EligibilityRule(name="no-view", decision="skip", view_position=("",)),
        EligibilityRule(name="all", decision="accept"),
    )
    images = [replace(CHEST, view_position=view) for view in ("LL", "", "PA")]
    assert [decision.rule for decision in select_images(rules, images).decisions] == [
        "no-laterals",
        "no-view",
        "all",
    ]


def test_without_rules_nothing_is_eligible() -> None:
    """Deny by default."""
    selection = select_images((), [CHEST])
    assert (selection.accepted, selection.skipping_rule) == ((), NO_RULE)


@pytest.mark.parametrize(
    ("modality", "expected"), [("CR", True), ("DX", True), ("CT", False), ("SR", False), ("", False)]
)
def test_modality_alone_tells_what_can_never_be_accepted(modality: str, expected: bool) -> None:
    """What a rule skips whole, or no rule takes, is not waited for."""
    assert may_accept(DEFAULT_ELIGIBILITY, modality) is expected


def test_rule_with_another_condition_skips_no_modality_whole() -> None:
    """A later rule may take what this one lets pass."""
    rules = (
        EligibilityRule(name="laterals", decision="skip", modality=("DX",), view_position=("LL",)),
        EligibilityRule(name="all", decision="accept"),
    )
    assert may_accept(rules, "DX") is True
