"""The frontal (PA) film of a phantom: attenuation added up along the beam, in arbitrary units."""

from __future__ import annotations

import numpy as np

from model.phantom import frontal_bones, frontal_devices, frontal_findings, vessels
from model.phantom.canvas import Field, dome, ellipse, smooth_noise, step
from model.phantom.chest import Chest, frontal_chest, sign_of
from model.phantom.spec import PhantomSpec


def frontal_attenuation(spec: PhantomSpec, size: int) -> Field:
    """Attenuation of the frontal view, about 0 (air) to 1 (dense): [size, size]."""
    chest = frontal_chest(spec, size)
    total = _soft_tissue(spec, chest)
    total += _mediastinum(spec, chest)
    air = _lung_air(spec, chest)
    markings = _vessels(spec, chest)
    lesions = frontal_findings.lesions(spec, chest)
    air, markings = frontal_findings.collapse(spec, chest, air, markings)
    total -= air
    total += markings
    total += lesions
    total -= _airways(spec, chest)
    total += frontal_bones.bones(spec, chest)
    total -= _stomach_bubble(spec, chest)
    total += frontal_devices.devices(spec, chest)
    return total


def _soft_tissue(spec: PhantomSpec, chest: Chest) -> Field:
    """Trunk, neck, shoulders and, in women, breasts."""
    x, y = chest.x, chest.y
    u = np.abs(x - np.float32(0.5))
    fat = spec.body.fat
    slope = np.clip((y - np.float32(0.02)) / np.float32(0.17), 0, 1)
    half = 0.085 + 0.02 * fat + (0.41 + 0.05 * fat) * slope * slope * (3 - 2 * slope)
    waist = chest.width + 0.055 + 0.05 * fat
    half = np.minimum(
        half, np.where(y > 0.34, waist + 0.35 * np.clip(0.52 - y, 0, 1), 1.0).astype(np.float32)
    )
    inside = step(half - u, 0.02)
    thickness = np.sqrt(np.clip(1 - np.square(u / np.float32(waist + 0.2)), 0, 1))
    total = inside * (0.30 + 0.40 * thickness + 0.07 * fat)
    neck = np.clip(1 - y / np.float32(0.12), 0, 1)
    total -= 0.16 * inside * neck
    # The abdomen below the domes is thicker than the chest.
    for lung in chest.lungs:
        below = (
            step(y - lung.diaphragm, 0.012) * step(lung.lateral + 0.03 - lung.u, 0.05) * step(lung.u, 0.002)
        )
        total += 0.10 * below
    if spec.body.sex == "F":
        total += _breasts(spec, chest, u)
    return total


def _breasts(spec: PhantomSpec, chest: Chest, u: Field) -> Field:
    rng = spec.chance("breasts")
    size = 0.115 + 0.05 * spec.body.fat
    y0 = 0.60 + 0.05 * rng.random()
    radius = ellipse(u, chest.y, (0.225, y0), (size * 1.15, size * 1.1))
    lower = step(chest.y - np.float32(y0 - 0.10), 0.25)
    return (0.05 + 0.06 * spec.body.fat) * np.sqrt(dome(radius)) * lower


def _mediastinum(spec: PhantomSpec, chest: Chest) -> Field:
    """Great vessels, aortic knob, descending aorta and heart."""
    x, y, mid = chest.x, chest.y, chest.midline
    widened = 0.062 if spec.find("widened_mediastinum") else 0.0
    unfold = 0.012 * max(spec.body.age - 50, 0) / 45
    heart_top = 0.5 * (chest.hila[chest.lungs[0].side][1] + chest.domes[chest.lungs[0].side])
    band = step(np.float32(heart_top) - y, 0.15) * step(y - np.float32(0.05), 0.1)
    bulge = np.exp(-np.square((y - np.float32(chest.apex + 0.17)) / np.float32(0.13)))
    left = 0.048 + widened * bulge
    right = 0.050 + widened * bulge
    vessels_ = band * step(mid + left - x, 0.014) * step(x - (mid - right), 0.014)
    knob_y = chest.apex + 0.165
    knob = ellipse(
        x, y, (mid + 0.046 + 0.5 * widened + unfold, knob_y), (0.040 + 0.4 * widened, 0.045 + widened)
    )
    trunk = ellipse(x, y, (mid + 0.050, knob_y + 0.095), (0.034, 0.045))
    aorta = step(mid + 0.052 + unfold - x, 0.012) * step(x - mid, 0.03) * step(y - np.float32(knob_y), 0.05)
    solid = np.maximum(0.8 * vessels_, np.maximum(np.sqrt(dome(knob)), 0.8 * np.sqrt(dome(trunk))))
    heart = np.minimum(1.6 * np.sqrt(chest.heart), 1.0 + 0.25 * chest.heart)
    return 0.07 * np.maximum(solid, heart) + 0.02 * aorta


