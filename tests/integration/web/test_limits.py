"""What one peer may take of the web process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from agent.web import limits
from agent.web.limits import MAXIMUM_BODY, BodyLimits, BoundedProtocol


async def echo(request: Request) -> PlainTextResponse:
    """Answer how long the body is."""
    return PlainTextResponse(str(len(await request.body())))


def small_app() -> Starlette:
    """An application with one page."""
    route = Route("/", echo, methods=["GET", "POST"])
    return Starlette(routes=[route], middleware=[Middleware(BodyLimits)])


@pytest.fixture
def port() -> Iterator[int]:
    """A server that waits two seconds for a head, and takes three connections."""
    protocol = type("Hurried", (BoundedProtocol,), {"head_within_s": 2.0, "maximum_connections": 3})
    config = uvicorn.Config(small_app(), log_config=None, http=protocol, ws="none", timeout_keep_alive=60)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def opened(port: int) -> socket.socket:
    """A connection that waits at most 20 s for anything."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def answered(connection: socket.socket) -> bool:
    """Read one whole answer to a request without a body; whether it is 200."""
    got = b""
    while not got.endswith(b"\r\n\r\n0"):
        more = connection.recv(4096)
        if not more:
            return False
        got += more
    return got.startswith(b"HTTP/1.1 200")


def ends(connection: socket.socket) -> bool:
    """Whether the server closes the connection without a word."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: "])
def test_web_closes_a_connection_whose_head_does_not_come(port: int, sent: bytes) -> None:
    """A silent or dripping peer keeps its connection for no longer than a head may take."""
    with opened(port) as connection:
        connection.sendall(sent)
        assert ends(connection)


def test_web_serves_a_connection_again_after_its_first_request(port: int) -> None:
    """The time for a head is each head's own."""
    ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with opened(port) as connection:
        for _ in range(3):
            connection.sendall(ask)
            assert answered(connection)
        connection.sendall(ask[:8])
        assert ends(connection)


def test_web_takes_no_more_connections_than_it_may(port: int) -> None:
    """One more is closed at once; the others go on."""
    ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    kept = [opened(port) for _ in range(3)]
    try:
        for one in kept:
            one.sendall(ask)
            assert answered(one)
        with opened(port) as extra:
            assert ends(extra)
        kept[0].sendall(ask)
        assert answered(kept[0])
    finally:
        for one in kept:
            one.close()


def test_web_refuses_a_body_that_is_too_long() -> None:
    """413, with or without a length in front."""
    client = TestClient(small_app())
    assert client.post("/", content=b"x" * MAXIMUM_BODY).text == str(MAXIMUM_BODY)
    assert client.post("/", content=b"x" * (MAXIMUM_BODY + 1)).status_code == 413
    assert client.post("/", content=iter([b"x" * MAXIMUM_BODY, b"x"])).status_code == 413


def test_web_ends_a_request_whose_body_does_not_come(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """408, after the time that a body may take."""
    monkeypatch.setattr(limits, "BODY_WITHIN_S", 0.3)
    with opened(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")
