"""Who may use the worklist over HTTP."""

from __future__ import annotations

import hmac

from starlette.requests import HTTPConnection

from agent.foundation.settings.base import is_loopback


def admitted(connection: HTTPConnection, token: str) -> bool:
    """Whether a caller may ask: it has the token, or there is none and it is on this machine."""
    if not token:
        return connection.client is not None and is_loopback(connection.client.host)
    given = connection.headers.get("authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(given.encode(), token.encode())
