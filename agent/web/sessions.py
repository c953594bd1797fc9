"""Sessions: a signed cookie with a random token, and a row that holds the token's digest.

Deleting the row ends a session at once (sign-out, a new password); the signature keeps forged cookies from
reaching the database. A second cookie, which every browser gets, binds the tokens of forms to the browser.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta

from itsdangerous import BadSignature, Signer
from sqlalchemy import delete

from agent.database.session import Database, database_now
from agent.database.tables import User, WebSession
from agent.web.accounts import Account, account_of

# How often the time of a session's last use is written.
_SEEN_EVERY = timedelta(seconds=60)


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, database: Database, key: str, *, hours: float, idle_minutes: float) -> None:
        self._database = database
        self._key = key.encode()
        self._signer = Signer(self._key, salt="session", digest_method=hashlib.sha256)
        self._visitors = Signer(self._key, salt="visitor", digest_method=hashlib.sha256)
        self._life = timedelta(hours=hours)
        self._idle = timedelta(minutes=idle_minutes)

    def begin(self, account: Account) -> str:
        """Begin a session; return the cookie. Sessions that have expired are deleted."""
        token = secrets.token_urlsafe(32)
        with self._database.transaction() as session:
            now = database_now(session)
            session.execute(delete(WebSession).where(WebSession.expires_at < now))
            session.add(
                WebSession(
                    token_sha256=_digest(token),
                    user_id=account.id,
                    created_at=now,
                    seen_at=now,
                    expires_at=now + self._life,
                )
            )
        return self._signer.sign(token).decode()

    def find(self, cookie: str, *, act: bool = True) -> Account | None:
        """Return the account of a session; None if it is forged, expired or idle, or its user disabled.

        act: whether a person caused the request; the page's own requests do not keep a session open.
        """
        digest = self._digest_of(cookie)
        if digest is None:
            return None
        with self._database.reading() as session:
            row = session.get(WebSession, digest)
            user = None if row is None else session.get(User, row.user_id)
            now = database_now(session)
        if row is None or user is None or user.disabled:
            return None
        if now >= row.expires_at or now - row.seen_at > self._idle:
            self.end(cookie)
            return None
        if act and now - row.seen_at > _SEEN_EVERY:
            with self._database.transaction() as session:
                again = session.get(WebSession, digest)
                if again is not None:
                    again.seen_at = now
        return account_of(user)

    def end(self, cookie: str) -> None:
        """End a session."""
        digest = self._digest_of(cookie)
        if digest is not None:
            with self._database.transaction() as session:
                session.execute(delete(WebSession).where(WebSession.token_sha256 == digest))

    def new_visitor(self) -> str:
        """Return the cookie of a browser that has none."""
        return self._visitors.sign(secrets.token_urlsafe(24)).decode()

    def is_visitor(self, cookie: str) -> bool:
        """Whether this cookie was issued here."""
        return self._visitors.validate(cookie)

    def form_token(self, visitor: str) -> str:
        """Return the token in this browser's forms."""
        return hmac.new(self._key, b"form:" + visitor.encode(), hashlib.sha256).hexdigest()

    def typed_key(self, who: str) -> str:
        """Return the key (64 hex digits) under which this person's browser stores what was typed."""
        return hmac.new(self._key, b"typed:" + who.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, visitor: str, token: str) -> bool:
        """Whether a form's token belongs to this browser."""
        return self.is_visitor(visitor) and hmac.compare_digest(self.form_token(visitor), token)

    def _digest_of(self, cookie: str) -> str | None:
        try:
            return _digest(self._signer.unsign(cookie).decode())
        except BadSignature:
            return None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
