"""From attenuation to a digital film: scatter, exposure, detector noise, 12 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.phantom.canvas import Field, resample, smooth_noise
from model.phantom.frontal import frontal_attenuation
from model.phantom.lateral import lateral_attenuation
from model.phantom.spec import PhantomSpec, View

FULL_SCALE = 4095  # 12 bits
_GRAIN = 168  # cells of the coarse noise along a side


def render(spec: PhantomSpec, view: View, size: int) -> NDArray[np.uint16]:
    """The film of a view as MONOCHROME2 (bright is dense), whatever the photometric interpretation.

    Args:
        spec: the phantom study.
        view: frontal (PA) or lateral.
        size: side of the square image in pixels, 64 or more. The content does not depend on it: a large image
            averaged down equals a small one up to noise.

    Returns: [size, size], 0 to 4095.
    """
    draw = frontal_attenuation if view == "frontal" else lateral_attenuation
    return _expose(spec, view, draw(spec, size))


def stored_pixels(spec: PhantomSpec, view: View, size: int) -> NDArray[np.uint16]:
    """The pixels as a modality stores them: inverted for MONOCHROME1. [size, size], 0 to 4095."""
    film = render(spec, view, size)
    return np.subtract(FULL_SCALE, film, dtype=np.uint16) if spec.photometric == "MONOCHROME1" else film


def _expose(spec: PhantomSpec, view: View, attenuation: Field) -> NDArray[np.uint16]:
    size, exposure = attenuation.shape[0], spec.exposure
    scatter = resample(_thumbnail(attenuation, 42), size)
    value: Field = attenuation + 0.10 * (scatter - attenuation)
    value = 0.5 + (value - 0.5) * exposure.gain + exposure.level
    value = _film_curve(value)
    value += exposure.noise * (0.8 + 0.4 * value) * _noise(spec.chance("noise", view), size)
    return np.clip(np.round(value * FULL_SCALE), 0, FULL_SCALE).astype(np.uint16)


def _noise(rng: np.random.Generator, size: int) -> Field:
    """Quantum noise: standard deviation 1 at 168 px, and again 1 when a larger film is averaged down."""
    noise = smooth_noise(rng, _GRAIN, size)
    if size <= _GRAIN:
        return noise
    finer = min(size / _GRAIN - 1, 1)
    # Stretching and averaging down again keeps 0.59 of the amplitude; the fine part averages out.
    fine = rng.standard_normal((size, size), dtype=np.float32)
    return noise * np.float32(1 + 0.68 * finer) + fine * np.float32(0.6 * finer)


def _film_curve(value: Field) -> Field:
    """The toe and the shoulder of the film: linear in between, never clipped hard."""
    result: Field = (1 / (1 + np.exp(-4.6 * (value - 0.5)))).astype(np.float32)
    return result


def _thumbnail(field: Field, cells: int) -> Field:
    """A blurred small copy, for scatter."""
    small = resample(ndimage.uniform_filter(field, max(field.shape[0] // cells, 1)), cells)
    result: Field = ndimage.gaussian_filter(small, 2.5)
    return result
