"""The frontal (PA) film of a phantom: attenuation added up along the beam, in arbitrary units."""

from __future__ import annotations

import numpy as np

from model.findings.types import Laterality
from model.phantom import frontal_bones, frontal_devices, frontal_findings, vessels
from model.phantom.canvas import Field, curve, dome, ellipse, lines, step
from model.phantom.chest import Chest, carina_y, frontal_chest, sign_of
from model.phantom.spec import PhantomSpec


def frontal_attenuation(spec: PhantomSpec, size: int) -> Field:
    """Attenuation of the frontal view, about 0 (air) to 1 (dense): [size, size]."""
    chest = frontal_chest(spec, size)
    total = _soft_tissue(spec, chest)
    total += _mediastinum(spec, chest)
    air = _lung_air(spec, chest)
    markings = _vessels(spec, chest)
    total -= frontal_findings.alter_lungs(spec, chest, air, markings)
    total -= _airways(spec, chest)
    total += frontal_bones.bones(spec, chest)
    total -= _stomach_bubble(spec, chest)
    total += frontal_devices.devices(spec, chest)
    result: Field = np.maximum(total, 0.95 * _side_marker(spec, size))
    return result


def _soft_tissue(spec: PhantomSpec, chest: Chest) -> Field:
    """Trunk, neck, shoulders and, in women, breasts."""
    x, y = chest.x, chest.y
    u = np.abs(x - np.float32(0.5))
    fat = spec.body.fat
    top = chest.apex - 0.115
    slope = np.clip((y - np.float32(top)) / np.float32(0.17), 0, 1)
    shoulder = 0.082 + 0.02 * fat + 0.50 * slope * slope * (2.2 - 1.2 * slope)
    waist = chest.width + 0.055 + 0.055 * fat
    axilla = step(y - np.float32(0.36), 0.22)
    half = shoulder + (waist - shoulder) * axilla
    inside = step(half - u, 0.02)
    thickness = np.sqrt(np.clip(1 - np.square(u / np.float32(waist + 0.16)), 0.02, 1))
    total = inside * (0.22 + 0.38 * thickness + 0.06 * fat)
    total -= 0.13 * inside * np.clip(1 - y / np.float32(0.14), 0, 1)
    # The abdomen below the domes is thicker than the chest.
    for lung in chest.lungs:
        below = step(y - lung.diaphragm, 0.012) * step(lung.lateral + 0.03 - lung.u, 0.05)
        total += (0.13 if lung.side is Laterality.RIGHT else 0.11) * below * step(lung.u, 0.03)
    if spec.body.sex == "F":
        total += _breasts(spec, chest, u)
    result: Field = total
    return result


def _breasts(spec: PhantomSpec, chest: Chest, u: Field) -> Field:
    rng = spec.chance("breasts")
    size = 0.115 + 0.05 * spec.body.fat
    y0 = 0.60 + 0.05 * rng.random()
    radius = ellipse(u, chest.y, (0.225, y0), (size * 1.15, size * 1.1))
    lower = step(chest.y - np.float32(y0 - 0.10), 0.25)
    return (0.05 + 0.06 * spec.body.fat) * np.sqrt(dome(radius)) * lower


def _mediastinum(spec: PhantomSpec, chest: Chest) -> Field:
    """Great vessels, descending aorta, hila and heart."""
    x, y, mid = chest.x, chest.y, chest.midline
    knob_y = chest.apex + 0.165
    aorta = step(mid + 0.052 - x, 0.012) * step(x - mid, 0.04) * step(y - np.float32(knob_y), 0.05)
    knob = dome(ellipse(x, y, (mid + 0.042, knob_y), (0.038, 0.045)))
    above = step(y - np.float32(0.06), 0.12) * step(spec.body.diaphragm + 0.02 - y, 0.08)
    return 0.05 * chest.solid * above + 0.075 * chest.heart + 0.022 * aorta + 0.03 * knob


def _lung_air(spec: PhantomSpec, chest: Chest) -> Field:
    """The attenuation that the lungs subtract: the depth of air, less where heart and great vessels overlap
    it."""
    total = np.zeros_like(chest.x)
    for lung in chest.lungs:
        across = np.clip((lung.u - 0.03) / np.float32(chest.width - 0.03), 0, 1)
        depth = np.sqrt(np.clip(1 - np.square(1.55 * across - 0.72), 0, 1))
        down = np.clip((chest.y - np.float32(chest.apex)) / np.float32(0.30), 0, 1)
        total += lung.mask * (0.24 + 0.20 * depth) * (0.70 + 0.30 * np.sqrt(down))
    total *= 1 - 0.90 * chest.solid
    return total


def _vessels(spec: PhantomSpec, chest: Chest) -> Field:
    trees = [
        vessels.tree(spec.chance("vessels", i), chest.hila[lung.side], sign_of(lung.side))
        for i, lung in enumerate(chest.lungs)
    ]
    dots = chest.to_image(np.concatenate([dots for dots, _ in trees]))
    weights = np.concatenate([weights for _, weights in trees])
    mask = chest.lungs[0].mask + chest.lungs[1].mask
    return vessels.draw_vessels(dots, weights, chest.size) * mask * (1 - 0.75 * chest.solid)


def _airways(spec: PhantomSpec, chest: Chest) -> Field:
    """Trachea to the carina and the main bronchi."""
    x, y, mid = chest.x, chest.y, chest.midline
    carina = carina_y(chest)
    trachea = step(0.019 - np.abs(x - np.float32(mid)), 0.010) * step(np.float32(carina) - y, 0.02)
    right = _bronchus(x, y, (mid - 0.004, carina - 0.012), (mid - 0.085, carina + 0.060))
    left = _bronchus(x, y, (mid + 0.004, carina - 0.012), (mid + 0.105, carina + 0.058))
    return 0.115 * np.maximum(trachea, np.maximum(right, left) * 0.75)


def _bronchus(x: Field, y: Field, start: tuple[float, float], end: tuple[float, float]) -> Field:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(dx, dy))
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / np.float32(length)
    across = np.abs((x - start[0]) * dy - (y - start[1]) * dx) / np.float32(length)
    return step(0.014 - across, 0.010) * step(along, 0.01) * step(length - along, 0.03)


def _stomach_bubble(spec: PhantomSpec, chest: Chest) -> Field:
    rng = spec.chance("stomach")
    size = rng.uniform(0.6, 1.2)
    left = chest.lungs[1]
    centre = (0.5 + 0.16, chest.domes[left.side] + 0.062)
    gas = ellipse(chest.x, chest.y, centre, (0.075 * size, 0.034 * size), 0.12)
    under = step(chest.y - left.diaphragm - 0.012, 0.012)
    return 0.22 * np.sqrt(dome(gas)) * under


def _side_marker(spec: PhantomSpec, size: int) -> Field:
    """The lead letter L that the radiographer puts at the patient's left."""
    rng = spec.chance("marker")
    x, y = rng.uniform(0.90, 0.94), rng.uniform(0.04, 0.09)
    letter = curve([(x, y), (x, y + 0.02), (x, y + 0.04), (x, y + 0.04), (x + 0.025, y + 0.04)])
    return np.minimum(lines(letter, 1.0, 0.0038, size), 1)
