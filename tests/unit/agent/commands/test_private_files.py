"""Only their owner may read the database and the images: after an upgrade, a rollback, and any command."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from agent.database.session import Database
from tests.unit.agent.commands.conftest import Run


def rights(path: Path) -> int:
    """The permissions of the group and of others on a file."""
    return stat.S_IMODE(path.stat().st_mode) & 0o077


def test_database_is_made_for_its_owner_alone(run: Run, tmp_path: Path) -> None:
    """`db upgrade` on a new machine makes private files, whatever the shell's umask."""
    before = os.umask(0)
    try:
        assert run("db", "upgrade").exit_code == 0
    finally:
        os.umask(before)
    assert {path.name: rights(path) for path in tmp_path.glob("agent.db*")} == dict.fromkeys(
        [path.name for path in tmp_path.glob("agent.db*")], 0
    )
    assert (tmp_path / "agent.db").exists()


def test_files_put_back_by_hand_are_private_after_the_next_command(
    run: Run, database: Database, tmp_path: Path
) -> None:
    """Files copied for a rollback have the permissions given by the copying shell."""
    images = tmp_path / "instances"
    images.mkdir(exist_ok=True)
    images.chmod(0o755)
    (tmp_path / "agent.db").chmod(0o644)
    assert run("queue", "list").exit_code == 0
    assert rights(tmp_path / "agent.db") == 0
    assert rights(images) & 0o007 == 0
