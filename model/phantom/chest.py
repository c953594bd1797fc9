"""The shapes of one patient's chest as seen from the front, with the findings that move its borders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.findings.types import Finding, Laterality, Severity
from model.phantom.canvas import Field, curve, grid, step
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
    solid: Field  # heart and mediastinum as a silhouette, 0 to 1
    heart: Field  # thickness of the heart, 0 to 1
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
    v = x - np.float32(midline)
    inside = np.minimum(_borders(spec, y, left=True) - v, _borders(spec, y, left=False) + v)
    heart_rows = step(y - np.float32(body.diaphragm - 0.19), 0.12) * step(body.diaphragm + 0.03 - y, 0.06)
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
        solid=step(inside, 0.012),
        heart=np.sqrt(np.clip(inside / np.float32(0.10), 0, 1)) * heart_rows,
        lungs=(lungs[0], lungs[1]),
        pose=(body.tilt, *body.shift),
    )


def carina_y(chest: Chest) -> float:
    """y of the bifurcation of the trachea."""
    return chest.apex + 0.225


def border_at(spec: PhantomSpec, side: Laterality, y: float) -> float:
    """Distance of the mediastinal border from the midline at one height, on one side."""
    return float(_borders(spec, np.array([[y]], np.float32), left=side is Laterality.LEFT)[0, 0])


def heart_ratio(spec: PhantomSpec) -> float:
    """Width of the heart over that of the thorax."""
    finding = spec.find("cardiomegaly")
    if finding is None or finding.severity is None:
        return spec.body.heart_ratio
    return (0.535, 0.605, 0.680)[GRADE[finding.severity]] + 0.25 * (spec.body.heart_ratio - 0.43)


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
    mask *= step(y - np.float32(apex), 0.02)
    return Lung(side=side, u=u, lateral=lateral, medial=medial, diaphragm=diaphragm, mask=mask)


def _borders(spec: PhantomSpec, y: Field, left: bool) -> Field:
    """Distance of the mediastinal and cardiac border from the midline at every y: [size, size]."""
    body = spec.body
    apex, base = body.apex, body.diaphragm + 0.02
    knob = apex + 0.165
    total = 2 * body.chest_width * heart_ratio(spec)
    if left:
        edge, unfold = 0.68 * total, 0.014 * max(body.age - 45, 0) / 50
        points = [
            (apex - 0.15, 0.050),
            (apex + 0.06, 0.044),
            (knob - 0.045, 0.056),
            (knob, 0.078 + unfold),
            (knob + 0.045, 0.060 + 0.5 * unfold),
            (knob + 0.085, 0.074),
            (knob + 0.125, max(0.082, 0.36 * edge)),
            (base - 0.21, 0.54 * edge),
            (base - 0.15, 0.74 * edge),
            (base - 0.09, 0.91 * edge),
            (base - 0.03, edge),
            (base + 0.02, 0.97 * edge),
            (base + 0.10, 0.80 * edge),
        ]
    else:
        edge = 0.32 * total
        points = [
            (apex - 0.15, 0.048),
            (apex + 0.06, 0.042),
            (knob, 0.052),
            (knob + 0.08, 0.058),
            (base - 0.21, 0.062),
            (base - 0.15, 0.45 * 0.06 + 0.55 * edge + 0.012),
            (base - 0.09, edge),
            (base - 0.03, 0.93 * edge),
            (base + 0.10, 0.70 * edge),
        ]
    table = curve(points)
    border = np.interp(y, table[:, 0], table[:, 1]).astype(np.float32)
    if spec.find("widened_mediastinum") is not None:
        border += 0.058 * np.exp(-np.square((y - np.float32(knob)) / np.float32(0.115)))
    return border
