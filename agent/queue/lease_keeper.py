"""Signs of life for what a process holds, from a thread of its own that a long model call cannot stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from agent.foundation.errors import DatabaseUnavailable
from agent.foundation.log import get_logger


class Leased(Protocol):
    """A claim on something."""

    @property
    def token(self) -> str:
        """The fencing token."""


T = TypeVar("T", bound=Leased)


class LeaseKeeper(Generic[T]):
    """Prolongs the leases of the claims that it keeps, every third of a lease.

    A lease that turns out to be lost is still worked on to its end: the fencing token refuses its result.
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
        """Stop the thread; leases that are still held run out by themselves."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def keep(self, claims: Iterable[T]) -> None:
        """Prolong these from now on."""
        with self._lock:
            self._held.update((one.token, one) for one in claims)

    def drop(self, claims: Iterable[T]) -> None:
        """Prolong these no more."""
        with self._lock:
            for one in claims:
                self._held.pop(one.token, None)

    def beat(self) -> None:
        """Prolong all leases once."""
        with self._lock:
            held = list(self._held.values())
        if not held:
            return
        try:
            lost = self._prolong(held)
        except DatabaseUnavailable as error:
            # The next beat tries again; leases outlive two missed beats.
            self._log.warning("heartbeat_missed", code=error.code)
            return
        if lost:
            self._log.warning("leases_lost", count=len(lost))

    def _beat(self) -> None:
        while not self._stop.wait(self._every_s):
            self.beat()
