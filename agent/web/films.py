"""Films for the viewer: 16-bit values at the size of a screen, compressed, with window and pixel size.

A browser reads a 16-bit PNG as 8 bits, so the values are sent raw: gzipped little-endian 16-bit words.
"""

from __future__ import annotations

import gzip
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from agent.foundation.errors import InstanceMissing, UnreadableImage
from agent.objects.films.choosing.view import view_of
from agent.objects.hanging import hung
from agent.objects.pixels import load_film, load_header, load_stored
from agent.objects.spacing import spacing_of
from agent.objects.store import InstanceStore
from dicom_sr.attributes import integer
from model.drafts.study import View

SCREEN_PX = 1536
FULL_PX = 8192
_KEPT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFilm:
    """Rows x columns uint16 little-endian, gzipped, and `about`, what the viewer must know about them.

    For a film: rows, columns, rows and columns of the whole film, the limits of its window (low, high), and
    the height and width (mm) of a pixel of the whole film, with the basis of the calibration. For stored
    values: rows, columns, and the value represented by 0.
    """

    about: Mapping[str, Any]
    body: bytes


class Films:
    """Reads and reduces films, and keeps the last few."""

    def __init__(self, store: InstanceStore) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, int], EncodedFilm] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, sha256: str, longest: int) -> EncodedFilm:
        """Return a film with at most `longest` pixels per side.

        Raises:
            InstanceMissing: the file is gone.
            UnreadableImage: it cannot be decoded.
        """
        return self._cached(sha256, longest, lambda path: _film(path, longest))

    def stored(self, sha256: str) -> EncodedFilm:
        """Return the stored values of a film's pixels, in the same position.

        Raises:
            InstanceMissing: the file is gone.
            UnreadableImage: it cannot be decoded.
        """
        return self._cached(sha256, 0, _stored)

    def _cached(self, sha256: str, size: int, make: Callable[[Path], EncodedFilm]) -> EncodedFilm:
        key = (sha256, size)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        path = self._store.open(sha256)
        if not path.is_file():
            raise InstanceMissing("the file of an image is gone: restore it, or resend the study")
        encoded = make(path)
        with self._lock:
            self._kept[key] = encoded
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return encoded


def _film(path: Path, longest: int) -> EncodedFilm:
    header = load_header(path)
    view = view_of(header)
    film = load_film(path, view)
    values = film.values
    share = longest / max(values.shape)
    if share < 1:
        size = (max(1, round(values.shape[1] * share)), max(1, round(values.shape[0] * share)))
        reduced = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BOX)
        values = np.asarray(np.clip(np.rint(np.asarray(reduced)), 0, 0xFFFF), dtype=np.uint16)
    rows, columns = film.values.shape
    about = {"low": film.low, "high": film.high, "whole": [rows, columns]}
    return _encoded(values, about | _size(header, view, rows, columns))


def _stored(path: Path) -> EncodedFilm:
    values = load_stored(path, view_of(load_header(path)))
    lowest = int(values.min())
    if int(values.max()) - lowest > 0xFFFF:
        raise UnreadableImage("the pixel values span more than 16 bits")
    return _encoded((values - lowest).astype(np.uint16), {"lowest": lowest})


def _size(header: Dataset, view: View, rows: int, columns: int) -> dict[str, Any]:
    """Return the height and width (mm) of a pixel of the whole film as it is hung; null if not stated."""
    spacing, size = spacing_of(header), (integer(header, "Rows"), integer(header, "Columns"))
    if spacing is None or size[0] is None or size[1] is None:
        return {"mm": None, "calibrated": False, "basis": "not calibrated"}
    high, wide = spacing.row_mm * size[0], spacing.column_mm * size[1]
    if hung(np.zeros((1, 2), dtype=np.uint8), header, view).shape == (2, 1):
        high, wide = wide, high
    return {"mm": [high / rows, wide / columns], "calibrated": spacing.calibrated, "basis": spacing.basis}


def _encoded(values: NDArray[np.uint16], about: Mapping[str, Any]) -> EncodedFilm:
    return EncodedFilm(
        about={"rows": values.shape[0], "columns": values.shape[1], **about},
        body=gzip.compress(values.astype("<u2").tobytes(), compresslevel=1),
    )
