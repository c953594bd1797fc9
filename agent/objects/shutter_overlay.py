"""Finds the overlay that is an image's bitmap shutter. Pure.

Source: PS3.3 C.7.6.15 (Bitmap Display Shutter), C.9.2 (Overlay Plane).
"""

from __future__ import annotations

from pydicom import Dataset

from dicom_sr.attributes import integer, texts


def shutter_overlay(header: Dataset) -> int | None:
    """Return the group (0x6000 to 0x60FE, even) of the overlay that is a bitmap shutter, or None."""
    shapes = {one.strip().upper() for one in texts(header, "ShutterShape")}
    group = integer(header, "ShutterOverlayGroup")
    return group if "BITMAP" in shapes and group in range(0x6000, 0x6100, 2) else None


def overlay_tags(group: int) -> tuple[int, int, int, int]:
    """Return the tags of an overlay's rows, columns, origin and data."""
    rows, columns, origin, data = (group << 16 | one for one in (0x0010, 0x0011, 0x0050, 0x3000))
    return rows, columns, origin, data
