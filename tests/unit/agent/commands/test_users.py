"""`user list|disable|enable|role`: what an administrator sees and changes."""

from __future__ import annotations

import json

import pytest

from agent.database.session import Database
from tests.unit.agent.commands.conftest import Run


@pytest.fixture
def jane(run: Run, database: Database) -> None:
    """A radiologist."""
    added = run(
        "user", "add", "jane", "--person", "Doe^Jane", "--role", "radiologist", "--password-stdin",
        given="long enough to be taken\n",
    )  # fmt: skip
    assert added.exit_code == 0


def listed(run: Run) -> list[tuple[str, str, bool]]:
    """The name and role of every user, and whether it is disabled."""
    users = json.loads(run("user", "list", "--json").stdout)
    return [(one["name"], one["role"], one["disabled"]) for one in users]


def test_user_is_disabled_and_enabled_again(run: Run, jane: None) -> None:
    """The list shows each change at once."""
    assert listed(run) == [("jane", "radiologist", False)]
    assert run("user", "disable", "jane").exit_code == 0
    assert listed(run) == [("jane", "radiologist", True)]
    assert "disabled" in run("user", "list").stdout
    assert run("user", "enable", "jane").exit_code == 0
    assert listed(run) == [("jane", "radiologist", False)]


def test_role_is_changed(run: Run, jane: None) -> None:
    """An unknown role is refused, and nothing is changed."""
    assert run("user", "role", "jane", "admin").exit_code == 0
    assert run("user", "role", "jane", "boss").exit_code == 2
    assert listed(run) == [("jane", "admin", False)]


@pytest.mark.parametrize("command", [("disable",), ("enable",), ("role", "admin")])
def test_unknown_user_is_refused(run: Run, database: Database, command: tuple[str, ...]) -> None:
    """A misspelt name is refused, and the message says how to list the names."""
    result = run("user", command[0], "nobody", *command[1:])
    assert result.exit_code == 2
    assert "`echo-agent user list` shows them [account-invalid]" in result.stderr
