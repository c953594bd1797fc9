"""The part of an image that was exposed: without shutter and collimation borders, which must not influence
the grey scale.

Pure. Source: PS3.3 C.7.6.11 (Display Shutter), C.7.6.15 (Bitmap Display Shutter), C.9.2 (Overlay Plane),
C.8.7.3 (X-Ray Collimator); rows and columns count from 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset

from agent.objects.shutter_overlay import overlay_tags, shutter_overlay
from dicom_sr.attributes import integer, integers, octets, texts

# A field smaller than this share of the image counts as an error in the header.
_LEAST_SHARE = 0.05
# A border row or column spans less than this share of the grey levels of the whole image.
_FLAT = 0.02
# Borders are searched in every n-th pixel of a row and column, and in at most this share of a side.
_STEP, _DEEPEST = 4, 0.45
# A vertex farther away (pixels) is an error in the header.
_FARTHEST = 100_000

Mask = NDArray[np.bool_]


def exposure_mask(header: Dataset, stored: NDArray[np.integer]) -> Mask | None:
    """Return the pixels [H, W] that count for the grey scale; None if all do.

    header: with the overlay that a bitmap shutter names, if it has one.
    """
    mask = _edges(header, stored.shape, "Shutter")
    collimator = _edges(header, stored.shape, "Collimator")
    if collimator is not None:
        mask = collimator if mask is None else mask & collimator
    if mask is not None and mask.mean() >= _LEAST_SHARE:
        return mask
    return _without_borders(stored)


def _edges(header: Dataset, shape: tuple[int, ...], what: str) -> Mask | None:
    shapes = {one.strip().upper() for one in texts(header, f"{what}Shape")}
    mask: Mask | None = None
    if "RECTANGULAR" in shapes:
        mask = _rectangle(header, shape, what)
    if "CIRCULAR" in shapes:
        circle = _circle(header, shape, what)
        mask = circle if mask is None else mask if circle is None else mask & circle
    if "POLYGONAL" in shapes:
        polygon = _polygon(header, shape, what)
        mask = polygon if mask is None else mask if polygon is None else mask & polygon
    if what == "Shutter" and "BITMAP" in shapes:
        bitmap = _bitmap(header, shape)
        mask = bitmap if mask is None else mask if bitmap is None else mask & bitmap
    return mask


def _rectangle(header: Dataset, shape: tuple[int, ...], what: str) -> Mask | None:
    names = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
    edges = [integer(header, f"{what}{name}") for name in names]
    top, bottom, left, right = (-1 if edge is None else edge for edge in edges)
    if None in edges or top >= bottom or left >= right:
        return None
    mask = np.zeros(shape[:2], dtype=bool)
    mask[max(top, 0) : max(bottom - 1, 0), max(left, 0) : max(right - 1, 0)] = True
    return mask


def _circle(header: Dataset, shape: tuple[int, ...], what: str) -> Mask | None:
    name = "CenterOfCircularShutter" if what == "Shutter" else "CenterOfCircularCollimator"
    center = integers(header, name)
    radius = integer(header, "RadiusOfCircularShutter" if what == "Shutter" else "RadiusOfCircularCollimator")
    if len(center) != 2 or radius is None or radius < 1:
        return None
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((rows - center[0] + 1) ** 2 + (columns - center[1] + 1) ** 2 <= radius**2)


def _polygon(header: Dataset, shape: tuple[int, ...], what: str) -> Mask | None:
    """Fill the polygon given by its vertices (pairs of row and column), whose last vertex is joined to
    the first.
    """
    name = "VerticesOfThePolygonalShutter" if what == "Shutter" else "VerticesOfThePolygonalCollimator"
    edges = integers(header, name)
    if len(edges) < 6 or len(edges) % 2 or max(map(abs, edges)) > _FARTHEST:
        return None
    image = Image.new("1", (shape[1], shape[0]))
    corners = [(column - 1, row - 1) for row, column in zip(edges[::2], edges[1::2], strict=True)]
    ImageDraw.Draw(image).polygon(corners, fill=1)
    return np.array(image, dtype=bool)


def _bitmap(header: Dataset, shape: tuple[int, ...]) -> Mask | None:
    """A bit of 1 covers its pixel; the area outside the overlay is not covered."""
    group = shutter_overlay(header)
    if group is None:
        return None
    rows_tag, columns_tag, origin_tag, data_tag = overlay_tags(group)
    rows, columns = integer(header, rows_tag) or 0, integer(header, columns_tag) or 0
    top, left = integers(header, origin_tag) or (1, 1)
    packed = np.frombuffer(octets(header, data_tag), dtype=np.uint8)
    if not 0 < rows * columns <= 8 * len(packed) or max(abs(top), abs(left)) > _FARTHEST:
        return None
    # Overlays are packed from the lowest bit on (PS3.5 8.1.2).
    bits = np.unpackbits(packed, bitorder="little", count=rows * columns).reshape(rows, columns)
    mask = np.ones(shape[:2], dtype=bool)
    row, column = top - 1, left - 1
    inside = mask[max(row, 0) : max(row + rows, 0), max(column, 0) : max(column + columns, 0)]
    covered = bits[max(-row, 0) :, max(-column, 0) :][: inside.shape[0], : inside.shape[1]]
    inside[...] = covered == 0
    return mask


def _without_borders(stored: NDArray[np.integer]) -> Mask | None:
    """Exclude uniform rows and columns at the edges, left by a collimator or an added frame."""
    rows, columns = stored.shape[:2]
    if min(rows, columns) < 64:
        return None
    some = stored[::_STEP, ::_STEP].astype(np.float32)
    low, high = np.percentile(some, (1, 99))
    least = _FLAT * max(float(high - low), 1.0)
    top, bottom = _flat_ends(some, least)
    left, right = _flat_ends(some.T, least)
    if not any((top, bottom, left, right)):
        return None
    mask = np.zeros((rows, columns), dtype=bool)
    mask[top * _STEP : rows - bottom * _STEP, left * _STEP : columns - right * _STEP] = True
    return mask if mask.mean() >= _LEAST_SHARE else None


def _flat_ends(lines: NDArray[np.float32], least: float) -> tuple[int, int]:
    """Return how many lines at the beginning and at the end are uniform and of one grey level."""
    low, level, high = np.percentile(lines, (5, 50, 95), axis=1)
    flat = high - low < least
    deepest = int(len(flat) * _DEEPEST)
    ends = []
    for order in (slice(None, None, 1), slice(None, None, -1)):
        levels = level[order][:deepest]
        side = flat[order][:deepest] & (np.abs(levels - levels[:1]) < least)
        ends.append(len(side) if side.all() else int(np.argmin(side)))
    return ends[0], ends[1]
