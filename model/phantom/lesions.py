"""Focal and diffuse opacities of the lungs in the frontal view."""

from __future__ import annotations

import numpy as np

from model.findings.types import Finding, Laterality
from model.phantom.canvas import Field, blob, curve, dome, ellipse, lines, smooth_noise, step
from model.phantom.chest import GRADE, SIDES, Chest, affects, border_at, sign_of
from model.phantom.spec import PhantomSpec

_HAZE = (0.26, 0.44, 0.66)  # of edema around the hila, by severity


def frontal_lesions(spec: PhantomSpec, chest: Chest) -> tuple[Field, Field]:
    """Opacity (share of the air that is replaced, 0 to 1) and added density, each [size, size]."""
    opacity = np.zeros_like(chest.x)
    density = np.zeros_like(chest.x)
    if (finding := spec.find("consolidation")) is not None:
        opacity += _consolidation(spec, chest, finding)
    if (finding := spec.find("atelectasis")) is not None:
        density += _atelectasis(spec, chest, finding)
    if (finding := spec.find("nodule")) is not None:
        centre = lesion_centre(spec, chest, finding)
        radius = spec.chance("nodule").uniform(0.023, 0.029)
        density += 0.22 * blob(ellipse(chest.x, chest.y, centre, (radius, radius)), 0.5)
    if (finding := spec.find("mass")) is not None:
        density += 0.22 * _mass(spec, chest, finding)
    if (finding := spec.find("hilar_enlargement")) is not None:
        density += 0.20 * _hila(spec, chest, finding)
    lungs = chest.lungs[0].mask + chest.lungs[1].mask
    return opacity * lungs, density * lungs * (1 - 0.7 * chest.solid)


def lesion_centre(spec: PhantomSpec, chest: Chest, finding: Finding) -> tuple[float, float]:
    """The position of a focal lesion: in its zone, clear of the mediastinum and of the chest wall."""
    rng = spec.chance("place", finding.concept)
    side = finding.laterality or Laterality.LEFT
    lung = chest.lungs[SIDES.index(side)]
    y = lung.zone_centre(finding.location or "mid_zone", chest) + rng.uniform(-0.03, 0.03)
    inner = max(border_at(spec, side, y) + 0.055, 0.13)
    outer = chest.width - (0.12 if finding.location == "upper_zone" else 0.075)
    u = rng.uniform(min(inner, outer), outer)
    return 0.5 + sign_of(side) * u, y


def edema(spec: PhantomSpec, chest: Chest) -> tuple[Field | float, Field | float, float]:
    """Perihilar haze (share of air replaced), interstitial texture, and how much the vessels swell."""
    finding = spec.find("pulmonary_edema")
    if finding is None or finding.severity is None:
        return 0.0, 0.0, 1.0
    strength = _HAZE[GRADE[finding.severity]]
    rng = spec.chance("edema")
    haze = np.zeros_like(chest.x)
    for lung in chest.lungs:
        hx, hy = chest.hila[lung.side]
        wing = ellipse(chest.x, chest.y, (hx + sign_of(lung.side) * 0.05, hy + 0.06), (0.17, 0.24))
        haze += np.exp(-wing) * lung.mask
    patchy = 1 + 0.30 * smooth_noise(rng, 18, chest.size)
    reticular = (
        0.030 * strength * smooth_noise(rng, 84, chest.size) * (chest.lungs[0].mask + chest.lungs[1].mask)
    )
    return np.clip(strength * haze * patchy, 0, 0.9), reticular, 1.0 + 0.5 * strength


def _consolidation(spec: PhantomSpec, chest: Chest, finding: Finding) -> Field:
    """A ragged patch with dark branching airways in it."""
    rng = spec.chance("patch")
    centre = lesion_centre(spec, chest, finding)
    radii = rng.uniform(0.085, 0.115), rng.uniform(0.075, 0.095)
    ragged = ellipse(chest.x, chest.y, centre, radii, rng.uniform(-0.5, 0.5))
    ragged += 0.26 * smooth_noise(rng, 26, chest.size)
    patch = step(1 - ragged, 1.3)
    hilum = chest.hila[finding.laterality or Laterality.LEFT]
    away = np.subtract(centre, hilum)
    away = away / np.hypot(*away)
    aside = np.array([-away[1], away[0]])
    airways = []
    for turn in (-0.5, 0.0, 0.5):
        start = np.array(centre) - 0.07 * away
        end = np.array(centre) + 0.06 * away + turn * 0.11 * aside
        airways.append(curve([tuple(start), tuple((start + end) / 2 - turn * 0.02 * aside), tuple(end)]))
    bronchogram = lines(chest.to_image(np.concatenate(airways)), 1.0, 0.0042, chest.size)
    return 0.80 * patch * (1 - 0.45 * np.minimum(bronchogram, 1))


def _atelectasis(spec: PhantomSpec, chest: Chest, finding: Finding) -> Field:
    """Two dense bands across the zone."""
    rng = spec.chance("bands")
    x, y = lesion_centre(spec, chest, finding)
    s = sign_of(finding.laterality or Laterality.LEFT)
    slope = rng.uniform(-0.25, 0.35)
    bands = []
    for offset, half in ((0.0, 0.105), (rng.uniform(0.035, 0.05), 0.07)):
        middle = (x, y + offset)
        bands.append(
            curve(
                [(x - half * s, middle[1] - slope * half), middle, (x + half * s, middle[1] + slope * half)]
            )
        )
    return 0.24 * np.minimum(lines(chest.to_image(np.concatenate(bands)), 1.0, 0.0075, chest.size), 1.3)


def _mass(spec: PhantomSpec, chest: Chest, finding: Finding) -> Field:
    """A large lobulated lesion."""
    rng = spec.chance("mass")
    x, y = lesion_centre(spec, chest, finding)
    radius = rng.uniform(0.052, 0.066)
    shape = np.zeros_like(chest.x)
    for dx, dy in [(0.0, 0.0), *rng.uniform(-0.55, 0.55, (4, 2))]:
        lobe = ellipse(chest.x, chest.y, (x + dx * radius, y + dy * radius), (radius * 0.8, radius * 0.8))
        shape = 1 - (1 - shape) * (1 - 0.72 * np.sqrt(dome(lobe)))
    return shape


def _hila(spec: PhantomSpec, chest: Chest, finding: Finding) -> Field:
    """Lobulated enlarged hila beside the mediastinum."""
    shape = np.zeros_like(chest.x)
    for side in SIDES:
        if not affects(finding, side):
            continue
        hx, hy = chest.hila[side]
        s = sign_of(side)
        for du, dv, radius in ((0.012, 0.0, 0.046), (0.004, -0.042, 0.036), (0.010, 0.045, 0.038)):
            lobe = ellipse(chest.x, chest.y, (hx + s * du, hy + dv), (radius, radius))
            shape = 1 - (1 - shape) * (1 - 0.8 * np.sqrt(dome(lobe)))
    return shape
