"""A slow network and a slow machine, on request: a test that does not wait for what it assumes then fails.

ECHO_TEST_SLOW=SEED delays every request and every answer of the served worklist by up to 1.5 s, and makes the
pages' scripts four times slower. Another seed gives another order of events.
"""

from __future__ import annotations

import asyncio
import os
import random

from playwright.sync_api import BrowserContext, Page
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SEED = os.environ.get("ECHO_TEST_SLOW", "")
LONGEST_S = float(os.environ.get("ECHO_TEST_SLOW_S", "1.5"))
RATE = float(os.environ.get("ECHO_TEST_SLOW_RATE", "4"))


class SlowNetwork:
    """Delays each request before it is handled, and its answer before it is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._random = random.Random(SEED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""

        async def later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._delay(scope)
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._delay(scope)
        await self._app(scope, receive, later)

    async def _delay(self, scope: Scope) -> None:
        # One in two is not delayed at all: the order of two requests is what matters.
        longest = LONGEST_S / 5 if scope["path"].startswith("/static/") else LONGEST_S
        await asyncio.sleep(self._random.choice((0, self._random.uniform(0, longest))))


def slow_network(app: Starlette) -> None:
    """Slow down the served worklist, if requested."""
    if SEED:
        app.add_middleware(SlowNetwork)


def slow_machine(context: BrowserContext) -> None:
    """Slow down the scripts of all pages of a context, if requested."""

    def slow(page: Page) -> None:
        devtools = context.new_cdp_session(page)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": RATE})

    if SEED:
        context.on("page", slow)
