"""A limit to the time that an HTTP request may take as a whole.

The HTTP library limits each single wait for bytes. A server that sends one byte before each such limit would
hold a delivery, and its lease, for ever. Here the connection is shut down when the time is over.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# To connect, to send and to be answered may each take the time-out.
_TIMES = 3
_here = threading.local()


class _Limit:
    """Shuts the connections of one request down when its time (s) is over."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._timer = threading.Timer(max(seconds, 0.0), self._end)
        self._timer.daemon = True

    def start(self) -> None:
        self._timer.start()

    def watch(self, connection: socket.socket) -> None:
        """Include a connection; it may be wrapped in TLS later."""
        with self._lock:
            if self.over:
                raise TimeoutError
            # The descriptor is ours: TLS takes the other one over.
            self._connections.append(socket.socket(fileno=os.dup(connection.fileno())))

    def stop(self) -> None:
        self._timer.cancel()
        with self._lock:
            for one in self._connections:
                one.close()
            self._connections.clear()

    def _end(self) -> None:
        with self._lock:
            self.over = True
            for one in self._connections:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """End what this thread asks over HTTP after so many seconds; within another limit, that one counts.

    Raises:
        requests.ReadTimeout: the time is over.
    """
    if getattr(_here, "limit", None) is not None:
        yield
        return
    limit = _here.limit = _Limit(seconds)
    limit.start()
    try:
        yield
    except (requests.RequestException, OSError) as error:
        if limit.over:
            raise requests.ReadTimeout("the whole answer did not come in time") from error
        raise
    finally:
        _here.limit = None
        limit.stop()
    # An answer without a length looks complete when its connection is shut down.
    if limit.over:
        raise requests.ReadTimeout("the whole answer did not come in time")


def _watch(connection: HTTPConnection) -> None:
    limit = getattr(_here, "limit", None)
    if limit is not None and connection.sock is not None:
        limit.watch(connection.sock)


class _Watched(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        limit = getattr(_here, "limit", None)
        if limit is not None:
            limit.watch(made)
        return made

    def request(self, *arguments: Any, **named: Any) -> None:
        _watch(self)  # one that is kept open from an earlier request
        super().request(*arguments, **named)


class _WatchedSecure(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _WatchedSecure


_POOLS = {"http": _Pool, "https": _SecurePool}


class WatchedAdapter(HTTPAdapter):
    """Makes connections that a limit can end."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        """Make the connections, without a proxy."""
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: Any, **named: Any) -> Any:
        """Make the connections through a proxy."""
        made = super().proxy_manager_for(proxy, **named)
        if isinstance(getattr(made, "pool_classes_by_scheme", None), dict):
            made.pool_classes_by_scheme = _POOLS
        return made


class LimitedRequests(requests.Session):
    """A session in which the whole of a request takes at most three times its time-out.

    A streamed answer is read after that: whoever reads it has a limit of its own (`ended_after`).
    """

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request.

        Raises:
            requests.ReadTimeout: it took too long.
        """
        timeout = options.get("timeout")
        if not isinstance(timeout, int | float):
            return super().send(request, **options)
        with ended_after(_TIMES * timeout):
            return super().send(request, **options)
