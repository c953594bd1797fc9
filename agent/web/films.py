"""Films for the viewer: 16-bit values at the size of a screen, compressed, with their window.

A browser reads a 16-bit PNG as 8 bits, so the values go as they are: gzip of little-endian words.
"""

from __future__ import annotations

import gzip
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from PIL import Image

from agent.films.choosing.view import view_of
from agent.foundation.errors import InstanceMissing
from agent.objects.pixels import load_film, load_header
from agent.objects.store import InstanceStore

SCREEN_PX = 1536
FULL_PX = 8192
_KEPT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedFilm:
    """Rows x columns uint16 little-endian, gzipped; `low` and `high` are the ends of the window."""

    rows: int
    columns: int
    low: int
    high: int
    body: bytes


class Films:
    """Reads and reduces films, and keeps the last few."""

    def __init__(self, store: InstanceStore) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, int], EncodedFilm] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, sha256: str, longest: int) -> EncodedFilm:
        """Return a film with at most `longest` pixels a side.

        Raises:
            InstanceMissing: the file is gone.
            UnreadableImage: it cannot be decoded.
        """
        key = (sha256, longest)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        path = self._store.open(sha256)
        if not path.is_file():
            raise InstanceMissing("the file of an image is gone: restore it, or resend the study")
        film = load_film(path, view_of(load_header(path)))
        values = film.values
        share = longest / max(values.shape)
        if share < 1:
            size = (max(1, round(values.shape[1] * share)), max(1, round(values.shape[0] * share)))
            reduced = Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BOX)
            values = np.asarray(np.clip(np.rint(np.asarray(reduced)), 0, 0xFFFF), dtype=np.uint16)
        encoded = EncodedFilm(
            rows=values.shape[0],
            columns=values.shape[1],
            low=film.low,
            high=film.high,
            body=gzip.compress(values.astype("<u2").tobytes(), compresslevel=1),
        )
        with self._lock:
            self._kept[key] = encoded
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return encoded
