"""Files that appear under their names complete, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """Yields a stream whose bytes replace the file at the end; memory maps of an older file stay readable.

    Each process writes under its own temporary name, because another run may be writing the same file.
    """
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    with fresh.open("wb") as stream:
        yield stream
    fresh.replace(file)
