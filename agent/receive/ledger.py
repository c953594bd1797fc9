"""Limits on connections: half-open ones are bounded, and the oldest of them is closed.

A connection is half-open until its association request was accepted. A flood of half-open connections
therefore never keeps a sender out: the newest is always admitted, and the oldest of the address that has
most of them is closed. Established associations are never evicted; beyond the limit the new one is refused.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

# Most half-open connections: in total, from one address, and from an address that may not send.
HALF_OPEN = 64
HALF_OPEN_PER_ADDRESS = 32
HALF_OPEN_PER_STRANGER = 4


@dataclass(eq=False, slots=True, kw_only=True)
class PeerConnection:
    """One connection; `close` cuts its socket from any thread."""

    address: str
    close: Callable[[], None]
    established: bool = False


class ConnectionLedger:
    """The open connections; thread-safe."""

    def __init__(self, maximum: int, maximum_per_peer: int, knows_address: Callable[[str], bool]) -> None:
        self._maximum = maximum
        self._per_peer = maximum_per_peer
        self._knows_address = knows_address
        self._lock = threading.Lock()
        # In the order of their arrival.
        self._open: dict[PeerConnection, None] = {}
        self.evicted = 0

    def open(self, address: str, close: Callable[[], None]) -> PeerConnection:
        """Enter a new connection, which may evict an older half-open one."""
        limit = HALF_OPEN_PER_ADDRESS if self._knows_address(address) else HALF_OPEN_PER_STRANGER
        connection = PeerConnection(address=address, close=close)
        with self._lock:
            victim = self._victim(address, limit)
            if victim is not None:
                del self._open[victim]
                self.evicted += 1
            self._open[connection] = None
        if victim is not None:
            victim.close()
        return connection

    def establish(self, connection: PeerConnection) -> bool:
        """Turn a connection into an association, or return False: it must be rejected as transient."""
        with self._lock:
            peers = Counter(other.address for other in self._open if other.established)
            if peers.total() >= self._maximum or peers[connection.address] >= self._per_peer:
                return False
            if connection not in self._open:
                return False  # it has just been evicted
            connection.established = True
            return True

    def close(self, connection: PeerConnection) -> None:
        """Remove a connection; repeating it is not an error."""
        with self._lock:
            self._open.pop(connection, None)

    def connections(self) -> list[PeerConnection]:
        """Return the current connections, the oldest first."""
        with self._lock:
            return list(self._open)

    def associations(self) -> int:
        """Return how many associations are established."""
        return sum(connection.established for connection in self.connections())

    def _victim(self, address: str, limit: int) -> PeerConnection | None:
        half_open = [connection for connection in self._open if not connection.established]
        counts = Counter(connection.address for connection in half_open)
        if counts[address] >= limit:
            crowded = address
        elif len(half_open) >= HALF_OPEN:
            crowded = counts.most_common(1)[0][0]
        else:
            return None
        return next(connection for connection in half_open if connection.address == crowded)
