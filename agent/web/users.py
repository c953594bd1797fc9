"""Administration of users: list, disable, enable, change the role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from agent.database.session import Database, database_now
from agent.database.tables import User, WebSession
from agent.foundation.errors import AccountInvalid
from agent.web.accounts import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLine:
    """A user, without the password's hash; `seen_at` is the last action in a session that is still open."""

    name: str
    person_name: str
    role: str
    source: str
    disabled: bool
    created_at: datetime
    seen_at: datetime | None


def list_users(database: Database) -> list[UserLine]:
    """Return all users by name.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    last = select(func.max(WebSession.seen_at)).where(WebSession.user_id == User.id).scalar_subquery()
    with database.reading() as session:
        return [
            UserLine(
                name=user.name,
                person_name=user.person_name,
                role=user.role,
                source="OpenID provider" if user.subject is not None else "here",
                disabled=user.disabled,
                created_at=user.created_at,
                seen_at=seen_at,
            )
            for user, seen_at in session.execute(select(User, last).order_by(User.name))
        ]


def set_disabled(database: Database, name: str, *, disabled: bool) -> None:
    """Disable or enable a user, and end their sessions.

    Raises:
        AccountInvalid: there is no such user.
    """

    def change(session: Session, user: User) -> None:
        user.disabled = disabled
        session.execute(delete(WebSession).where(WebSession.user_id == user.id))

    _change(database, name, change)


def set_role(database: Database, name: str, role: str) -> None:
    """Give a user another role.

    Raises:
        AccountInvalid: there is no such user or no such role.
    """
    if role not in {one.value for one in Role}:
        raise AccountInvalid("a role is one of reader, radiologist, admin")

    def change(_session: Session, user: User) -> None:
        user.role = role

    _change(database, name, change)


def _change(database: Database, name: str, change: Callable[[Session, User], None]) -> None:
    with database.transaction() as session:
        user = session.scalar(select(User).where(User.name == name.strip().lower()))
        if user is None:
            user = session.scalar(select(User).where(User.name == name.strip()))
        if user is None:
            near = get_close_matches(name.lower(), session.scalars(select(User.name)).all(), 1)
            meant = f": did you mean {near[0]}?" if near else "; `echo-agent user list` shows them"
            raise AccountInvalid(f"there is no user of this name{meant}")
        change(session, user)
        user.changed_at = database_now(session)
