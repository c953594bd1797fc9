"""Tubes, lines and pacemakers in the frontal view."""

from __future__ import annotations

import numpy as np

from model.findings.types import Laterality
from model.phantom.canvas import Field, blob, curve, ellipse, lines
from model.phantom.chest import Chest, carina_y, sign_of
from model.phantom.spec import PhantomSpec

_WIRE = 0.0038  # standard deviation of the profile of a catheter or lead


def devices(spec: PhantomSpec, chest: Chest) -> Field:
    """Attenuation of the devices: [size, size]."""
    total = np.zeros_like(chest.x)
    if (tube := spec.find("endotracheal_tube")) is not None:
        total += _endotracheal_tube(spec, chest, malpositioned=tube.location is not None)
    if (line := spec.find("central_line")) is not None:
        path = _central_line(spec, chest, line.laterality or Laterality.RIGHT)
        total += 0.24 * lines(chest.to_image(curve(path)), 1.0, _WIRE, chest.size)
    if (pacemaker := spec.find("pacemaker")) is not None:
        total += _pacemaker(spec, chest, pacemaker.laterality or Laterality.LEFT)
    return total


def _endotracheal_tube(spec: PhantomSpec, chest: Chest, *, malpositioned: bool) -> Field:
    """A tube in the trachea with its radiopaque stripe; the tip above the carina or in the right bronchus."""
    rng = spec.chance("tube")
    mid, carina = chest.midline, carina_y(chest)
    bow = rng.uniform(-0.006, 0.006)
    points = [(mid + bow, -0.05), (mid + bow, 0.05), (mid, carina - 0.14)]
    if malpositioned:
        reach = rng.uniform(0.045, 0.065)
        points += [
            (mid - 0.002, carina - 0.03),
            (mid - 0.022, carina + 0.012),
            (mid - 0.012 - reach, carina + 0.02 + 0.55 * reach),
        ]
    else:
        points += [(mid, carina - rng.uniform(0.055, 0.085))]
    stripe = curve(points)
    walls = np.concatenate([stripe + np.array([v, 0.0]) for v in (-0.0095, 0.0095)])
    bright = lines(chest.to_image(stripe), 1.0, _WIRE, chest.size)
    faint = lines(chest.to_image(walls), 1.0, 0.0038, chest.size)
    return 0.24 * bright + 0.09 * faint


def _central_line(spec: PhantomSpec, chest: Chest, side: Laterality) -> list[tuple[float, float]]:
    """From the internal jugular vein of the side to the superior vena cava."""
    rng = spec.chance("line")
    mid, apex = chest.midline, chest.apex
    tip = (mid - 0.045, carina_y(chest) + rng.uniform(0.03, 0.09))
    if side is Laterality.RIGHT:
        neck = [
            (mid - 0.115, -0.05),
            (mid - 0.100, 0.03),
            (mid - 0.075, apex + 0.05),
            (mid - 0.050, apex + 0.14),
        ]
    else:
        neck = [
            (mid + 0.120, -0.05),
            (mid + 0.105, 0.03),
            (mid + 0.080, apex + 0.055),
            (mid + 0.020, apex + 0.115),
            (mid - 0.038, apex + 0.165),
        ]
    return [*neck, tip]


def _pacemaker(spec: PhantomSpec, chest: Chest, side: Laterality) -> Field:
    """A generator below the clavicle with an atrial and a ventricular lead."""
    rng = spec.chance("pacemaker")
    s, mid, apex = sign_of(side), chest.midline, chest.apex
    base = spec.body.diaphragm + 0.02
    can = (0.5 + s * rng.uniform(0.245, 0.275), apex + rng.uniform(0.125, 0.150))
    shape = ellipse(chest.x, chest.y, can, (0.050, 0.044))
    square = np.square(np.square((chest.x - can[0]) / 0.050)) + np.square(
        np.square((chest.y - can[1]) / 0.044)
    )
    total = 0.34 * blob(np.maximum(square, 0.8 * shape), 0.35)
    vein = [
        (can[0] - s * 0.03, can[1] - 0.03),
        (mid + s * 0.17, apex + 0.062),
        (mid + s * 0.075, apex + 0.085),
    ]
    if side is Laterality.LEFT:
        vein.append((mid + 0.01, apex + 0.12))
    cava = [(mid - 0.042, apex + 0.18), (mid - 0.045, apex + 0.27)]
    atrium = [(mid - 0.055, base - 0.14), (mid - 0.030, base - 0.105), (mid - 0.020, base - 0.145)]
    ventricle = [(mid - 0.060, base - 0.13), (mid - 0.020, base - 0.05), (mid + 0.085, base - 0.045)]
    wires = np.concatenate(
        [curve([*vein, *cava, *atrium]), curve([*vein, *cava, *ventricle]) + np.array([0.003, 0.003])]
    )
    tips = np.concatenate([curve([ventricle[-2], ventricle[-1]])[-8:], curve([atrium[-2], atrium[-1]])[-8:]])
    total += 0.19 * np.minimum(lines(chest.to_image(wires), 1.0, _WIRE, chest.size), 1.2)
    return total + 0.15 * lines(chest.to_image(tips), 1.0, 0.0045, chest.size)
