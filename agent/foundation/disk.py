"""Free space on a disk."""

from __future__ import annotations

import shutil
from pathlib import Path


def free_mb(path: Path) -> float | None:
    """Return the free space (MB) of the file system that holds `path`, or None where it cannot be read."""
    present = path.absolute()
    while not present.exists() and present != present.parent:
        present = present.parent
    try:
        return shutil.disk_usage(present).free / 1e6
    except OSError:
        return None
