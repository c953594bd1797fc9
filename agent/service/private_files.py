"""Restricts access to the database and the images, which hold patients' names.

New files get the permissions of the process's `umask`, which excludes others. Files created by an earlier
version, or restored by hand, are corrected here.
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
    """Remove other users' permission to read the database file and the folder of the images.

    A group keeps its rights on the folder, which several machines may share. Files that belong to another
    user are left as they are; `config check` and `doctor` report them.
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
