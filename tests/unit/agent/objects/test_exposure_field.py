"""The exposed part of an image: shutters and collimators of every shape lie outside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from agent.objects.exposure_field import exposure_mask
from agent.objects.pixels import load_image
from tests.support.films import chest_film, chest_pixels, file_bytes

SIZE = 256
ROWS, COLUMNS = np.mgrid[1 : SIZE + 1, 1 : SIZE + 1]
RECTANGLE = {
    "Shape": "RECTANGULAR", "UpperHorizontalEdge": 40, "LowerHorizontalEdge": 220,
    "LeftVerticalEdge": 30, "RightVerticalEdge": 230,
}  # fmt: skip
CIRCLE = {"Shape": "CIRCULAR", "Center": [128, 128], "Radius": 100}
POLYGON = {"Shape": "POLYGONAL", "Vertices": [20, 128, 128, 236, 236, 128, 128, 20]}
INSIDE = {
    "RECTANGULAR": (ROWS > 40) & (ROWS < 220) & (COLUMNS > 30) & (COLUMNS < 230),
    "CIRCULAR": (ROWS - 128) ** 2 + (COLUMNS - 128) ** 2 <= 100**2,
    "POLYGONAL": abs(ROWS - 128) + abs(COLUMNS - 128) <= 108,
    "BITMAP": (ROWS > 30) & (COLUMNS > 50),
}
BITMAP = {"Shape": "BITMAP", "OverlayGroup": 0x6002}


def header(what: str, *shapes: dict[str, object]) -> Dataset:
    """A header with a shutter or collimator that combines these shapes."""
    names = {
        "Center": f"CenterOfCircular{what}", "Radius": f"RadiusOfCircular{what}",
        "Vertices": f"VerticesOfThePolygonal{what}",
    }  # fmt: skip
    found = Dataset()
    for shape in shapes:
        for key, value in shape.items():
            if key != "Shape":
                setattr(found, names.get(key, f"{what}{key}"), value)
    setattr(found, f"{what}Shape", [shape["Shape"] for shape in shapes])
    if BITMAP in shapes:
        found.update(plane(~INSIDE["BITMAP"]))
    return found


def plane(covered: NDArray[np.bool_], origin: tuple[int, int] = (1, 1), group: int = 0x6002) -> Dataset:
    """An overlay of one bit per pixel, packed from the lowest bit."""
    found = Dataset()
    found.add_new(group << 16 | 0x0010, "US", covered.shape[0])
    found.add_new(group << 16 | 0x0011, "US", covered.shape[1])
    found.add_new(group << 16 | 0x0050, "SS", list(origin))
    packed = np.packbits(covered.ravel(), bitorder="little").tobytes()
    found.add_new(group << 16 | 0x3000, "OW", packed + b"\0" * (len(packed) % 2))
    return found


@pytest.mark.parametrize("what", ["Shutter", "Collimator"])
@pytest.mark.parametrize(
    "shapes",
    [(RECTANGLE,), (CIRCLE,), (POLYGON,), (RECTANGLE, POLYGON), (RECTANGLE, CIRCLE, POLYGON)],
)
def test_every_shape_is_left_out(what: str, shapes: tuple[dict[str, object], ...]) -> None:
    """Pixels outside one of the shapes do not count (PS3.3 C.7.6.11)."""
    stored = np.full((SIZE, SIZE), 4095, dtype=np.uint16)
    mask = exposure_mask(header(what, *shapes), stored)
    expected = np.logical_and.reduce([INSIDE[str(shape["Shape"])] for shape in shapes])
    assert mask is not None
    # Pixels on the edge itself may fall on either side.
    assert float((mask != expected).mean()) < 0.005


@pytest.mark.parametrize("shapes", [(BITMAP,), (RECTANGLE, BITMAP)])
def test_bitmap_of_an_overlay_is_left_out(shapes: tuple[dict[str, object], ...]) -> None:
    """A bit of 1 covers its pixel (PS3.3 C.7.6.15)."""
    mask = exposure_mask(header("Shutter", *shapes), np.full((SIZE, SIZE), 4095, dtype=np.uint16))
    expected = np.logical_and.reduce([INSIDE[str(shape["Shape"])] for shape in shapes])
    assert mask is not None
    assert float((mask != expected).mean()) < 0.005


@pytest.mark.parametrize(
    "vertices", [[], [1, 1], [10, 10, 20, 20], [1, 2, 3, 4, 5, 6, 7], [1, 1, 9, 1, 9, 2**40], [5] * 6]
)
def test_polygon_that_encloses_nothing_is_no_shutter(vertices: list[int]) -> None:
    """Too few, unpaired or distant vertices, and a single point, leave the whole image."""
    found = header("Shutter", {"Shape": "POLYGONAL", "Vertices": vertices})
    assert exposure_mask(found, chest_pixels()) is None


@pytest.mark.parametrize(("origin", "rows"), [((-9, -19), 300), ((11, 21), 100), ((1, 1), 7)])
def test_bitmap_shutter_lies_where_its_origin_says(origin: tuple[int, int], rows: int) -> None:
    """An overlay may be larger or smaller than the image; outside the overlay nothing is covered."""
    found = header("Shutter", {"Shape": "BITMAP", "OverlayGroup": 0x6002})
    covered = np.zeros((rows, 301), dtype=bool)
    covered[: rows // 2] = True
    found.update(plane(covered, origin))
    expected = np.ones((SIZE, SIZE), dtype=bool)
    top, left = origin[0] - 1, origin[1] - 1
    expected[max(top, 0) : top + rows // 2, max(left, 0) : left + 301] = False
    mask = exposure_mask(found, np.full((SIZE, SIZE), 4095, dtype=np.uint16))
    assert mask is not None
    assert (mask == expected).all()


@pytest.mark.parametrize("group", [None, 0x6001, 0x5FFE, 0x6004, 0x7FE0])
def test_bitmap_shutter_without_its_overlay_is_none(group: int | None) -> None:
    """An absent, odd or invalid group, or a missing overlay, leaves the whole image."""
    found = header("Shutter", BITMAP)
    found.ShutterOverlayGroup = group
    assert exposure_mask(found, chest_pixels()) is None


def test_bitmap_shutter_that_is_cut_off_is_none() -> None:
    """Fewer bits than rows times columns are not a shutter."""
    found = header("Shutter", BITMAP)
    found[0x60023000].value = b"\xff\x00"
    assert exposure_mask(found, chest_pixels()) is None


@pytest.mark.parametrize("shape", [RECTANGLE, CIRCLE, POLYGON, BITMAP])
def test_what_a_shutter_covers_does_not_set_the_grey_scale(shape: dict[str, object], tmp_path: Path) -> None:
    """Two films that differ only under the shutter look the same inside it."""
    inside, shown = INSIDE[str(shape["Shape"])], []
    for covered in (0, 4095):
        film = chest_film(BitsAllocated=16, BitsStored=12, HighBit=11)
        values = np.where(inside, 1000 + 4 * chest_pixels().astype(np.uint16), covered).astype("<u2")
        film.PixelData = values.tobytes()
        film.update(header("Shutter", shape))
        path = tmp_path / f"{covered}.dcm"
        path.write_bytes(file_bytes(film))
        assert dcmread(path).ShutterShape == shape["Shape"]
        shown.append(load_image(path, "frontal").pixels)
    core = slice(SIZE // 2 - 40, SIZE // 2 + 40)
    assert shown[0].shape == (SIZE, SIZE)
    assert np.abs(shown[0][core, core].astype(int) - shown[1][core, core].astype(int)).max() <= 2
