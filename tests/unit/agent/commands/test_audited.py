"""Users changed and studies viewed by a command are recorded in the audit."""

from __future__ import annotations

import getpass
from typing import Any

import pytest
from sqlalchemy import select

from agent.database.session import Database
from agent.database.tables import AuditEvent, Study
from tests.unit.agent.commands.conftest import Run

PASSWORD = "long enough to be taken"


def events(database: Database) -> list[tuple[str, str, int | None, dict[str, Any]]]:
    """Return all audit events."""
    with database.reading() as session:
        rows = session.scalars(select(AuditEvent).order_by(AuditEvent.id))
        return [(one.action, one.actor, one.study_id, dict(one.details)) for one in rows]


def test_users_are_made_and_changed_on_record(run: Run, database: Database) -> None:
    """The audit records who added or changed which user, and never the password."""
    added = run(
        "user", "add", "jane", "--person", "Doe^Jane", "--role", "radiologist", "--password-stdin",
        given=f"{PASSWORD}\n",
    )  # fmt: skip
    changed = run("user", "passwd", "jane", "--password-stdin", given=f"{PASSWORD}, another\n")
    assert (added.stdout, changed.stdout) == (
        "jane may sign in as radiologist\n",
        "jane has a new password\n",
    )
    who = f"cli:{getpass.getuser()}"
    assert events(database) == [
        ("user-change", who, None, {"user": "jane", "role": "radiologist", "kind": "added"}),
        ("user-change", who, None, {"user": "jane", "kind": "password"}),
    ]


def test_password_is_asked_for_twice(run: Run, database: Database) -> None:
    """Two passwords that differ are asked for again, so that a typing mistake locks nobody out."""
    given = f"{PASSWORD}\nother\n{PASSWORD}\n{PASSWORD}\n"
    result = run("user", "add", "jane", "--person", "Doe^Jane", given=given)
    assert (result.exit_code, PASSWORD in result.stdout) == (0, False)


@pytest.mark.parametrize("role", ["boss", ""])
def test_unknown_roles_are_refused(run: Run, database: Database, role: str) -> None:
    """The message lists the known roles; nothing is recorded."""
    result = run(
        "user", "add", "jane", "--person", "Doe^Jane", "--role", role, "--password-stdin", given=PASSWORD
    )
    assert (result.exit_code, "reader, radiologist, admin" in result.stderr) == (2, True)
    assert events(database) == []


def test_looking_at_a_study_is_on_record(run: Run, job: int, database: Database) -> None:
    """Each command that prints a draft records whose study was viewed."""
    for command in (("study", "show", "1.2.3"), ("queue", "show", str(job)), ("dead", "show", str(job))):
        assert run(*command).exit_code == 0
    with database.reading() as session:
        study = session.scalars(select(Study.id)).one()
    assert [(action, study_id) for action, _, study_id, _ in events(database)] == [("view", study)] * 3
