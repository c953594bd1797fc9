"""The database: schema upgrades, backup and restore."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from agent.commands.common import ConfigOption, settings_of


def db_upgrade(config: ConfigOption = None) -> None:
    """Bring the database to the schema of this version; a SQLite file is copied first."""
    from agent.database import migrate
    from agent.foundation.log import configure_logging
    from agent.service.private_files import make_private
    from agent.service.wiring import open_database

    settings = settings_of(config)
    configure_logging(settings.log)
    database = open_database(settings)
    done = migrate.upgrade(database)
    database.close()
    make_private(settings)
    if done.before == done.after:
        print(f"the database is up to date (revision {done.after})")
    else:
        print(f"the database was upgraded from revision {done.before or 'none'} to {done.after}")
    if done.backup is not None:
        print(f"its previous state is saved in {done.backup}")


def db_backup(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The new file, which must not exist. Default: in `backups/` next to `storage.path`, "
            "named by the time.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Copy the database to a file. The service may run meanwhile.

    The file holds patients' names. The received images are not in it: back up `storage.path` too.
    """
    from agent.database.backup import back_up, backup_name
    from agent.service.wiring import open_database

    settings = settings_of(config)
    database = open_database(settings)
    if file is None:
        file = settings.storage.path.parent / "backups" / backup_name(database, datetime.now(UTC))
    made = back_up(database, file)
    database.close()
    print(f"{made.path} ({made.size_bytes / 1e6:.1f} MB); `echo-agent db restore` restores it")


def db_restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file of `db backup`.")],
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Restore the database to its state when the file was written. Stop the service first.

    Later changes are lost; when the listener starts, it enters received images that have no row again, and
    they are drafted again.
    """
    from agent.database import migrate
    from agent.database.backup import restore
    from agent.foundation.errors import BackupFailed
    from agent.operations.status import living_processes
    from agent.service.private_files import make_private
    from agent.service.wiring import open_database

    settings = settings_of(config)
    database = open_database(settings)
    if migrate.current_revision(database) is not None:
        living = living_processes(database)
        if living:
            raise BackupFailed(
                f"still running: {', '.join(living)}; stop the service (a killed process counts as stopped "
                "after 45 s)"
            )
    if not yes:
        typer.confirm("Everything entered since the backup will be lost. Continue?", abort=True)
    restore(database, file)
    make_private(settings)
    print(f"the database was restored from {file}; `echo-agent db upgrade` brings it to this version")
