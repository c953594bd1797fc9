"""Renews the leases of a process from a thread of its own, which a long model call cannot block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.log import get_logger


class Leased(Protocol):
    """A claim under a lease."""

    @property
    def token(self) -> str:
        """The fencing token."""


T = TypeVar("T", bound=Leased)


class LeaseKeeper(Generic[T]):
    """Renews the leases of its claims every third of a lease.

    Work under a lease that turns out to be lost continues to its end; the fencing token refuses the result.
    """

    def __init__(self, prolong: Callable[[Sequence[T]], frozenset[int]], lease_s: float) -> None:
        self._prolong = prolong
        self._every_s = lease_s / 3
        self._held: dict[str, T] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = get_logger("leases")

    def __enter__(self) -> LeaseKeeper[T]:
        """Start the thread."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._beat, name="leases", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the thread; leases that are still held expire by themselves."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def keep(self, claims: Iterable[T]) -> None:
        """Renew these from now on."""
        with self._lock:
            self._held.update((one.token, one) for one in claims)

    def drop(self, claims: Iterable[T]) -> None:
        """Stop renewing these."""
        with self._lock:
            for one in claims:
                self._held.pop(one.token, None)

    def beat(self) -> None:
        """Renew all leases once."""
        with self._lock:
            held = list(self._held.values())
        if not held:
            return
        try:
            lost = self._prolong(held)
        except DatabaseUnavailable as error:
            # The next heartbeat tries again; a lease outlives two missed ones.
            self._log.warning("heartbeat_missed", code=error.code)
            return
        if lost:
            self._log.warning("leases_lost", count=len(lost))

    def _beat(self) -> None:
        while not self._stop.wait(self._every_s):
            self.beat()
