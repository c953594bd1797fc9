"""Keeps others from reading the database and the images: they hold patients' names.

New files get the rights of the process (`umask`), which lets nobody else in. What was made by an earlier
version, or put back by hand, is set right here.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from sqlalchemy.engine import make_url

from agent.database.session import sqlite_file
from agent.foundation.settings.tree import Settings

# SQLite's own files beside the database.
_BESIDE = ("", "-wal", "-shm", "-journal")


def make_private(settings: Settings) -> None:
    """Take from others the right to read the database's file and the folder of the images.

    A group keeps its rights on the folder, which several machines may share. What belongs to somebody else
    is left as it is: `config check` and `doctor` cannot change it either.
    """
    file = sqlite_file(make_url(settings.database.url))
    if file is not None:
        for ending in _BESIDE:
            _take(Path(f"{file}{ending}"), stat.S_IRWXG | stat.S_IRWXO)
    _take(settings.storage.path, stat.S_IRWXO)


def _take(path: Path, rights: int) -> None:
    with suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & rights:
            os.chmod(path, mode & ~rights)
