"""Shadow mode in a real Chromium: figures and plots, disagreements by keyboard, and accessibility."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from agent.database.tables import ShadowComparison
from agent.shadow.drift import DriftRule
from agent.shadow.monthly import read_monthly
from agent.shadow.report_blocks import report_blocks
from agent.shadow.report_html import html_of
from tests.support.shadow import sign

from .chromium import Reading, open_page, press_in_turn, study_open
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


@pytest.mark.parametrize("width", [1200, 390])
def test_monthly_report_is_read_at_any_width(
    browser: Browser, site: Site, tmp_path: Path, width: int
) -> None:
    """No accessibility violation, and no overflow, on a phone either: wide tables scroll within the page."""
    with site.database.reading() as session:
        drafted_at = session.scalars(select(ShadowComparison.drafted_at)).first()
        assert drafted_at is not None
        found = read_monthly(session, f"{drafted_at:%Y-%m}", DriftRule(), "1.2.3")
    file = tmp_path / "report.html"
    file.write_text(html_of(report_blocks(found), "Report"), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(file.as_uri())
    expect(page.locator("svg")).to_have_count(2)
    assert Reading(page=page, url=file.as_uri()).barriers() == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_disagreements_are_read_with_keys_alone(browser: Browser, site: Site, scheme: str) -> None:
    """From the figures to a finding's disagreements, to the next one and back, without complaints."""
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
