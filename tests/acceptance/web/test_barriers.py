"""Accessibility: axe-core on every page, in the dark and the light scheme, on a phone and on a tablet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from starlette.routing import Route

from agent.web.app import create_app
from agent.web.limits import STREAM

from .chromium import open_page, study_open
from .site import Site, serving

# The addresses of each page; the page of one disagreement is tested in test_shadow.py.
PAGES = {
    "/": ("/", "/?show=verified", "/?q=nobody"),
    "/studies/{study_id:int}": ("/studies/2",),
    "/statistics": ("/statistics",),
    "/audit": ("/audit",),
    "/shadow": ("/shadow",),
    "/shadow/disagreements": ("/shadow/disagreements",),
    "/shadow/disagreements/{comparison_id:int}": (),
    "/sign-in": ("/sign-in",),
}
# Fetched by scripts: a part of a page, JSON, or an image.
PARTS = {
    STREAM,
    "/session",
    "/studies/{study_id:int}/state",
    "/studies/{study_id:int}/claim",
    "/studies/{study_id:int}/compare",
    "/studies/{study_id:int}/films/{instance_id:int}",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two studies of one patient; one is the other's prior."""
    with serving(tmp_path_factory.mktemp("barriers")) as one:
        one.draft("1.2.1", StudyDate="20250101", text=("There is a right pleural effusion.",))
        one.draft("1.2.2")
        yield one


def test_every_page_is_looked_at(site: Site) -> None:
    """Each new page has an address that axe-core opens."""
    app = create_app(site.settings, site.database, site.store)
    routes = [one for one in app.routes if isinstance(one, Route) and "GET" in (one.methods or ())]
    assert {one.path for one in routes} == PAGES.keys() | PARTS


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("address", [one for some in PAGES.values() for one in some])
def test_nothing_bars_a_reader_who_cannot_see_or_sits_in_the_dark(
    browser: Browser, site: Site, address: str, theme: str
) -> None:
    """axe-core finds nothing on any page, in both schemes: names, roles, order, contrast."""
    one = open_page(browser, site.url, address)
    if theme == "light":
        one.page.click("#theme")
    expect(one.page.locator("html")).to_have_attribute("data-theme", theme)
    if address.startswith("/studies"):
        study_open(one.page)
        one.page.click("[data-do=prior]")
        one.page.click("text=Reject…")
    assert one.barriers() == []
    one.page.context.close()


@pytest.mark.parametrize("size", [(375, 812), (820, 1180)], ids=["phone", "tablet"])
@pytest.mark.parametrize("address", ["/", "/studies/2"])
def test_nothing_bars_a_reader_on_a_small_screen(
    browser: Browser, site: Site, address: str, size: tuple[int, int]
) -> None:
    """axe-core finds nothing on a phone, or on a tablet in portrait orientation."""
    width, height = size
    one = open_page(browser, site.url, address, viewport={"width": width, "height": height}, has_touch=True)
    if address.startswith("/studies"):
        study_open(one.page)
    assert one.barriers() == []
    one.page.context.close()
