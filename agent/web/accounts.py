"""The people who may sign in: names, roles, and passwords, which are stored only as argon2 hashes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, select

from agent.database.session import Database, database_now
from agent.database.tables import User, WebSession
from agent.foundation.errors import AccountInvalid

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_SCHEME = re.compile(r"[A-Za-z0-9._-]{1,16}")
_hasher = PasswordHasher()
# Compared if no user has the name, so that the answer takes as long as for a wrong password.
_NOBODY = _hasher.hash("nobody has this name")


class Role(StrEnum):
    """What a person may do: read; read and give verdicts; read and see agreement and audit."""

    READER = "reader"
    RADIOLOGIST = "radiologist"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person, without the password's hash."""

    id: int
    name: str
    person_name: str
    role: Role


def add_user(
    database: Database,
    name: str,
    person_name: str,
    role: Role,
    password: str,
    *,
    identification: str = "",
    identification_scheme: str = "",
) -> Account:
    """Make a user.

    identification: the person's code in the hospital, at most 64 characters, and its coding scheme; verified
    reports identify the observer by it (Verifying Observer Identification Code Sequence). Empty: none.

    Raises:
        AccountInvalid: the name is taken or malformed, the password is too short, or the code is malformed.
    """
    _check_identification(identification, identification_scheme)
    login = name.strip().lower()
    if _NAME.fullmatch(login) is None:
        raise AccountInvalid("a user's name has 1 to 64 letters, digits, dots, dashes, underscores or @")
    if not person_name.strip("^ ") or len(person_name) > 64 or "\\" in person_name or "=" in person_name:
        raise AccountInvalid("the person's name is Family^Given, at most 64 characters")
    hashed = hash_password(password)
    with database.transaction() as session:
        if session.scalar(select(User.id).where(User.name == login)) is not None:
            raise AccountInvalid("a user of this name exists already: use `echo-agent user passwd`")
        now = database_now(session)
        user = User(
            name=login,
            person_name=person_name.strip(),
            role=role.value,
            password_hash=hashed,
            identification=identification.strip(),
            identification_scheme=identification_scheme.strip() if identification.strip() else "",
            disabled=False,
            created_at=now,
            changed_at=now,
        )
        session.add(user)
        session.flush()
        return account_of(user)


def _check_identification(code: str, scheme: str) -> None:
    if not code.strip():
        return
    if len(code.strip()) > 64 or not code.isprintable() or "\\" in code:
        raise AccountInvalid("a person's code has 1 to 64 printable characters and no backslash")
    if _SCHEME.fullmatch(scheme.strip()) is None:
        raise AccountInvalid("a coding scheme has 1 to 16 letters, digits, dashes, dots or underscores")


def set_password(database: Database, name: str, password: str) -> None:
    """Give a user a new password and end all of that user's sessions.

    Raises:
        AccountInvalid: there is no such user, or the password is too short.
    """
    hashed = hash_password(password)
    with database.transaction() as session:
        user = session.scalar(select(User).where(User.name == name.strip().lower()))
        if user is None:
            raise AccountInvalid("there is no user of this name: use `echo-agent user add`")
        user.password_hash, user.changed_at = hashed, database_now(session)
        session.execute(delete(WebSession).where(WebSession.user_id == user.id))


def hash_password(password: str) -> str:
    """Return the argon2 hash.

    Raises:
        AccountInvalid: shorter than 12 or longer than 256 characters.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccountInvalid(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return _hasher.hash(password)


def check_password(database: Database, name: str, password: str) -> Account | None:
    """Return the account if the password is right; None otherwise, after the same time."""
    with database.reading() as session:
        user = session.scalar(select(User).where(User.name == name.strip().lower()))
    hashed = None if user is None or user.disabled else user.password_hash
    try:
        _hasher.verify(hashed or _NOBODY, password[:LONGEST_PASSWORD])
    except (VerifyMismatchError, InvalidHashError):
        return None
    if user is None or hashed is None:
        return None
    if _hasher.check_needs_rehash(hashed):
        with database.transaction() as session:
            session.get_one(User, user.id).password_hash = _hasher.hash(password)
    return account_of(user)


def enter_subject(
    database: Database, subject: str, name: str, person_name: str, role: Role
) -> Account | None:
    """Create or update the account of a person who signed in at the OpenID provider, and return it.

    The subject identifies the person, never the name; the prefix `openid:` separates these names from
    those of local users. None if an administrator has disabled the account.
    """
    digest = hashlib.sha256(subject.encode()).hexdigest()[:8]
    with database.transaction() as session:
        now = database_now(session)
        user = session.scalar(select(User).where(User.subject == subject))
        if user is None:
            login = f"openid:{name}"[:48]
            if session.scalar(select(User.id).where(User.name == login)) is not None:
                login = f"{login}#{digest}"
            user = User(name=login, subject=subject, password_hash=None, disabled=False, created_at=now)
            session.add(user)
        if user.disabled:
            return None
        user.person_name, user.role, user.changed_at = person_name, role.value, now
        session.flush()
        return account_of(user)


def end_subject(database: Database, subject: str) -> None:
    """End the sessions of a person who no longer has a role at the OpenID provider."""
    with database.transaction() as session:
        known = select(User.id).where(User.subject == subject)
        session.execute(delete(WebSession).where(WebSession.user_id.in_(known)))


def any_user(database: Database) -> bool:
    """Whether there is a user, disabled or not: if so, sign-in is required."""
    with database.reading() as session:
        return session.scalar(select(User.id).limit(1)) is not None


def any_user_may_sign_in(database: Database) -> bool:
    """Whether any user can sign in with a password."""
    able = (User.disabled.is_(False), User.password_hash.is_not(None))
    with database.reading() as session:
        return session.scalar(select(User.id).where(*able).limit(1)) is not None


def account_of(user: User) -> Account:
    """Return a row as a value."""
    return Account(id=user.id, name=user.name, person_name=user.person_name, role=Role(user.role))


def shown_name(person_name: str) -> str:
    """Return a DICOM person name in the usual order: prefix, given, middle, family, suffix."""
    parts = [*(part.strip() for part in person_name.split("=")[0].split("^")), "", "", "", ""][:5]
    family, given, middle, prefix, suffix = parts
    return " ".join(part for part in (prefix, given, middle, family, suffix) if part)
