"""Decides who may use the worklist over HTTP, and for what."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from agent.foundation.settings.base import is_loopback
from agent.foundation.settings.ups import Right
from agent.ris.ups.permissions import Permissions


def rights_of(connection: HTTPConnection, permissions: Permissions) -> tuple[str, frozenset[Right]] | None:
    """Return a caller's AE title (empty if it has none) and rights; None if it is not admitted.

    If the settings have no token, every caller on this machine may do everything.
    """
    if not permissions.tokens_needed:
        here = connection.client is not None and is_loopback(connection.client.host)
        return ("", frozenset(Right)) if here else None
    kind, _, given = connection.headers.get("authorization", "").partition(" ")
    return permissions.rights_of(given.strip()) if kind.lower() == "bearer" else None
