"""The rule lists of the settings: which images are drafted, and which drafts are urgent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from agent.foundation.settings.base import Section


class RoutingSettings(Section):
    """The words and modalities that identify a chest radiograph (`docs/films.md`)."""

    modalities: tuple[str, ...] = Field(
        ("CR", "DX"),
        description="Modalities that are drafted; add RG, XR, OT or DR if chest films come with them.",
    )
    words: dict[str, tuple[str, ...]] = Field(
        {},
        description="A site's own words, by region: `chest: [brustkorb ap]`. They take precedence over ours.",
    )
    vocabulary: Path | None = Field(
        None,
        description="File with further words, in the format of "
        "`agent/objects/films/routing/vocabulary.yaml`. They take precedence over ours, "
        "and `words` over them.",
    )


class PlausibilitySettings(Section):
    """What an image must meet before the network sees it (`docs/films.md`)."""

    least_px: int = Field(256, ge=1, description="Fewest pixels on the shorter side of an image.")


class FindingsSettings(Section):
    """How reports are read (`docs/findings.md`)."""

    vocabulary: Path | None = Field(
        None, description="A hospital's file with further concepts, synonyms, cues, headings and languages."
    )


class EligibilityRule(Section):
    """A rule on one image: the first rule whose conditions all hold decides."""

    name: str = Field(min_length=1, max_length=64, description="Shown as the reason.")
    decision: Literal["accept", "skip"]
    modality: tuple[str, ...] = Field((), description="Modality is one of these.")
    drafted_modality: bool | None = Field(
        None, description="Whether Modality is one of `routing.modalities`."
    )
    region: tuple[str, ...] = Field(
        (),
        description="What the image shows according to its attributes (`docs/films.md`): `chest`, `lungs`, "
        "`ribs`, …, `several`, `contradiction`, `unrecognised`, `other`, `none`; '*' means any but `none`.",
    )
    rank: tuple[Literal["image", "series", "study"], ...] = Field(
        (), description="The attributes that say what the image shows."
    )
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
        None,
        description="Regular expression found in the study, series or protocol description, ignoring case.",
    )

    @field_validator("text")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(f"this is not a regular expression: {error}") from None
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
    EligibilityRule(name="not-a-patient", decision="skip", region=("not_a_patient",)),
    EligibilityRule(name="other-technique", decision="skip", region=("other_technique",)),
    # A chest film of a modality that is not enabled gets a rule name of its own, which `status` shows.
    EligibilityRule(
        name="modality-not-drafted", decision="skip", drafted_modality=False, region=("chest", "lungs")
    ),
    EligibilityRule(name="no-radiograph-modality", decision="skip", drafted_modality=False),
    EligibilityRule(name="chest-body-part", decision="accept", region=("chest",), rank=("image",)),
    EligibilityRule(
        name="chest-by-description", decision="accept", region=("chest",), rank=("series", "study")
    ),
    EligibilityRule(name="lungs", decision="accept", region=("lungs",)),
    EligibilityRule(name="several-regions", decision="skip", region=("several",)),
    EligibilityRule(name="chest-and-abdomen", decision="skip", region=("chest_abdomen",)),
    EligibilityRule(name="babygram", decision="skip", region=("babygram",)),
    EligibilityRule(name="region-contradiction", decision="skip", region=("contradiction",)),
    *(
        EligibilityRule(name=region.replace("_", "-"), decision="skip", region=(region,))
        for region in ("ribs", "sternum", "mediastinum", "heart", "clavicle", "chest_wall")
    ),
    *(
        EligibilityRule(name=region.replace("_", "-"), decision="skip", region=(region,))
        for region in ("thoracic_spine", "abdomen", "shoulder", "breast")
    ),
    EligibilityRule(
        name="other-body-part", decision="skip", region=("other", "unrecognised"), rank=("image",)
    ),
    EligibilityRule(name="other-by-description", decision="skip", region=("other",)),
)


class UrgencyRule(Section):
    """What makes a draft urgent: a finding that fits all of the conditions. The most urgent match counts."""

    name: str = Field(min_length=1, max_length=64, description="Shown with the reason.")
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
