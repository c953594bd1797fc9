"""Files that appear under their names whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """Yields a stream whose bytes replace the file at the end; what is mapped of an older one stays readable.

    Each process writes under a name of its own, because another run may be writing the same file.
    """
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    with fresh.open("wb") as stream:
        yield stream
    fresh.replace(file)
