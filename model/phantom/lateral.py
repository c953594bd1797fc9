"""The lateral film of a phantom, the patient facing the left of the image."""

from __future__ import annotations

import numpy as np

from model.findings.types import Laterality
from model.phantom import lateral_findings, vessels
from model.phantom.canvas import Field, blob, curve, ellipse, grid, step
from model.phantom.chest import SIDES, affects, heart_ratio
from model.phantom.lateral_side import Side
from model.phantom.spec import PhantomSpec

# Outlines as (y, x): skin in front and behind, inner side of the sternum, middle of the spine.
_FRONT = [
    (-0.05, 0.40),
    (0.05, 0.385),
    (0.13, 0.30),
    (0.28, 0.205),
    (0.50, 0.150),
    (0.75, 0.150),
    (1.05, 0.17),
]
_BACK = [
    (-0.05, 0.70),
    (0.06, 0.735),
    (0.15, 0.815),
    (0.30, 0.865),
    (0.52, 0.880),
    (0.78, 0.845),
    (1.05, 0.82),
]
_STERNUM = [(-0.05, 0.44), (0.14, 0.355), (0.28, 0.275), (0.50, 0.222), (0.72, 0.215), (1.05, 0.25)]
_SPINE = [(-0.05, 0.590), (0.08, 0.640), (0.22, 0.705), (0.45, 0.745), (0.68, 0.725), (1.05, 0.655)]
_TRACHEA = ((0.505, 0.0), (0.545, 0.375))
HILUM = (0.545, 0.420)


def lateral_attenuation(spec: PhantomSpec, size: int) -> Field:
    """Attenuation of the lateral view, about 0 (air) to 1 (dense): [size, size]."""
    side = _layout(spec, size)
    total = _soft_tissue(spec, side)
    total += _heart_and_vessels(spec, side)
    air = {which: _lung_air(side, which) for which in SIDES}
    markings = _vessels(spec, side)
    total -= lateral_findings.alter_lungs(spec, side, air, markings)
    total -= _trachea(side)
    total += _bones(spec, side)
    total += lateral_findings.devices(spec, side)
    return total


def _layout(spec: PhantomSpec, size: int) -> Side:
    pose = (0.6 * spec.body.tilt, spec.body.shift[1], spec.body.shift[0])
    grid_x, grid_y = grid(size)
    cos, sin = np.float32(np.cos(pose[0])), np.float32(np.sin(pose[0]))
    dx, dy = grid_x - np.float32(0.5 + pose[1]), grid_y - np.float32(0.5 + pose[2])
    depth = _depth(spec)
    x = (dx * cos + dy * sin) / np.float32(depth) + np.float32(0.5)
    y = dy * cos - dx * sin + np.float32(0.5)
    fat = 0.035 * spec.body.fat
    sternum, spine = _border(_STERNUM, y), _border(_SPINE, y)
    domes = {which: _dome(spec, x, which) for which in SIDES}
    behind = spine + np.float32(0.078)
    open_ = (
        step(x - sternum - 0.012, 0.014)
        * step(behind - x, 0.014)
        * step(y - np.float32(spec.body.apex + 0.03), 0.14)
    )
    return Side(
        size=size,
        x=x,
        y=y,
        front=_border(_FRONT, y) - np.float32(fat) - _breast(spec, y),
        back=_border(_BACK, y) + np.float32(fat),
        sternum=sternum,
        spine=spine,
        masks={which: open_ * step(domes[which] - y, 0.010) for which in SIDES},
        domes=domes,
        heart=_heart(spec, y, x),
        pose=pose,
        depth=depth,
    )


def _breast(spec: PhantomSpec, y: Field) -> Field | float:
    """How far a woman's breast moves the skin forward."""
    if spec.body.sex == "M":
        return 0.0
    below = np.clip((y - 0.55) / np.float32(0.09), 0, 1)
    result: Field = (
        (0.055 + 0.04 * spec.body.fat)
        * np.exp(-np.square((y - 0.55) / np.float32(0.115)))
        * (1 - 0.5 * below)
    )
    return result


def _depth(spec: PhantomSpec) -> float:
    return 0.94 + 0.07 * spec.body.fat + 0.07 * spec.chance("depth").random()


