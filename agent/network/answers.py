"""Answers of a peer are taken by who asked, and never by the association's own thread.

pynetdicom pauses that thread during our requests. Between two requests in quick succession the pause may come
too late on a busy machine: the thread takes the answer to the second one and discards it as unexpected, and
who asked waits for it until the DIMSE timeout.
"""

from __future__ import annotations

from typing import Any

from pynetdicom.dimse import DIMSEServiceProvider

_take = DIMSEServiceProvider.get_msg


def leave_answers() -> None:
    """Make the threads of all associations that this process requests leave answers in the queue."""
    DIMSEServiceProvider.get_msg = _get_msg  # type: ignore[method-assign,assignment]


def _get_msg(provider: DIMSEServiceProvider, block: bool = False) -> Any:
    # Only the association's thread does not wait.
    if not block and provider.assoc.is_requestor:
        _, first = provider.peek_msg()
        if first is not None and not first.is_valid_request:
            return None, None
    return _take(provider, block)
