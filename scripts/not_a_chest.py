"""Draws images that are not frontal chest films: other regions, slices, writing, noise.

`train_plausibility.py` makes and measures the check with them.
Every function returns uint8 pixels of 256 x 256; parts, pairs and captures are cut from films.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 256
Film = NDArray[np.uint8]
Rng = np.random.Generator


def field(rng: Rng) -> Film:
    """Draw noise between white and cloud-like."""
    return _stretched(_cloud(rng, rng.uniform(0, 2.5)))


def gradient(rng: Rng) -> Film:
    """Draw a slope in any direction, with a bowl or a dome."""
    y, x = _plane()
    angle = rng.uniform(0, 2 * np.pi)
    slope = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(-1, 1) * (x**2 + y**2)
    return _stretched(slope + 0.05 * rng.normal() * _cloud(rng, 1.5) / 3)


def blobs(rng: Rng) -> Film:
    """Draw ellipses of any size and grey."""
    image = Image.new("L", (SIDE, SIDE), int(rng.integers(0, 256)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 12))):
        (x, y), (a, b) = rng.uniform(0, SIDE, 2), rng.uniform(10, 110, 2)
        draw.ellipse((x - a, y - b, x + a, y + b), fill=int(rng.integers(0, 256)))
    return _blurred(np.asarray(image), rng)


def limbs(rng: Rng) -> Film:
    """Draw soft tissue with bones in it: fingers, forearm, knee."""
    image = Image.new("L", (SIDE, SIDE), int(rng.integers(0, 30)))
    draw = ImageDraw.Draw(image)
    main = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.uniform(40, SIDE - 40, 2)
        angle, half, width = main + rng.normal(0, 0.25), rng.uniform(30, 130), int(rng.integers(16, 70))
        dx, dy = half * np.cos(angle), half * np.sin(angle)
        ends = (x - dx, y - dy, x + dx, y + dy)
        draw.line(ends, fill=int(rng.integers(60, 130)), width=width)
        draw.line(ends, fill=int(rng.integers(140, 240)), width=max(4, width // 3))
    return _blurred(np.asarray(image), rng)


def trunk(rng: Rng) -> Film:
    """Draw an abdomen, a pelvis or a spine: a column in the middle, bowel gas, no lungs."""
    y, x = _plane()
    values = 150 - rng.uniform(10, 70) * np.abs(x) ** rng.uniform(1, 4) + rng.uniform(-30, 30) * y
    column = np.exp(-(((x - rng.normal(0, 0.08)) / rng.uniform(0.06, 0.2)) ** 2))
    values += rng.uniform(10, 90) * column * (1 + 0.3 * np.sin(y * rng.uniform(12, 30)))
    if rng.random() < 0.6:
        height = rng.choice([-1, 1]) * rng.uniform(0.4, 0.9)
        wings = np.exp(-(((np.abs(x) - rng.uniform(0.3, 0.6)) / 0.2) ** 2) - ((y - height) / 0.25) ** 2)
        values += rng.uniform(30, 90) * wings
    for _ in range(int(rng.integers(0, 8))):
        left, top = rng.uniform(-0.7, 0.7, 2)
        width, length = rng.uniform(0.05, 0.2, 2)
        values -= rng.uniform(20, 90) * np.exp(-(((x - left) / width) ** 2) - ((y - top) / length) ** 2)
    values[np.abs(x) > rng.uniform(0.75, 1.2)] = rng.uniform(0, 40)
    return _blurred(np.clip(values, 0, 255).astype(np.uint8), rng)


def skull(rng: Rng) -> Film:
    """Draw a bright ring around a grey inside."""
    y, x = _plane()
    radius = np.hypot(x / rng.uniform(0.6, 0.9), y / rng.uniform(0.6, 0.9))
    values = np.where(radius < 1, rng.uniform(60, 140), 10.0)
    values = values + rng.uniform(40, 110) * np.exp(-(((radius - 1) / 0.08) ** 2))
    return _blurred(np.clip(values + 20 * _cloud(rng, 1.5) / 3, 0, 255).astype(np.uint8), rng)


def axial_slice(rng: Rng) -> Film:
    """Draw a transverse slice through the trunk on black."""
    y, x = _plane()
    values = np.zeros((SIDE, SIDE))
    values[(x / rng.uniform(0.75, 0.95)) ** 2 + (y / rng.uniform(0.5, 0.75)) ** 2 < 1] = rng.uniform(90, 170)
    for side in (-1, 1):
        across = (x - side * rng.uniform(0.35, 0.45)) / rng.uniform(0.2, 0.33)
        lung = across**2 + ((y - rng.normal(0, 0.06)) / rng.uniform(0.3, 0.5)) ** 2 < 1
        if rng.random() < 0.8:
            values[lung] = rng.uniform(5, 60)
    values[(x / 0.12) ** 2 + ((y - rng.uniform(0.3, 0.5)) / 0.12) ** 2 < 1] = rng.uniform(190, 255)
    values[((x - rng.normal(0, 0.1)) / 0.22) ** 2 + ((y + 0.1) / 0.28) ** 2 < 1] = rng.uniform(110, 180)
    return _blurred(np.clip(values, 0, 255).astype(np.uint8), rng)


def sector(rng: Rng) -> Film:
    """Draw speckle in the sector of an ultrasound probe."""
    y, x = np.mgrid[:SIDE, :SIDE]
    depth = np.hypot(y + rng.uniform(5, 30), x - SIDE / 2)
    seen = (np.abs(np.arctan2(x - SIDE / 2, y + 10)) < rng.uniform(0.4, 0.9)) & (depth < SIDE) & (depth > 30)
    speckle = rng.gamma(2, rng.uniform(15, 45), (SIDE, SIDE))
    return np.asarray(np.clip(speckle * seen, 0, 255), dtype=np.uint8)


def writing(rng: Rng) -> Film:
    """Draw lines of characters, white on black or black on white."""
    image = Image.new("L", (SIDE, SIDE), 0)
    draw = ImageDraw.Draw(image)
    for line in range(int(rng.integers(3, 22))):
        words = "".join(rng.choice(list("abcdefghijk lmn 0123456789"), int(rng.integers(8, 38))))
        draw.text((int(rng.integers(2, 30)), 4 + line * 11), words, fill=int(rng.integers(120, 256)))
    pixels = np.asarray(image)
    return 255 - pixels if rng.random() < 0.5 else pixels


DRAWN = (field, gradient, blobs, limbs, trunk, trunk, skull, axial_slice, sector, writing)


def part(film: Film, rng: Rng) -> Film:
    """Cut out a twelfth to a half of each side."""
    share = rng.uniform(0.12, 0.5)
    rows, columns = (int(one * share) for one in film.shape)
    top, left = (
        int(rng.integers(0, one - cut + 1)) for one, cut in zip(film.shape, (rows, columns), strict=True)
    )
    return _resized(film[top : top + rows, left : left + columns], SIDE, SIDE)


def beside(film: Film, other: Film, rng: Rng) -> Film:
    """Set two films side by side."""
    rows = SIDE // 2 if rng.random() < 0.5 else SIDE
    return np.hstack([_resized(film, rows, SIDE // 2), _resized(other, rows, SIDE // 2)])


def captured(film: Film, rng: Rng) -> Film:
    """Set a small film into a page of writing, or on a grey one."""
    page = writing(rng) if rng.random() < 0.6 else np.full((SIDE, SIDE), rng.integers(0, 256), np.uint8)
    page, side = page.copy(), int(rng.integers(70, 150))
    top, left = rng.integers(0, SIDE - side, 2)
    page[top : top + side, left : left + side] = _resized(film, side, side)
    return page


def _plane() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    return y, x


def _cloud(rng: Rng, power: float) -> NDArray[np.float64]:
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    frequency[0, 0] = 1
    return np.real(np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / frequency**power))


def _stretched(values: NDArray[np.float64]) -> Film:
    low, high = np.percentile(values, (0.5, 99.5))
    return np.asarray(np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255, dtype=np.uint8)


def _blurred(pixels: Film, rng: Rng) -> Film:
    side = int(rng.integers(32, 200))
    small = Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)
    large = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.clip(large + rng.normal(0, rng.uniform(0, 8), (SIDE, SIDE)), 0, 255).astype(np.uint8)


def _resized(pixels: Film, rows: int, columns: int) -> Film:
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize((columns, rows)))
