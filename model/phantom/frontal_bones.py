"""Ribs, clavicles, scapulae, shoulders and spine of the frontal view."""

from __future__ import annotations

import numpy as np

from model.findings.types import Laterality
from model.phantom.canvas import Field, blob, curve, dome, ellipse, lines, step
from model.phantom.chest import Chest, Lung, affects, sign_of
from model.phantom.spec import PhantomSpec

_PITCH = 0.066  # distance of neighbouring ribs
_FRACTURED = (4, 6)  # ribs, counted from the top
_FRACTURE_STEP = 0.028


def bones(spec: PhantomSpec, chest: Chest) -> Field:
    """Attenuation of the bones: [size, size]."""
    total = _spine(spec, chest)
    for lung in chest.lungs:
        total += _ribs(spec, chest, lung)
        total += _scapula(spec, chest, lung)
        if affects(spec.find("rib_fracture"), lung.side):
            total += _haematoma(chest, lung)
    return total + _clavicles(spec, chest)


def _ribs(spec: PhantomSpec, chest: Chest, lung: Lung) -> Field:
    outside = lung.lateral + np.float32(0.016)
    cage = (
        step(outside - lung.u, 0.016)
        * step(lung.u - 0.02, 0.02)
        * step(chest.y - np.float32(chest.apex - 0.02), 0.03)
    )
    width = np.float32(chest.width)
    out = np.clip((lung.u - 0.07) / (width - 0.07), 0, 1.1)
    sag = 0.135 * out * out * out + 0.012 * out - 0.012 * np.clip((0.07 - lung.u) / 0.07, 0, 1)
    posterior = _rib_family(spec, chest, lung, sag - 0.012, 0.0125, fractured=True)
    inwards = np.clip((width - lung.u) / width, 0, 1)
    rise = 0.205 * np.sqrt(inwards) + 0.03 * inwards
    anterior = _rib_family(spec, chest, lung, rise + 0.075, 0.0135, fractured=False)
    reach = step(lung.u - (0.175 + 0.06 * np.clip(chest.y - 0.3, 0, 1)), 0.05)
    visible = step(0.86 - chest.y, 0.2)
    return cage * visible * (0.068 * posterior + 0.038 * anterior * reach)


def _rib_family(
    spec: PhantomSpec, chest: Chest, lung: Lung, offset: Field, half: float, *, fractured: bool
) -> Field:
    """All ribs of a side at once: the same line repeated at the pitch of the ribs."""
    along = (chest.y - np.float32(chest.apex) - offset) / np.float32(_PITCH)
    if fractured and affects(spec.find("rib_fracture"), lung.side):
        return _broken_ribs(spec, chest, lung, along, half)
    return _rib_profile(along, half)


def _rib_profile(along: Field, half: float) -> Field:
    distance = np.abs(along - np.round(along)) * np.float32(_PITCH)
    cortex = np.exp(-np.square((distance - np.float32(half - 0.003)) / np.float32(0.0035)))
    result: Field = step(half - distance, 0.008) * (0.72 + 0.5 * cortex)
    return result


def _broken_ribs(spec: PhantomSpec, chest: Chest, lung: Lung, along: Field, half: float) -> Field:
    """Two ribs with their outer parts displaced, a dark gap between the ends and callus around it."""
    at = np.float32(0.70 * chest.width + 0.03 * spec.chance("fracture").uniform(-1, 1))
    first, last = _FRACTURED
    here = step(along - (first - 0.5), 0.1) * step((last + 0.5) - along, 0.1)
    off = lung.u - at - np.float32(0.013) * np.sin(np.float32(2.4) * np.round(along))  # no two in line
    beyond = step(off, 0.004) * step(0.10 - off, 0.06)
    shifted = along - here * beyond * np.float32(_FRACTURE_STEP / _PITCH)
    gap = 1 - 0.95 * here * np.exp(-np.square(off / np.float32(0.0060)))
    distance = np.abs(shifted - np.round(shifted)) * np.float32(_PITCH)
    callus = here * np.exp(-np.square(off / np.float32(0.024)) - np.square(distance / np.float32(0.016)))
    result: Field = (_rib_profile(shifted, half) + 3.6 * callus) * gap
    return result


