"""What each caller may do with the worklist. Pure.

Without entries in `ups.permissions`, every admitted caller may do everything. With entries, an AE title that
is not listed may only read.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from agent.foundation.settings.ups import Right, UpsPermission

_EVERYTHING = frozenset(Right)


class Permissions:
    """The rights of AE titles and of bearer tokens."""

    def __init__(self, entries: Sequence[UpsPermission] = (), token: str = "") -> None:
        """token: the one that may do everything over HTTP."""
        self._restricted = bool(entries)
        self._rights: Mapping[str, frozenset[Right]] = {
            one.ae_title.strip(): frozenset(one.may) for one in entries
        }
        self._tokens = {one.token: one.ae_title.strip() for one in entries if one.token}
        self._token = token

    def allow(self, ae_title: str, right: Right) -> bool:
        """Whether an AE title has a right."""
        if not self._restricted:
            return True
        return right in self._rights.get(ae_title, frozenset({Right.READ}))

    def allow_receiver(self, ae_title: str, receiver: str) -> bool:
        """Whether an AE title may subscribe for this receiver: for itself, or with `subscribe_others`."""
        return receiver == ae_title or self.allow(ae_title, Right.SUBSCRIBE_OTHERS)

    def rights_of(self, given: str) -> tuple[str, frozenset[Right]] | None:
        """Return the AE title and the rights of a bearer token; None if nobody has it.

        The AE title is empty for the token that may do everything.
        """
        if self._token and _same(given, self._token):
            return "", _EVERYTHING
        for token, ae_title in self._tokens.items():
            if _same(given, token):
                return ae_title, self._rights[ae_title]
        return None

    @property
    def tokens_needed(self) -> bool:
        """Whether a request over HTTP must carry a token."""
        return bool(self._token or self._tokens)


ANYBODY = Permissions()


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())
