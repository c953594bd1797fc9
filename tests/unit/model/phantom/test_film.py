"""Films: the same at every size, deterministic, 12 bits, inverted for MONOCHROME1."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.phantom import FULL_SCALE, draw_spec, render, stored_pixels
from model.phantom.spec import View

VIEWS: tuple[View, ...] = ("frontal", "lateral")


def averaged(film: np.ndarray, size: int) -> np.ndarray:
    """Return a film averaged down to a smaller size."""
    factor = film.shape[0] // size
    return film.reshape(size, factor, size, factor).mean((1, 3))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("seed", [1, 5, 7])
def test_render_is_independent_of_the_size(view: View, seed: int) -> None:
    """A large film averaged down is the small film: mean equal, 99 % of pixels within 4 % of full scale."""
    spec = draw_spec(seed)
    still = replace(spec, exposure=replace(spec.exposure, noise=0.0))
    small = render(still, view, 168).astype(float)
    large = averaged(render(still, view, 1008), 168)
    assert abs(float((small - large).mean())) < 0.001 * FULL_SCALE
    assert float(np.quantile(np.abs(small - large), 0.99)) < 0.04 * FULL_SCALE
    assert float(np.corrcoef(small.ravel(), large.ravel())[0, 1]) > 0.998


def test_noise_is_independent_of_the_size() -> None:
    """Averaged down, a large film has the noise of a small one, within a tenth."""
    spec = draw_spec(3)
    still = replace(spec, exposure=replace(spec.exposure, noise=0.0))
    deviations = [
        float(
            (
                averaged(render(spec, "frontal", size), 168) - averaged(render(still, "frontal", size), 168)
            ).std()
        )
        for size in (168, 504, 1008)
    ]
    assert deviations == pytest.approx([deviations[0]] * 3, rel=0.1)


@pytest.mark.parametrize("view", VIEWS)
def test_render_is_deterministic_and_12_bit(view: View) -> None:
    """The same study gives the same film, within 12 bits and using most of that range."""
    film = render(draw_spec(4), view, 168)
    assert np.array_equal(film, render(draw_spec(4), view, 168))
    assert film.dtype == np.uint16
    assert film.shape == (168, 168)
    assert int(film.max()) <= FULL_SCALE
    assert int(np.quantile(film, 0.99)) - int(np.quantile(film, 0.01)) > FULL_SCALE // 2


def test_stored_pixels_invert_monochrome1() -> None:
    """MONOCHROME1 stores the complement, MONOCHROME2 the film itself."""
    spec = draw_spec(2)
    film = render(spec, "frontal", 96)
    inverted = stored_pixels(replace(spec, photometric="MONOCHROME1"), "frontal", 96)
    assert np.array_equal(inverted, FULL_SCALE - film)
    assert np.array_equal(stored_pixels(replace(spec, photometric="MONOCHROME2"), "frontal", 96), film)


def test_films_of_different_seeds_differ() -> None:
    """Films of two seeds are not equal."""
    assert not np.array_equal(render(draw_spec(2), "frontal", 96), render(draw_spec(3), "frontal", 96))
