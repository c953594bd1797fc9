"""Ends an association whose threads have died or hang, so that no wait of ours on it lasts for ever.

pynetdicom serves an association with two threads of its own, and waits for them without a limit: for the one
to pause before each request and before a release, for the other to end after an abort. Where one has died, or
reads a PDU that a peer sends byte by byte, the caller would wait for as long, and its lease be renewed.
"""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Self

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_P_ABORT

from agent.foundation.log import get_logger

_LOOK_EVERY_S = 0.25
# Beyond the peer's time-out: a busy machine may need this long (s) to let a thread go on.
_GRACE_S = 5.0
_IDLE = "Sta1"


class AssociationGuard:
    """Looks after the association that `watch` names, from a thread of its own, until it is left.

    patience_s: how long (s) a thread of the association may keep us waiting.
    """

    def __init__(self, patience_s: float, *, host: str, ae_title: str) -> None:
        self._patience_s = patience_s + _GRACE_S
        self._peer = {"host": host, "ae_title": ae_title}
        self._association: Association | None = None
        self._socket: socket.socket | None = None
        self._over = threading.Event()
        self._waits_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="association-guard", daemon=True)
        # Why it has ended the association; empty where it has not.
        self._ended = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def watch(self, association: Association, connection: socket.socket | None) -> None:
        """Look after this association from now on."""
        # The process may end while this thread hangs.
        association.dul.daemon = True
        self._socket = connection
        self._association = association

    def _run(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            if self._association is not None:
                self._look(self._association)

    def _look(self, association: Association) -> None:
        if self._ended:
            _let_go(association)
            return
        trouble = self._trouble(association)
        if not trouble:
            return
        self._ended = trouble
        _end(association, self._socket)
        get_logger("association").error("association_ended", code=trouble, **self._peer)

    def _trouble(self, association: Association) -> str:
        """Return the code of what is wrong, empty where nothing is."""
        started = association.ident is not None
        if started and not association.is_alive() and (association.is_established or _waits(association)):
            return "thread-died"
        if association.is_established and not association.dul.is_alive():
            return "thread-died"
        ending = association._kill or association._sent_abort
        if not (_waits(association) or (ending and association.dul.is_alive())):
            self._waits_since = None
            return ""
        now = time.monotonic()
        self._waits_since = self._waits_since or now
        return "thread-hangs" if now - self._waits_since > self._patience_s else ""


def _waits(association: Association) -> bool:
    """Whether a request or a release waits for the association's thread to pause."""
    return not association._reactor_checkpoint.is_set() and not association._is_paused


def _end(association: Association, connection: socket.socket | None) -> None:
    """Let every wait on the association end: what is asked of it from now on has no answer."""
    association._sent_abort = association._kill = association.is_aborted = True
    association.is_established = False
    association.dul._kill_thread = True
    _let_go(association)
    # A release, or the wait for the answer to a request of an association, ends with it.
    association.dul.to_user_queue.put(A_P_ABORT())
    for one in (connection, None if association.dul.socket is None else association.dul.socket.socket):
        if one is not None:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it is closed already


def _let_go(association: Association) -> None:
    # The threads may set these once more on their way out.
    association.dul.is_alive = _gone  # type: ignore[method-assign]
    association.dul.state_machine.current_state = _IDLE
    association._is_paused = True
    association._reactor_checkpoint.set()


def _gone() -> bool:
    return False
