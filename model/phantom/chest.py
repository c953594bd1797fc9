"""The shapes of one patient's chest as seen from the front, with the findings that move its borders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.findings.types import Finding, Laterality, Severity
from model.phantom.canvas import Field, dome, ellipse, grid, step
from model.phantom.spec import PhantomSpec

SIDES = (Laterality.RIGHT, Laterality.LEFT)  # the patient's right is on the left of the image
GRADE = {Severity.MILD: 0, Severity.MODERATE: 1, Severity.SEVERE: 2}

_APEX_CENTRE = 0.125  # lateral position of the tip of the lung
_ZONE_CENTRES = {"upper_zone": 0.24, "mid_zone": 0.50, "lower_zone": 0.78}


def sign_of(side: Laterality) -> int:
    """-1 for the patient's right (left of the image), +1 for the left."""
    return 1 if side is Laterality.LEFT else -1


def affects(finding: Finding | None, side: Laterality) -> bool:
    """Whether a finding is present on a side."""
    return finding is not None and finding.laterality in (side, Laterality.BILATERAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lung:
    """One lung field: `u` is the distance from the midline towards its own side, all [size, size]."""

    side: Laterality
    u: Field
    lateral: Field  # u of the chest wall
    medial: Field  # u of the mediastinal border
    diaphragm: Field  # y of the diaphragm
    mask: Field  # 0 to 1

    def zone_centre(self, zone: str, chest: Chest) -> float:
        """y of the middle of a zone."""
        return chest.apex + _ZONE_CENTRES[zone] * (chest.domes[self.side] - chest.apex)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chest:
    """Numbers and fields of the frontal view. `x`, `y`: body coordinates, the midline at x = 0.5."""

    size: int
    x: Field
    y: Field
    width: float  # half width of the thorax
    apex: float
    domes: dict[Laterality, float]  # y of the top of each hemidiaphragm
    hila: dict[Laterality, tuple[float, float]]
    midline: float  # x of mediastinal structures
    heart: Field  # thickness, 0 to 1
    lungs: tuple[Lung, Lung]
    pose: tuple[float, float, float]  # tilt, shift in x, shift in y

    def to_image(self, dots: NDArray[np.float64]) -> NDArray[np.float64]:
        """Body coordinates [n, 2] to image coordinates."""
        tilt, right, down = self.pose
        dx, dy = dots[:, 0] - 0.5, dots[:, 1] - 0.5
        cos, sin = np.cos(tilt), np.sin(tilt)
        return np.stack([dx * cos - dy * sin + 0.5 + right, dx * sin + dy * cos + 0.5 + down], axis=1)


def frontal_chest(spec: PhantomSpec, size: int) -> Chest:
    """Lay out the frontal chest of a phantom at a size in pixels."""
    body = spec.body
    x, y = _body_coordinates(spec, size)
    domes = _domes(spec)
    midline = 0.5 + body.rotation * 1.5
    base = max(domes.values())
    lungs = tuple(_lung(spec, side, x, y, domes[side]) for side in SIDES)
    hilum_y = body.apex + 0.47 * (body.diaphragm - body.apex)
    return Chest(
        size=size,
        x=x,
        y=y,
        width=body.chest_width,
        apex=body.apex,
        domes=domes,
        hila={
            Laterality.RIGHT: (midline - 0.088, hilum_y + 0.012),
            Laterality.LEFT: (midline + 0.092, hilum_y - 0.012),
        },
        midline=midline,
        heart=_heart(spec, x, y, midline, min(base, body.diaphragm + 0.03)),
        lungs=(lungs[0], lungs[1]),
        pose=(body.tilt, *body.shift),
    )


def heart_ratio(spec: PhantomSpec) -> float:
    """Width of the heart over that of the thorax."""
    finding = spec.find("cardiomegaly")
    if finding is None or finding.severity is None:
        return spec.body.heart_ratio
    return (0.545, 0.635, 0.735)[GRADE[finding.severity]] + 0.25 * (spec.body.heart_ratio - 0.43)


def _body_coordinates(spec: PhantomSpec, size: int) -> tuple[Field, Field]:
    x, y = grid(size)
    cos, sin = np.float32(np.cos(spec.body.tilt)), np.float32(np.sin(spec.body.tilt))
    dx, dy = x - np.float32(0.5 + spec.body.shift[0]), y - np.float32(0.5 + spec.body.shift[1])
    return dx * cos + dy * sin + np.float32(0.5), dy * cos - dx * sin + np.float32(0.5)


def _domes(spec: PhantomSpec) -> dict[Laterality, float]:
    domes = {Laterality.RIGHT: spec.body.diaphragm, Laterality.LEFT: spec.body.diaphragm + 0.022}
    raised = spec.find("elevated_diaphragm")
    shrunk = spec.find("atelectasis")
    for side in SIDES:
        if affects(raised, side):
            domes[side] = spec.body.diaphragm - 0.115 - 0.03 * spec.chance("raised").random()
        elif affects(shrunk, side) and shrunk is not None and shrunk.location == "lower_zone":
            domes[side] -= 0.018  # volume loss
    return domes


def _lung(spec: PhantomSpec, side: Laterality, x: Field, y: Field, top: float) -> Lung:
    width, apex = spec.body.chest_width, spec.body.apex
    u = (x - np.float32(0.5)) * np.float32(sign_of(side))
    t = np.clip((y - np.float32(apex)) / np.float32(0.62), 0, 1)
    closing = np.clip(1 - t / np.float32(0.13), 0, 1)
    lateral = _APEX_CENTRE + (width - _APEX_CENTRE) * np.sqrt(np.clip(1 - (1 - t) ** 2.5, 0, 1))
    medial = 0.036 + (_APEX_CENTRE - 0.036) * np.square(closing)
    centre = 0.17
    outward = np.clip((u - centre) / np.float32(width - centre), 0, 1.3)
    inward = np.clip((centre - u) / np.float32(centre), 0, 1)
    diaphragm = np.float32(top) + 0.105 * outward * outward * np.sqrt(outward) + 0.03 * inward * inward
    mask = step(lateral - u, 0.012) * step(u - medial, 0.012) * step(diaphragm - y, 0.010)
    return Lung(side=side, u=u, lateral=lateral, medial=medial, diaphragm=diaphragm, mask=mask)


def _heart(spec: PhantomSpec, x: Field, y: Field, midline: float, base: float) -> Field:
    """Thickness of the heart: a right atrium and a tilted left ventricle, resting on the diaphragm."""
    total = 2 * spec.body.chest_width * heart_ratio(spec)
    right, left = 0.32 * total, 0.68 * total
    height = 0.150 + 0.22 * (total - 0.32)
    centre_y = base - 0.62 * height
    ventricle = ellipse(x, y, (midline + left - 0.62 * left, centre_y), (0.66 * left, height), -0.62)
    atrium = ellipse(x, y, (midline - right + 0.085, centre_y - 0.01), (0.085, 0.8 * height))
    middle = ellipse(x, y, (midline + 0.01, centre_y - 0.05), (0.075, height))
    return np.maximum(np.maximum(dome(ventricle), dome(atrium)), dome(middle))