def _lung_air(spec: PhantomSpec, chest: Chest) -> Field:
    """What the lungs take away: the depth of air, less where heart and great vessels stand in its way."""
    total = np.zeros_like(chest.x)
    solid = _solid(spec, chest)
    for lung in chest.lungs:
        across = np.clip((lung.u - 0.03) / np.float32(chest.width - 0.03), 0, 1)
        depth = np.sqrt(np.clip(1 - np.square(1.55 * across - 0.72), 0, 1))
        down = np.clip((chest.y - np.float32(chest.apex)) / np.float32(0.30), 0, 1)
        total += lung.mask * (0.24 + 0.20 * depth) * (0.70 + 0.30 * np.sqrt(down))
    total *= 1 - 0.86 * solid
    return total


def _solid(spec: PhantomSpec, chest: Chest) -> Field:
    """Heart and mediastinum as a mask with a crisp edge: 0 to 1."""
    x, y, mid = chest.x, chest.y, chest.midline
    widened = 0.062 if spec.find("widened_mediastinum") else 0.0
    unfold = 0.012 * max(spec.body.age - 50, 0) / 45
    bulge = np.exp(-np.square((y - np.float32(chest.apex + 0.17)) / np.float32(0.13)))
    knob_y = chest.apex + 0.165
    knob = ellipse(x, y, (mid + 0.046 + unfold, knob_y), (0.040 + widened, 0.045 + widened))
    trunk = ellipse(x, y, (mid + 0.050, knob_y + 0.095), (0.034, 0.048))
    band = step(mid + 0.046 + widened * bulge - x, 0.010) * step(x - (mid - 0.052 - widened * bulge), 0.010)
    heart = step(chest.heart - 0.12, 0.16)
    return np.maximum(np.maximum(heart, band), np.maximum(step(1 - knob, 0.35), step(1 - trunk, 0.35)))


def _vessels(spec: PhantomSpec, chest: Chest) -> Field:
    trees = [
        vessels.tree(spec.chance("vessels", i), chest.hila[lung.side], sign_of(lung.side))
        for i, lung in enumerate(chest.lungs)
    ]
    dots = chest.to_image(np.concatenate([dots for dots, _ in trees]))
    weights = np.concatenate([weights for _, weights in trees])
    mask = chest.lungs[0].mask + chest.lungs[1].mask
    return vessels.draw_vessels(dots, weights, chest.size) * mask


def _airways(spec: PhantomSpec, chest: Chest) -> Field:
    """Trachea to the carina and the main bronchi."""
    x, y, mid = chest.x, chest.y, chest.midline
    carina = carina_y(chest)
    trachea = step(0.019 - np.abs(x - np.float32(mid)), 0.010) * step(np.float32(carina) - y, 0.02)
    right = _bronchus(x, y, (mid - 0.004, carina - 0.012), (mid - 0.085, carina + 0.060))
    left = _bronchus(x, y, (mid + 0.004, carina - 0.012), (mid + 0.105, carina + 0.058))
    return 0.085 * np.maximum(trachea, np.maximum(right, left) * 0.75)


def carina_y(chest: Chest) -> float:
    """y of the bifurcation of the trachea."""
    return chest.apex + 0.225


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


def soft_texture(spec: PhantomSpec, size: int) -> Field:
    """The uneven look of muscle and fat."""
    return 0.012 * smooth_noise(spec.chance("soft"), 14, size)