def _border(points: list[tuple[float, float]], y: Field) -> Field:
    table = curve(points)
    return np.interp(y, table[:, 0], table[:, 1]).astype(np.float32)


def _dome(spec: PhantomSpec, x: Field, which: Laterality) -> Field:
    """y of a hemidiaphragm: high in front, falling to the posterior sulcus."""
    top = spec.body.diaphragm + (0.0 if which is Laterality.RIGHT else 0.028)
    if affects(spec.find("elevated_diaphragm"), which):
        top -= 0.125
    behind = np.clip((x - 0.42) / np.float32(0.38), 0, 1.2)
    before = np.clip((0.42 - x) / np.float32(0.2), 0, 1.2)
    result: Field = np.float32(top) + 0.150 * behind * behind + 0.055 * before * before
    return result


def _heart(spec: PhantomSpec, y: Field, x: Field) -> Field:
    """Distance to the outline of heart and ascending aorta, positive inside, 0.1 deep in the heart."""
    base = spec.body.diaphragm
    behind = 0.545 + 0.62 * (heart_ratio(spec) - 0.43)
    back = [
        (-0.05, 0.42),
        (0.22, 0.425),
        (0.30, 0.455),
        (base - 0.30, 0.480),
        (base - 0.22, 0.46 * 0.45 + 0.55 * behind),
        (base - 0.14, 0.985 * behind),
        (base - 0.08, behind),
        (base - 0.01, 0.97 * behind),
        (base + 0.08, 0.90 * behind),
        (1.10, 0.80 * behind),
    ]
    lift = 0.30 * (heart_ratio(spec) - 0.43)
    front = [
        (-0.05, 0.46),
        (0.22, 0.425),
        (0.30, 0.395),
        (base - 0.29 - lift, 0.365),
        (base - 0.19 - lift, 0.270),
        (base - 0.12 - lift, 0.225),
        (base, 0.200),
        (1.10, 0.20),
    ]
    fading = 0.05 * step(0.27 - y, 0.12)
    result: Field = np.minimum(x - _border(front, y), _border(back, y) - x) - fading
    return result


def _soft_tissue(spec: PhantomSpec, side: Side) -> Field:
    x, y = side.x, side.y
    inside = step(x - side.front, 0.018) * step(side.back - x, 0.018)
    middle, half = 0.5 * (side.front + side.back), 0.5 * (side.back - side.front)
    thickness = np.sqrt(np.clip(1 - np.square((x - middle) / half), 0.02, 1))
    total = inside * (0.22 + 0.36 * thickness + 0.07 * spec.body.fat)
    shoulders = blob(ellipse(x, y, (0.585, 0.10), (0.26, 0.20)), 0.9)
    total += 0.17 * inside * shoulders
    wall = step(x - side.sternum + 0.01, 0.07) * step(side.spine + 0.10 - x, 0.07)
    for which in SIDES:
        total += 0.085 * wall * step(y - side.domes[which], 0.012)
    arms = step(0.085 - np.abs(x - 0.40 + 1.15 * y), 0.05) * step(x - 0.1, 0.1)
    result: Field = np.maximum(total, 0.42 * arms) + 0.05 * arms
    return result


def _lung_air(side: Side, which: Laterality) -> Field:
    """The attenuation that the air of one lung subtracts: the retrosternal and the retrocardiac space are the
    clearest."""
    x, y = side.x, side.y
    across = np.clip((x - side.sternum) / (side.spine + 0.08 - side.sternum), 0, 1)
    depth = 0.62 + 0.38 * np.sqrt(np.clip(1 - np.square(2 * across - 1), 0, 1))
    hidden = 1 - 0.45 * step(np.float32(0.30) - y, 0.28)
    middle = 1 - 0.22 * np.exp(
        -np.square((x - 0.53) / np.float32(0.09)) - np.square((y - 0.36) / np.float32(0.16))
    )
    heart = 1 - step(side.heart, 0.018) * (0.26 + 0.36 * step(y - 0.44, 0.24))
    result: Field = 0.215 * side.masks[which] * depth * hidden * middle * heart
    return result


