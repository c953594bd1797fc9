"""Shadow mode in a real Chromium: figures and plots, disagreements by keys, and no barrier for a reader."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.shadow import sign

from .chromium import chromium, open_page
from .site import Site, serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three studies with signed reports, two of them with a disagreement."""
    with serving(tmp_path_factory.mktemp("site")) as one:
        for number, text in enumerate(
            ("Right pneumothorax.", "Left pneumothorax.", "Small left effusion."), start=1
        ):
            one.draft(f"1.2.{number}", Manufacturer="ACME")
            sign(one.database, f"1.2.{number}", text)
        yield one


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_disagreements_are_read_with_keys_alone(browser: Browser, site: Site, scheme: str) -> None:
    """From the figures over a finding's disagreements to the next and back; nothing is complained of."""
    one = open_page(browser, f"{site.url}/shadow")
    page = one.page
    if scheme == "light":
        page.click("#theme")
    assert page.locator("svg.plot").count() == 2
    assert one.barriers() == []
    one.picture(f"shadow-figures-{scheme}")
    page.click("th a:has-text('pneumothorax')")
    page.wait_for_url("**finding=pneumothorax")
    assert one.barriers() == []
    page.locator("tbody a").first.click()
    page.locator("canvas[data-ready=yes]").first.wait_for()
    assert page.locator("#drafted mark").first.text_content() == "There is a large left pneumothorax."
    assert one.barriers() == []
    one.picture(f"shadow-disagreement-{scheme}")
    page.keyboard.press("g")
    page.keyboard.press("n")
    page.locator("#signed mark:text-is('Right pneumothorax.')").wait_for()
    # The keys work once the page's scripts have run, as the films do.
    page.locator("canvas[data-ready=yes]").first.wait_for()
    assert "finding=pneumothorax" in page.url
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.locator("#signed:has-text('effusion')").wait_for()
    page.locator("canvas[data-ready=yes]").first.wait_for()
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.wait_for_url("**/shadow/disagreements?finding=pneumothorax")
    assert (one.complaints, [asked for asked in one.elsewhere if not asked.startswith(site.url)]) == ([], [])
    page.context.close()