def _haematoma(chest: Chest, lung: Lung) -> Field:
    """Blood under the pleura beside broken ribs: a lens on the inner side of the chest wall."""
    y = chest.apex + 0.10 + _PITCH * (sum(_FRACTURED) / 2)
    lens = ellipse(lung.u - lung.lateral, chest.y, (0.0, y), (0.056, 0.110))
    return 0.24 * np.sqrt(dome(lens)) * lung.mask


def _clavicles(spec: PhantomSpec, chest: Chest) -> Field:
    lift = spec.chance("clavicle").uniform(-0.012, 0.012)
    middle, edges = [], []
    for side in (Laterality.RIGHT, Laterality.LEFT):
        s = sign_of(side)
        top = chest.apex + 0.055 + lift
        centre = 0.5 + spec.body.rotation
        points = [(0.035, 0.062), (0.10, 0.040), (0.18, 0.032), (0.26, 0.008), (0.34, -0.022), (0.41, -0.028)]
        path = curve([(centre + s * u, top + v) for u, v in points])
        middle.append(path)
        edges += [path + np.array([0, v]) for v in (-0.0105, 0.0105)]
    bone = lines(chest.to_image(np.concatenate(middle)), 1.0, 0.0085, chest.size)
    rim = lines(chest.to_image(np.concatenate(edges)), 1.0, 0.0032, chest.size)
    return 0.085 * bone + 0.035 * rim


def _scapula(spec: PhantomSpec, chest: Chest, lung: Lung) -> Field:
    """Blade beside the upper lung, and the head of the humerus."""
    y = chest.y - np.float32(chest.apex)
    border = (
        0.315
        + spec.chance("scapula").uniform(-0.012, 0.03)
        + 0.10 * np.square(np.clip((y - 0.02) / 0.30, 0, 1.2))
    )
    blade = (
        step(lung.u - border, 0.008) * step(0.455 - lung.u, 0.02) * step(y - 0.0, 0.04) * step(0.33 - y, 0.05)
    )
    rim = blade * np.exp(-np.square((lung.u - border - 0.006) / np.float32(0.006)))
    head = blob(ellipse(lung.u, y, (0.455, 0.105), (0.055, 0.058)), 0.25)
    shaft = step(0.040 - np.abs(lung.u - 0.478), 0.015) * step(y - 0.12, 0.03) * step(0.5 - y, 0.1)
    result: Field = 0.035 * blade + 0.05 * rim + 0.10 * np.maximum(head, 0.7 * shaft)
    return result


def _spine(spec: PhantomSpec, chest: Chest) -> Field:
    """Vertebral bodies with their discs, pedicles and spinous processes, half hidden by the mediastinum."""
    v = np.abs(chest.x - np.float32(0.5 + 0.4 * (chest.midline - 0.5)))
    pitch = 0.050 + 0.012 * np.clip(chest.y, 0, 1)
    phase = chest.y / pitch
    level = np.abs(phase - np.floor(phase) - np.float32(0.5)) * pitch  # distance to the middle of a body
    waist = 0.036 + 0.006 * np.square(level / 0.027) + 0.008 * chest.y
    body = step(waist - v, 0.008)
    disc = np.exp(-np.square((level - 0.5 * pitch) / np.float32(0.006)))
    plate = np.exp(-np.square((level - 0.5 * pitch + 0.010) / np.float32(0.004)))
    pedicle = np.exp(-np.square((v - 0.024) / np.float32(0.007)) - np.square(level / np.float32(0.010)))
    process = np.exp(-np.square(v / np.float32(0.007)) - np.square((level - 0.012) / np.float32(0.012)))
    transverse = step(0.062 - v, 0.012) * np.exp(-np.square((level - 0.006) / np.float32(0.008)))
    result: Field = (
        body * (0.048 - 0.026 * disc + 0.018 * plate) + 0.022 * pedicle + 0.024 * process + 0.014 * transverse
    )
    return result
