"""The rule lists of the settings: which images are drafted, and which drafts are urgent."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from agent.foundation.settings.base import Section


class EligibilityRule(Section):
    """A rule on one image: the first rule whose conditions all hold decides."""

    name: str = Field(min_length=1, max_length=64, description="Shown as the reason.")
    decision: Literal["accept", "skip"]
    modality: tuple[str, ...] = Field((), description="Modality is one of these.")
    body_part: tuple[str, ...] = Field(
        (), description="BodyPartExamined is one of these; '' means empty, '*' any value."
    )
    anatomic_region: tuple[str, ...] = Field(
        (), description="AnatomicRegionSequence's code is one of these; '*' means any code."
    )
    view_position: tuple[str, ...] = Field(
        (), description="ViewPosition is one of these; '' means empty, '*' any value."
    )
    sop_class: tuple[str, ...] = Field((), description="SOPClassUID is one of these.")
    intent: tuple[str, ...] = Field((), description="PresentationIntentType is one of these.")
    pixel_data: bool | None = Field(None, description="Whether the object has pixel data.")
    multi_frame: bool | None = Field(None, description="Whether the object has more than one frame.")
    text: str | None = Field(
        None, description="Regular expression found in the study, series or protocol description, any case."
    )

    @field_validator("text")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        if value is not None:
            re.compile(value)
        return value


DEFAULT_ELIGIBILITY = (
    EligibilityRule(name="no-pixel-data", decision="skip", pixel_data=False),
    EligibilityRule(name="multi-frame", decision="skip", multi_frame=True),
    EligibilityRule(name="for-processing", decision="skip", intent=("FOR PROCESSING",)),
    EligibilityRule(
        name="not-a-radiograph",
        decision="skip",
        modality=("CT", "MR", "US", "NM", "PT", "XA", "RF", "MG", "SR", "PR", "KO", "SEG", "DOC", "RTPLAN"),
    ),
    EligibilityRule(
        name="chest-body-part",
        decision="accept",
        modality=("CR", "DX"),
        body_part=("CHEST", "THORAX", "LUNG"),
    ),
    EligibilityRule(name="other-body-part", decision="skip", modality=("CR", "DX"), body_part=("*",)),
    EligibilityRule(
        name="chest-anatomic-region",
        decision="accept",
        modality=("CR", "DX"),
        # Thorax, chest and lung in SNOMED CT and in its older form.
        anatomic_region=("51185008", "T-D3000", "43799004", "39607008", "T-28000"),
    ),
    EligibilityRule(
        name="other-anatomic-region", decision="skip", modality=("CR", "DX"), anatomic_region=("*",)
    ),
    EligibilityRule(
        name="chest-by-description",
        decision="accept",
        modality=("CR", "DX"),
        text=r"\b(chest|thorax|cxr|lungs?)\b",
    ),
)


class UrgencyRule(Section):
    """What makes a draft urgent: a finding that fits all of the conditions. The most urgent match counts."""

    name: str = Field(min_length=1, max_length=64, description="Shown beside the reason.")
    concept: tuple[str, ...] = Field(min_length=1, description="Keys of the findings' vocabulary.")
    presence: tuple[Literal["present", "indeterminate"], ...] = Field(
        ("present",), description="How sure the draft is of the finding."
    )
    severity: tuple[Literal["mild", "moderate", "severe"], ...] = Field(
        (), description="Severity is one of these; any, or none stated, when left out."
    )
    location: tuple[str, ...] = Field((), description="Location is one of these keys of the vocabulary.")
    except_change: tuple[Literal["new", "increased", "decreased", "unchanged", "resolved"], ...] = Field(
        (), description="Not when the finding is said to have changed in one of these ways."
    )
    level: Literal["critical", "urgent"] = Field(description="Word in worklist and documents.")
    priority: int = Field(ge=0, le=49, description="Smaller goes first; 0 STAT, 50 is a routine draft.")


DEFAULT_URGENCY = (
    UrgencyRule(
        name="pneumothorax",
        concept=("pneumothorax",),
        except_change=("resolved",),
        level="critical",
        priority=5,
    ),
    UrgencyRule(
        name="free-air",
        concept=("pneumoperitoneum",),
        except_change=("resolved",),
        level="critical",
        priority=5,
    ),
    UrgencyRule(name="malpositioned-device", concept=("malpositioned_device",), level="critical", priority=5),
    UrgencyRule(
        name="tube-in-bronchus",
        concept=("endotracheal_tube",),
        location=("right_main_bronchus",),
        level="critical",
        priority=5,
    ),
    UrgencyRule(name="tension-signs", concept=("tracheal_deviation",), level="urgent", priority=15),
    UrgencyRule(
        name="large-effusion",
        concept=("pleural_effusion",),
        severity=("severe",),
        level="urgent",
        priority=20,
    ),
    UrgencyRule(
        name="wide-mediastinum",
        concept=("widened_mediastinum", "pneumomediastinum"),
        level="urgent",
        priority=20,
    ),
    UrgencyRule(
        name="possible-pneumothorax",
        concept=("pneumothorax", "pneumoperitoneum"),
        presence=("indeterminate",),
        level="urgent",
        priority=25,
    ),
)