def _heart_and_vessels(spec: PhantomSpec, side: Side) -> Field:
    x, y = side.x, side.y
    widened = 0.035 if spec.find("widened_mediastinum") is not None else 0.0
    arch = np.sqrt(ellipse(x, y, (0.545, 0.335), (0.085, 0.085)))
    band = np.exp(-np.square((arch - 1) / np.float32(0.26))) * step(0.36 - y, 0.06)
    descending = step(0.034 - np.abs(x - side.spine + 0.045), 0.03) * step(y - 0.33, 0.08)
    hilum = blob(ellipse(x, y, HILUM, (0.038, 0.046)), 0.9)
    heart = 0.035 * step(side.heart, 0.018) * step(y - 0.38, 0.2) + 0.06 * np.sqrt(
        np.clip(side.heart / np.float32(0.14), 0, 1)
    )
    above = step(spec.body.diaphragm + 0.06 - y, 0.08)
    total = heart * above + 0.03 * band + 0.018 * descending + 0.055 * hilum
    if widened:
        total += 0.10 * blob(ellipse(x, y, (0.44, 0.30), (0.105, 0.125)), 0.8)
    result: Field = total
    return result


def _vessels(spec: PhantomSpec, side: Side) -> Field:
    dots, weights = [], []
    for number, sign in ((2, -1), (3, 1)):
        path, weight = vessels.tree(spec.chance("vessels", number), HILUM, sign, reach=0.82)
        dots.append(path)
        weights.append(weight)
    drawn = vessels.draw_vessels(side.to_image(np.concatenate(dots)), np.concatenate(weights), side.size)
    return drawn * (1 - 0.6 * step(side.heart, 0.02))


def _trachea(side: Side) -> Field:
    (x0, y0), (x1, y1) = _TRACHEA
    middle = x0 + (x1 - x0) * (side.y - y0) / np.float32(y1 - y0)
    tube = step(0.022 - np.abs(side.x - middle), 0.012) * step(y1 - side.y, 0.025)
    bronchus = blob(ellipse(side.x, side.y, (x1 + 0.004, y1 + 0.018), (0.018, 0.018)), 0.7)
    return 0.115 * tube + 0.07 * bronchus


def _bones(spec: PhantomSpec, side: Side) -> Field:
    x, y = side.x, side.y
    sternum = (
        step(0.016 - np.abs(x - side.sternum + 0.008), 0.008) * step(y - 0.15, 0.02) * step(0.66 - y, 0.05)
    )
    joints = 1 - 0.4 * np.exp(-np.square((np.mod(y, 0.105) - 0.05) / np.float32(0.005)))
    total = 0.06 * sternum * joints + _vertebrae(side)
    reach = step(x - side.sternum + 0.02, 0.02) * step(side.spine + 0.095 - x, 0.02) * step(y - 0.13, 0.05)
    for shift, strength in ((0.0, 0.036), (0.026, 0.022)):
        sag = 0.22 * (side.spine + 0.09 - x) + 0.55 * np.square(side.spine + 0.09 - x) + shift
        along = (y - sag) / np.float32(0.068)
        distance = np.abs(along - np.round(along)) * np.float32(0.068)
        rim = np.exp(-np.square((distance - 0.009) / np.float32(0.0035)))
        total += strength * reach * step(0.011 - distance, 0.008) * (0.7 + 0.5 * rim)
    scapula = (
        step(0.012 - np.abs(x - 0.70 - 0.35 * (y - 0.2)), 0.01) * step(y - 0.06, 0.04) * step(0.34 - y, 0.05)
    )
    return total + 0.05 * scapula


def _vertebrae(side: Side) -> Field:
    pitch = 0.058 + 0.010 * np.clip(side.y, 0, 1)
    lean = side.y + 0.18 * (side.x - side.spine)
    phase = lean / pitch
    level = np.abs(phase - np.floor(phase) - 0.5) * pitch
    waist = 0.033 + 0.006 * side.y + 0.004 * np.square(level / 0.03)
    off = side.x - side.spine
    body = step(waist - np.abs(off), 0.008)
    disc = np.exp(-np.square((level - 0.5 * pitch) / np.float32(0.0055)))
    plate = np.exp(-np.square((level - 0.5 * pitch + 0.010) / np.float32(0.004)))
    arch = np.exp(
        -np.square((off - 0.055) / np.float32(0.016)) - np.square((level - 0.004) / np.float32(0.016))
    )
    result: Field = body * (0.085 - 0.060 * disc + 0.030 * plate) + 0.055 * arch
    return result
