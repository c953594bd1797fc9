"""What one client may use of the web process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from agent.web import limits
from agent.web.limits import MAXIMUM_BODY, BodyLimits, BoundedProtocol, RequestLimits

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ENDED, STARTED = threading.Event(), threading.Semaphore(0)


async def echo(request: Request) -> PlainTextResponse:
    """Answer with the length of the body; signal when a request has begun."""
    STARTED.release()
    return PlainTextResponse(str(len(await request.body())))


async def endless(_request: Request) -> StreamingResponse:
    """Answer with more than anybody reads; signal when it ends."""

    async def parts() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(65536)
                await asyncio.sleep(0)  # otherwise it would never notice that the client has gone
        finally:
            ENDED.set()

    return StreamingResponse(parts())


def small_app() -> Starlette:
    """An application with a short and an endless page."""
    routes = [Route("/", echo, methods=["GET", "POST"]), Route("/long", endless)]
    return Starlette(routes=routes, middleware=[Middleware(BodyLimits)])


@contextmanager
def listening(**limited: float) -> Iterator[int]:
    """A server that takes three connections, with these limits instead of the product's."""
    protocol = type("Limited", (BoundedProtocol,), {"maximum_connections": 3} | limited)
    config = uvicorn.Config(small_app(), log_config=None, http=protocol, ws="none", timeout_keep_alive=60)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    """A server with the product's time limits: for tests of what it must not close, however busy it is."""
    with listening() as one:
        yield one


@pytest.fixture
def hurried() -> Iterator[int]:
    """A server that waits one second for a head and for a reader: for tests of what it must close."""
    with listening(head_within_s=1.0, read_within_s=1.0) as one:
        yield one


def opened(port: int) -> socket.socket:
    """A connection that waits at most 20 s for anything."""
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def answered(connection: socket.socket, *, ending: bytes = b"\r\n\r\n0") -> bool:
    """Read one whole answer; return whether its status is 200."""
    got = b""
    while not got.endswith(ending):
        more = connection.recv(4096)
        if not more:
            return False
        got += more
    return got.startswith(b"HTTP/1.1 200")


def ends(connection: socket.socket) -> bool:
    """Whether the server closes the connection, after any answer."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: "])
def test_web_closes_a_connection_whose_head_does_not_come(hurried: int, sent: bytes) -> None:
    """A silent or slow client keeps its connection no longer than the time limit for a head."""
    with opened(hurried) as connection:
        connection.sendall(sent)
        assert ends(connection)


def test_web_closes_a_connection_whose_second_head_does_not_come(hurried: int) -> None:
    """The time limit applies to each head separately."""
    with opened(hurried) as connection:
        # On a machine that stalls for a second, the first request may already be closed.
        with suppress(ConnectionError):
            connection.sendall(ASK)
            answered(connection)
            connection.sendall(ASK[:8])
        assert ends(connection)


def test_web_serves_a_connection_again_after_its_first_request(port: int) -> None:
    """A connection serves several requests."""
    with opened(port) as connection:
        for _ in range(3):
            connection.sendall(ASK)
            assert answered(connection)


def test_web_makes_room_by_closing_the_longest_idle_connection(port: int) -> None:
    """Idle clients keep nobody out: each new connection takes the place of the longest idle one."""
    silent = [opened(port) for _ in range(3)]
    try:
        with opened(port) as browser:
            browser.sendall(ASK)
            assert answered(browser)
            assert ends(silent[0])
            browser.sendall(ASK)
            assert answered(browser)
    finally:
        for one in silent:
            one.close()


def test_web_takes_no_more_connections_than_it_may(port: int) -> None:
    """While all connections are in use, one more is closed at once, and the others are served."""
    posted = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
    while STARTED.acquire(blocking=False):
        pass
    kept = [opened(port) for _ in range(3)]
    try:
        for one in kept:
            one.sendall(posted)
            assert STARTED.acquire(timeout=20)
        with opened(port) as extra:
            assert ends(extra)
        for one in kept:
            one.sendall(b"body")
            assert answered(one, ending=b"\r\n\r\n4")
    finally:
        for one in kept:
            one.close()


def test_web_disconnects_a_client_that_does_not_read(hurried: int) -> None:
    """A response that is not read holds its request no longer than the limit."""
    with opened(hurried) as connection:
        connection.sendall(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        assert ENDED.wait(120)


def test_web_counts_requests_and_streams_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open streams take no place from requests, nor the reverse; what exceeds a limit is answered 503."""
    monkeypatch.setattr(limits, "MAXIMUM_REQUESTS", 1)
    monkeypatch.setattr(limits, "MAXIMUM_STREAMS", 2)
    asyncio.run(_counted_apart())


async def _counted_apart() -> None:
    going = asyncio.Event()

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        await going.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    limited = RequestLimits(slow)
    answers: list[tuple[str, int]] = []

    async def ask(path: str) -> None:
        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answers.append((path, message["status"]))

        await limited({"type": "http", "path": path}, _nothing, send)

    asked = [asyncio.create_task(ask(path)) for path in ("/live", "/live", "/live", "/", "/")]
    await asyncio.sleep(0)
    going.set()
    await asyncio.gather(*asked)
    await ask("/")
    assert sorted(answers) == [("/", 200), ("/", 200), ("/", 503), *[("/live", 200)] * 2, ("/live", 503)]


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def test_web_refuses_a_body_that_is_too_long() -> None:
    """A body that is too long is answered 413, with or without a stated length."""
    client = TestClient(small_app())
    assert client.post("/", content=b"x" * MAXIMUM_BODY).text == str(MAXIMUM_BODY)
    assert client.post("/", content=b"x" * (MAXIMUM_BODY + 1)).status_code == 413
    assert client.post("/", content=iter([b"x" * MAXIMUM_BODY, b"x"])).status_code == 413


def test_web_ends_a_request_whose_body_does_not_come(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time is answered 408."""
    monkeypatch.setattr(limits, "BODY_WITHIN_S", 0.3)
    with opened(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")
