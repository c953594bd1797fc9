"""Commands for the people who may sign in: list, disable, enable, change the role."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.commands.common import (
    ConfigOption,
    JsonOption,
    console,
    database_of,
    print_json,
    record_command,
    settings_of,
)

Name = Annotated[str, typer.Argument(help="Name to sign in with, as shown by `user list`.")]


def user_list(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the users: name, person, role, where they sign in, and whether they are enabled."""
    from rich.table import Table

    from agent.web.users import list_users

    users = list_users(database_of(settings_of(config)))
    if as_json:
        print_json(users)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "person", "role", "signs in", "state", "last seen"):
        table.add_column(column, overflow="fold")
    for one in users:
        seen = "" if one.seen_at is None else one.seen_at.astimezone().strftime("%Y-%m-%d %H:%M")
        state = "disabled" if one.disabled else "may sign in"
        table.add_row(one.name, one.person_name, one.role, one.source, state, seen)
    console().print(table if users else "no users: `echo-agent user add` makes one")


def user_disable(name: Name, config: ConfigOption = None) -> None:
    """Disable a user, whose sessions end at once. What the user did stays in the audit record."""
    from agent.web.users import set_disabled

    database = database_of(settings_of(config))
    set_disabled(database, name, disabled=True)
    record_command(database, "user-change", user=name, kind="disabled")
    print(f"{name} can no longer sign in")


def user_enable(name: Name, config: ConfigOption = None) -> None:
    """Enable a disabled user."""
    from agent.web.users import set_disabled

    database = database_of(settings_of(config))
    set_disabled(database, name, disabled=False)
    record_command(database, "user-change", user=name, kind="enabled")
    print(f"{name} may sign in again")


def user_role(
    name: Name,
    role: Annotated[str, typer.Argument(help="reader, radiologist or admin.")],
    config: ConfigOption = None,
) -> None:
    """Change a user's role, with immediate effect.

    For a user of an OpenID provider it lasts until the next sign-in there, which assigns the role again.
    """
    from agent.web.users import set_role

    database = database_of(settings_of(config))
    set_role(database, name, role)
    record_command(database, "user-change", user=name, role=role, kind="role")
    print(f"{name} has the role {role}")
