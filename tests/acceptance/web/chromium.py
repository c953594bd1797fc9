"""A real Chromium, and its complaints: console errors, requests to other hosts, accessibility violations."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.support.waiting import wait_for

from .slow import slow_machine

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 90_000
# An action returns before all of its effects are visible: wait for what a page shows, do not just read it.
expect.set_options(timeout=PATIENCE_MS)
SIZE: Any = {"width": 1500, "height": 940}
# Deque's axe-core, with its licence (MPL 2.0) in the same folder; used by these tests only.
AXE = Path(__file__).parent / "vendor" / "axe.min.js"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser of the Debian package; skip where it is missing (fail where CI=true)."""
    # The shell is the same browser without windows, and takes half the time.
    executable = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if executable is None:
        reason = "Chromium is not installed; `make setup` installs it where it may"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A page of a site; `complaints` is its console's output, `elsewhere` its requests to other hosts."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def picture(self, name: str) -> None:
        """Save a screenshot if the environment names a folder for it."""
        folder = os.environ.get("ECHO_TEST_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def barriers(self) -> list[str]:
        """Return axe-core's findings on the current page: WCAG 2.2 A and AA, and its best practices."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        seen = len(found["passes"])
        assert seen > 10, f"axe-core saw {seen} rules kept on {self.page.url}: {self.page.content()[:1000]}"
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]


def becomes(read: Callable[[], object], expected: object) -> None:
    """Wait until a value read from a page is the expected one, for what Playwright's `expect` cannot read."""
    wait_for(
        lambda: read() == expected,
        lambda: f"it is {read()!r}, and not {expected!r}",
        within_s=PATIENCE_MS / 1000,
    )


def hold(page: Page, address: str | Callable[[str], bool]) -> Callable[[], None]:
    """Hold requests to an address, as a slow network does, until the returned function is called."""
    held: list[Route] = []
    released = False

    def handle(route: Route) -> None:
        if released:
            route.continue_()
        else:
            held.append(route)

    def release() -> None:
        nonlocal released
        released = True
        for route in held:
            route.continue_()

    page.route(address, handle)
    return release


def press_in_turn(page: Page, keys: str) -> None:
    """Press the keys of one sequence, on a slow machine too: the page waits 1.5 s for the second one."""
    page.evaluate(
        """(keys) => { for (const key of keys) (document.activeElement ?? document.body).dispatchEvent(
            new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })); }""",
        keys,
    )


def settle(page: Page) -> None:
    """Wait until the browser has handled its input and drawn, which it does frame by frame; used before a
    check that something has not happened.
    """
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def study_open(page: Page) -> None:
    """Wait until a study's page is ready: its first film is drawn and all of its scripts listen for keys."""
    page.locator("canvas[data-ready=yes]").first.wait_for()
    # The films' script runs first: a drawn film does not show that the report's has run; the load event does.
    page.wait_for_load_state()


def open_page(browser: Browser, url: str, address: str = "", **context: Any) -> Reading:
    """Open a page of a site in a new context, as a first-time visitor does."""
    made = browser.new_context(**({"viewport": SIZE} | context))
    slow_machine(made)
    page = made.new_page()
    page.set_default_timeout(PATIENCE_MS)
    one = Reading(page=page, url=url)
    page.on("console", lambda said: one.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: one.complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((url, "data:")) else one.elsewhere.append(asked.url),
    )
    answer = page.goto(url + address)
    assert answer is not None
    assert answer.ok, f"status {answer.status} of {answer.url}"
    return one
