"""The specification of a phantom study: a body, an exposure and the findings drawn into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.findings.types import Finding, Presence

View = Literal["frontal", "lateral"]
Photometric = Literal["MONOCHROME1", "MONOCHROME2"]

# Every concept that a phantom can show; its truth states for each whether it is present or absent.
PHANTOM_CONCEPTS = (
    "endotracheal_tube",
    "central_line",
    "pacemaker",
    "malpositioned_device",
    "widened_mediastinum",
    "consolidation",
    "pulmonary_edema",
    "atelectasis",
    "nodule",
    "mass",
    "cardiomegaly",
    "hilar_enlargement",
    "elevated_diaphragm",
    "pleural_effusion",
    "pneumothorax",
    "rib_fracture",
)
DEVICE_CONCEPTS = frozenset({"endotracheal_tube", "central_line", "pacemaker"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The build and the positioning of one patient. Lengths are fractions of the image's side."""

    sex: Literal["F", "M"]
    age: int  # years, 18 to 95
    chest_width: float  # half the inner width of the thorax, 0.33 to 0.40
    apex: float  # y of the lung apices, 0.08 to 0.14
    diaphragm: float  # y of the dome of the right hemidiaphragm, 0.68 to 0.80
    fat: float  # 0 (thin) to 1 (obese)
    heart_ratio: float  # width of the heart over that of the thorax, 0.41 to 0.47 when not enlarged
    tilt: float  # radians, of the whole body in the image
    rotation: float  # shift of the midline structures against the chest, -0.012 to 0.012
    shift: tuple[float, float]  # of the body in the image, x and y


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """How the film was taken."""

    gain: float  # contrast, 0.85 to 1.15
    level: float  # brightness offset, -0.08 to 0.08
    noise: float  # standard deviation of the quantum noise at 168 px, fraction of full scale


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSpec:
    """One phantom study. `findings` are those present; everything else of `PHANTOM_CONCEPTS` is absent."""

    seed: int
    body: Body
    exposure: Exposure
    photometric: Photometric
    has_lateral: bool
    findings: tuple[Finding, ...]

    @property
    def views(self) -> tuple[View, ...]:
        """The images of the study, the frontal one first."""
        return ("frontal", "lateral") if self.has_lateral else ("frontal",)

    @property
    def truth(self) -> tuple[Finding, ...]:
        """Every phantom concept, present or absent; `no_finding` as well where only devices are present."""
        present = {finding.concept for finding in self.findings}
        absent = [c for c in PHANTOM_CONCEPTS if c not in present]
        normal = ("no_finding",) if present <= DEVICE_CONCEPTS else ()
        return (
            *self.findings,
            *(Finding(concept=concept, presence=Presence.ABSENT) for concept in absent),
            *(Finding(concept=concept, presence=Presence.PRESENT) for concept in normal),
        )

    def find(self, concept: str) -> Finding | None:
        """The finding of a concept, if it is present."""
        return next((finding for finding in self.findings if finding.concept == concept), None)

    def chance(self, *purpose: int | str) -> np.random.Generator:
        """A separate generator for each purpose: drawing one thing never changes the random numbers of
        another.
        """
        return np.random.default_rng([self.seed, *_numbers(purpose)])


def _numbers(purpose: tuple[int | str, ...]) -> Iterator[int]:
    for part in purpose:
        if isinstance(part, int):
            yield part
        else:
            yield int.from_bytes(part.encode()[:8], "little")
