"""The appearance of the findings in the lateral view: fluid in the posterior sulcus, opacities, devices."""

from __future__ import annotations

import numpy as np

from model.findings.types import Finding, Laterality
from model.phantom.canvas import Field, blob, curve, dome, ellipse, lines, smooth_noise, step
from model.phantom.chest import GRADE, SIDES, affects
from model.phantom.lateral_side import Side
from model.phantom.spec import PhantomSpec

_FLUID_TOP = (0.075, -0.04, -0.27)  # y of the fluid's surface in front, from the dome, by severity
_HAZE = (0.22, 0.40, 0.60)
_WIRE = 0.0034
_ZONE_PLACES = {"upper_zone": (0.46, 0.25), "mid_zone": (0.40, 0.42), "lower_zone": (0.63, 0.63)}


def alter_lungs(spec: PhantomSpec, side: Side, air: dict[Laterality, Field], markings: Field) -> Field:
    """Net air of both lungs, seen through each other.

    Args:
        air: of each lung, what its air takes away: [size, size].
        markings: vessels of both lungs, 0 to about 1: [size, size].
    """
    haze = _haze(spec, side)
    net = np.zeros_like(side.x)
    for which in SIDES:
        share = air[which] * (1 - haze)
        if affects(spec.find("pleural_effusion"), which):
            share = share * (1 - 0.95 * _fluid(spec, side, which)) - 0.02 * _fluid(spec, side, which)
        if affects(spec.find("pneumothorax"), which):
            share = share + _pneumothorax(spec, side, which)
        net += share - 0.5 * _lesions(spec, side, which) * side.masks[which]
    lungs = np.maximum(side.masks[SIDES[0]], side.masks[SIDES[1]])
    if (finding := spec.find("hilar_enlargement")) is not None:
        both = finding.laterality is Laterality.BILATERAL
        net -= (0.15 if both else 0.11) * _hila(side)
    return net - 0.040 * markings * lungs * (1 - 0.5 * haze)


def devices(spec: PhantomSpec, side: Side) -> Field:
    """Attenuation of tubes, lines and pacemakers: [size, size]."""
    total = np.zeros_like(side.x)
    if (tube := spec.find("endotracheal_tube")) is not None:
        end = 0.44 if tube.location is not None else 0.30
        path = curve([(0.500, -0.05), (0.512, 0.08), (0.530, 0.24), (0.545 if end > 0.4 else 0.537, end)])
        total += 0.22 * lines(side.to_image(path), 1.0, 0.0040, side.size)
    if spec.find("central_line") is not None:
        path = curve([(0.45, -0.05), (0.455, 0.08), (0.475, 0.20), (0.470, 0.36), (0.462, 0.43)])
        total += 0.16 * lines(side.to_image(path), 1.0, _WIRE, side.size)
    if spec.find("pacemaker") is not None:
        base = spec.body.diaphragm
        box = ellipse(side.x, side.y, (0.255, 0.235), (0.020, 0.050), 0.45)
        total += 0.32 * blob(box, 0.35)
        vein = [(0.275, 0.20), (0.37, 0.17), (0.46, 0.21), (0.475, 0.36), (0.455, base - 0.22)]
        wires = curve([*vein, (0.41, base - 0.08), (0.315, base - 0.04)])
        atrial = curve([*vein, (0.42, base - 0.18), (0.40, base - 0.23)])
        drawn = lines(side.to_image(np.concatenate([wires, atrial])), 1.0, _WIRE, side.size)
        total += 0.18 * np.minimum(drawn, 1.2)
    return total


def _fluid(spec: PhantomSpec, side: Side, which: Laterality) -> Field:
    finding = spec.find("pleural_effusion")
    grade = 0 if finding is None or finding.severity is None else GRADE[finding.severity]
    top = np.float32(spec.body.diaphragm + _FLUID_TOP[grade])
    behind = np.clip((side.x - 0.45) / np.float32(0.37), 0, 1)
    before = np.clip((0.40 - side.x) / np.float32(0.18), 0, 1)
    surface = top - 0.06 * behind * behind - 0.02 * before
    return step(side.y - surface, 0.018 + 0.010 * grade) * side.masks[which]


def _pneumothorax(spec: PhantomSpec, side: Side, which: Laterality) -> Field:
    """Air in front of and above the collapsed lung, and its edge."""
    finding = spec.find("pneumothorax")
    grade = 0 if finding is None or finding.severity is None else GRADE[finding.severity]
    gap, drop = (0.035, 0.075, 0.14)[grade], (0.07, 0.13, 0.20)[grade]
    inward = np.minimum(
        side.x - side.sternum - np.float32(gap), 0.9 * (side.y - np.float32(spec.body.apex + drop))
    )
    line = np.exp(-np.square(inward / np.float32(0.0048)))
    result: Field = side.masks[which] * (0.025 * step(-inward, 0.01) - 0.06 * line)
    return result


def _haze(spec: PhantomSpec, side: Side) -> Field:
    finding = spec.find("pulmonary_edema")
    if finding is None or finding.severity is None:
        return np.zeros_like(side.x)
    wing = ellipse(side.x, side.y, (0.53, 0.45), (0.22, 0.25))
    patchy = 1 + 0.30 * smooth_noise(spec.chance("edema", 1), 18, side.size)
    return np.clip(_HAZE[GRADE[finding.severity]] * np.exp(-wing) * patchy, 0, 0.9)


def _hila(side: Side) -> Field:
    shape = np.zeros_like(side.x)
    for dx, dy, radius in (
        (0.0, 0.0, 0.055),
        (-0.035, 0.025, 0.040),
        (0.02, 0.05, 0.042),
        (0.01, -0.045, 0.036),
    ):
        lobe = ellipse(side.x, side.y, (0.545 + dx, 0.420 + dy), (radius, radius))
        shape = 1 - (1 - shape) * (1 - 0.7 * np.sqrt(dome(lobe)))
    return shape


def _lesions(spec: PhantomSpec, side: Side, which: Laterality) -> Field:
    """Focal opacities of one lung."""
    total = np.zeros_like(side.x)
    for concept in ("consolidation", "atelectasis", "nodule", "mass"):
        finding = spec.find(concept)
        if finding is not None and affects(finding, which):
            total += _lesion(spec, side, finding)
    return total


def _lesion(spec: PhantomSpec, side: Side, finding: Finding) -> Field:
    rng = spec.chance("lateral", finding.concept)
    x, y = _ZONE_PLACES[finding.location or "mid_zone"]
    x, y = x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.03, 0.03)
    match finding.concept:
        case "consolidation":
            ragged = ellipse(side.x, side.y, (x, y), (0.10, 0.085)) + 0.26 * smooth_noise(rng, 26, side.size)
            return 0.30 * step(1 - ragged, 1.3)
        case "atelectasis":
            bands = [curve([(x - 0.09, y + 0.03), (x, y), (x + 0.09, y - 0.02)])]
            bands.append(curve([(x - 0.06, y + 0.065), (x + 0.06, y + 0.035)]))
            return 0.28 * np.minimum(lines(side.to_image(np.concatenate(bands)), 1.0, 0.0075, side.size), 1.3)
        case "nodule":
            return 0.36 * blob(ellipse(side.x, side.y, (x, y), (0.024, 0.024)), 0.5)
        case _:
            return 0.40 * np.sqrt(dome(ellipse(side.x, side.y, (x, y), (0.068, 0.060))))
