"""Shadow mode in a real Chromium: figures and plots, disagreements by keys, and no barrier for a reader."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.shadow import sign

from .chromium import open_page, press_in_turn, study_open
from .site import Site, serving


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
    expect(page.locator("html")).to_have_attribute("data-theme", scheme)
    expect(page.locator("svg.plot")).to_have_count(2)
    assert one.barriers() == []
    one.picture(f"shadow-figures-{scheme}")
    page.click("th a:has-text('pneumothorax')")
    page.wait_for_url("**finding=pneumothorax")
    assert one.barriers() == []
    page.locator("tbody a").first.click()
    study_open(page)
    expect(page.locator("#drafted mark").first).to_have_text("There is a large left pneumothorax.")
    assert one.barriers() == []
    one.picture(f"shadow-disagreement-{scheme}")
    press_in_turn(page, "gn")
    page.locator("#signed mark:text-is('Right pneumothorax.')").wait_for()
    study_open(page)
    expect(page).to_have_url(re.compile("finding=pneumothorax"))
    press_in_turn(page, "gp")
    page.locator("#signed:has-text('effusion')").wait_for()
    study_open(page)
    press_in_turn(page, "gl")
    page.wait_for_url("**/shadow/disagreements?finding=pneumothorax")
    assert (one.complaints, [asked for asked in one.elsewhere if not asked.startswith(site.url)]) == ([], [])
    page.context.close()
