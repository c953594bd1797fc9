"""Commands that serve the worklist page, and add users and passwords."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agent.commands.common import ConfigOption, database_of, record_command, settings_of
from agent.commands.run import WithParent, begin
from agent.commands.without_torch import refuse_torch


def web(config: ConfigOption = None, end_with_parent: WithParent = False) -> None:
    """Serve the radiologist's worklist."""
    # Some libraries load torch wherever it is installed, which takes memory; nothing here needs it.
    refuse_torch()
    from agent.service.wiring import run_web

    settings, lifecycle = begin("web", config, end_with_parent=end_with_parent)
    run_web(settings, database_of(settings), lifecycle)
    lifecycle.finish()


def user_add(
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    person_name: Annotated[str, typer.Option("--person", help="Family^Given, as written in reports.")],
    role: Annotated[str, typer.Option(help="reader, radiologist or admin.")] = "reader",
    identification: Annotated[
        str, typer.Option("--id", help="The person's code in the hospital, for verified reports.")
    ] = "",
    identification_scheme: Annotated[
        str, typer.Option("--id-scheme", help="Coding scheme of --id; one that begins with 99 is private.")
    ] = "99LOCAL",
    config: ConfigOption = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Add a user of the worklist."""
    from agent.foundation.errors import AccountInvalid
    from agent.web.accounts import Role, add_user

    if role not in {one.value for one in Role}:
        raise AccountInvalid("a role is one of reader, radiologist, admin")
    database = database_of(settings_of(config), create=True)
    add_user(
        database,
        name,
        person_name,
        Role(role),
        _password(password_stdin),
        identification=identification,
        identification_scheme=identification_scheme,
    )
    record_command(database, "user-change", user=name, role=role, kind="added")
    print(f"{name} may sign in as {role}")


def user_passwd(
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    config: ConfigOption = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Give a user a new password; all sessions of that user end."""
    from agent.web.accounts import set_password

    database = database_of(settings_of(config))
    set_password(database, name, _password(password_stdin))
    record_command(database, "user-change", user=name, kind="password")
    print(f"{name} has a new password")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
