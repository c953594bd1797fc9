"""The effect of findings on the lungs in the frontal view: they remove air, add air, or add density."""

from __future__ import annotations

import numpy as np

from model.findings.types import Finding
from model.phantom import lesions
from model.phantom.canvas import Field, step
from model.phantom.chest import GRADE, Chest, Lung, affects
from model.phantom.spec import PhantomSpec

# Distance of the pleural line from the chest wall, and from the apex, by severity.
_GAP, _DROP = (0.034, 0.082, 0.165), (0.062, 0.125, 0.205)
_FLUID_TOP = (0.072, -0.075, -0.29)  # y of the fluid at the mediastinum, from the dome, by severity
_FLUID_RISE = (0.075, 0.085, 0.10)  # how far it climbs at the chest wall


def alter_lungs(spec: PhantomSpec, chest: Chest, air: Field, markings: Field) -> Field:
    """Net air of the lungs: the attenuation to subtract, with all findings of lung and pleura.

    Args:
        air: attenuation subtracted by the air of healthy lungs: [size, size].
        markings: the vessels, 0 to about 1: [size, size].
    """
    opacity, density = lesions.frontal_lesions(spec, chest)
    haze, texture, crowding = lesions.edema(spec, chest)
    opacity = 1 - (1 - opacity) * (1 - haze)
    strength: Field | float = 0.075 * crowding
    for lung in chest.lungs:
        if affects(spec.find("pneumothorax"), lung.side):
            inside, line = _pneumothorax(spec, chest, lung)
            outside = lung.mask * (1 - inside)
            opacity = opacity * (1 - outside)
            collapsed = 0.05 + 0.06 * _grade(spec.find("pneumothorax"))
            air = air * (1 + 0.18 * outside - collapsed * inside * lung.mask)
            strength = strength * (1 - outside)
            density = density + 0.14 * line * lung.mask * (1 - 0.8 * chest.solid)
        if affects(spec.find("pleural_effusion"), lung.side):
            fluid = _fluid(spec, chest, lung)
            opacity = 1 - (1 - opacity) * (1 - 0.93 * fluid)
            strength = strength * (1 - 0.9 * fluid)
            density = density + 0.09 * fluid * lung.mask * (1 - chest.solid)
    strength = strength * (1 - 0.6 * opacity)
    return air * (1 - opacity) - strength * markings - density - texture


def _grade(finding: Finding | None) -> int:
    """0, 1 or 2; a finding without a severity counts as mild."""
    return 0 if finding is None or finding.severity is None else GRADE[finding.severity]


def _pneumothorax(spec: PhantomSpec, chest: Chest, lung: Lung) -> tuple[Field, Field]:
    """The collapsed lung as a mask, and its visible edge, the pleural line."""
    grade = _grade(spec.find("pneumothorax"))
    gap, drop = _GAP[grade], _DROP[grade]
    t = np.clip((chest.y - np.float32(chest.apex)) / np.float32(0.6), 0, 1)
    from_wall = lung.lateral - np.float32(gap) * (1.25 - 0.45 * t) - lung.u
    from_top = chest.y - np.float32(chest.apex + drop) - 1.6 * np.square(lung.u - 0.11)
    distance = _smooth_minimum(from_wall, from_top, 0.05)
    if grade == 2:  # the base comes off the diaphragm
        distance = _smooth_minimum(distance, lung.diaphragm - 0.05 - chest.y, 0.03)
    line = np.exp(-np.square(distance / np.float32(0.0048)))
    return step(distance, 0.007), line


def _smooth_minimum(a: Field, b: Field, radius: float) -> Field:
    h = np.clip(0.5 + 0.5 * (b - a) / np.float32(radius), 0, 1)
    return b + (a - b) * h - np.float32(radius) * h * (1 - h)


def _fluid(spec: PhantomSpec, chest: Chest, lung: Lung) -> Field:
    """Pleural fluid with its meniscus, higher at the chest wall than at the mediastinum."""
    grade = _grade(spec.find("pleural_effusion"))
    out = np.clip((lung.u - 0.05) / np.float32(chest.width - 0.05), 0, 1)
    top = np.float32(spec.body.diaphragm + _FLUID_TOP[grade]) - np.float32(_FLUID_RISE[grade]) * out**3
    return (
        step(chest.y - top, 0.018 + 0.012 * grade)
        * step(lung.lateral + 0.01 - lung.u, 0.01)
        * step(lung.u, 0.03)
    )
