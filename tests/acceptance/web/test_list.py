"""The list in a real Chromium: address, column headers, compact rows, claims, and the next study."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from benchmarks.worklist_fill import fill
from tests.support.waiting import wait_for

from .chromium import Reading, becomes, hold, open_page, press_in_turn, settle, study_open
from .site import Site, serving

CLEAR = ("The lungs are clear.",)
NAMES = ("ADA", "BEA", "CAY", "DEE")
COUNT = 30
STUDIES = "[...document.querySelectorAll('tr.study')].map((row) => row.dataset.study)"
# One click of several in quick succession; this is the one with this `detail`.
CLICK = """(detail) => document.querySelector('#claim button').dispatchEvent(
    new MouseEvent('click', {bubbles: true, detail}))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Thirty studies without a positive finding; the first four have fixed names."""
    with serving(tmp_path_factory.mktemp("list")) as one:
        for number in range(COUNT):
            name = NAMES[number] if number < len(NAMES) else f"ZED^{number:02d}"
            one.draft(f"1.2.{number + 1}", PatientID=f"L{number}", PatientName=name, text=CLEAR)
        yield one


@pytest.fixture
def reading(browser: Browser, site: Site) -> Iterator[Reading]:
    """The list in a window of its own."""
    one = open_page(browser, site.url)
    one.page.locator("tr.study").first.wait_for()
    yield one
    one.page.context.close()
    assert (one.complaints, one.elsewhere) == ([], [])


def patients(page: Page) -> list[str]:
    """The patients in the list, in its order."""
    return [one.strip() for one in page.locator("tr.study th a").all_text_contents()]


def shown(page: Page, name: str) -> None:
    """Wait until a study's page is shown and listens for keys."""
    page.locator(f"h1:has-text('{name}')").wait_for()
    study_open(page)


def travel(page: Page, steps: int) -> None:
    """Move through the browser's history after this call returns: navigation may end the page's script."""
    page.evaluate("(steps) => { setTimeout(() => history.go(steps)); }", steps)


def test_heads_sort_and_turn_round(reading: Reading) -> None:
    """A click sorts, a second one reverses; the header shows it, and the address keeps it."""
    page = reading.page
    page.click("th a:has-text('Patient')")
    page.locator("th[aria-sort=ascending]:has-text('Patient')").wait_for()
    becomes(lambda: patients(page)[:4], list(NAMES))
    page.click("th a:has-text('Patient')")
    page.locator("th[aria-sort=descending]:has-text('Patient')").wait_for()
    becomes(lambda: patients(page)[-4:], list(reversed(NAMES)))
    expect(page).to_have_url(re.compile("order=patient&reverse=1"))
    page.reload()
    becomes(lambda: patients(page)[-4:], list(reversed(NAMES)))


def test_browser_goes_back_through_filters(reading: Reading) -> None:
    """Each choice is an entry in the browser's history; the controls show what is listed."""
    page = reading.page
    page.select_option("select[name=order]", "patient")
    page.locator("th[aria-sort=ascending]:has-text('Patient')").wait_for()
    page.select_option("select[name=show]", "verified")
    page.locator("text=No study fits.").wait_for()
    page.go_back()
    page.locator("tr.study").first.wait_for()
    expect(page.locator("select[name=show]")).to_have_value("open")
    expect(page.locator("select[name=order]")).to_have_value("patient")
    page.locator("tr.study th a", has_text="BEA").click()
    page.wait_for_url("**/studies/*")
    page.go_back()
    page.locator("tr.study.chosen:has-text('BEA')").wait_for()
    expect(page.locator("select[name=order]")).to_have_value("patient")


def test_forward_right_after_back_shows_what_it_leads_to(reading: Reading) -> None:
    """On a slow network the browser may go forward before the list's script runs: rows match the address."""
    page = reading.page
    page.select_option("select[name=order]", "patient")
    page.locator("th[aria-sort=ascending]:has-text('Patient')").wait_for()
    page.locator("tr.study th a", has_text="BEA").click()
    shown(page, "BEA")
    study = page.url
    release = hold(page, "**/static/list.js")
    with page.expect_request("**/static/list.js"):
        travel(page, -2)
    page.locator("th[aria-sort]:has-text('Urgency')").wait_for()
    travel(page, 1)
    page.wait_for_url("**/?order=patient*", wait_until="commit")
    release()
    page.locator("th[aria-sort=ascending]:has-text('Patient')").wait_for()
    becomes(lambda: patients(page)[:4], list(NAMES))
    expect(page.locator("select[name=order]")).to_have_value("patient")
    travel(page, 1)
    page.wait_for_url(study)


def test_next_and_previous_follow_the_list(reading: Reading, site: Site) -> None:
    """They follow its order and filter, taken from the address, also after a verdict removes the study."""
    page = reading.page
    page.goto(f"{site.url}/?order=patient")
    page.click("tr.study th a >> text=BEA")
    shown(page, "BEA")
    for keys, name in (("gn", "CAY"), ("gp", "BEA"), ("gp", "ADA")):
        press_in_turn(page, keys)
        shown(page, name)
    expect(page.locator("a[rel=prev]")).to_have_count(0)
    press_in_turn(page, "gn")
    shown(page, "BEA")
    page.fill("input[name=observer]", "Roe^Rod")
    page.click("#accept")
    page.locator(".flag.good:has-text('verified')").wait_for()
    study_open(page)
    page.click("a[rel=next]")
    shown(page, "CAY")
    expect(page).to_have_url(re.compile("order=patient"))
    press_in_turn(page, "gl")
    page.locator("tr.study.chosen:has-text('CAY')").wait_for()
    becomes(lambda: "BEA" in patients(page), False)
    page.goto(f"{site.url}/?show=verified")
    page.locator("small:has-text('turnaround')").first.wait_for()
    expect(page.locator(".count")).to_contain_text("median turnaround of the last 24 hours")


def test_compact_rows_show_25_studies(reading: Reading) -> None:
    """On a screen of 900 px, 25 fit; the choice is kept, and in the dark nothing is a barrier."""
    page = reading.page
    page.set_viewport_size({"width": 1500, "height": 900})
    script = (
        "[...document.querySelectorAll('tr.study')]"
        ".filter((row) => row.getBoundingClientRect().bottom <= innerHeight).length"
    )
    wait_for(lambda: page.evaluate(script) < 25)
    page.click("#rows-style")
    wait_for(lambda: page.evaluate(script) >= 25)
    page.reload()
    page.locator("tr.study").first.wait_for()
    wait_for(lambda: page.evaluate(script) >= 25)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert reading.barriers() == []


def test_claim_is_seen_on_the_list_and_taken_over_only_when_asked(
    browser: Browser, reading: Reading, site: Site
) -> None:
    """Typing claims a study; another reader sees it at once and confirms a take-over; the first is told."""
    page = reading.page
    other = open_page(browser, site.url)
    mine = other.page
    mine.goto(f"{site.url}/?order=patient")
    page.goto(f"{site.url}/studies/4")
    page.locator("#claim:has-text('Nobody is reading')").wait_for()
    page.fill("#text-impression", "Clear.")
    page.locator("#claim:has-text('You are reading')").wait_for()
    mine.locator("tr.study:has-text('DEE') .claimed:has-text('another browser is reading')").wait_for()
    mine.click("tr.study th a >> text=DEE")
    mine.locator("#claim.alert").wait_for()
    shown(mine, "DEE")
    mine.keyboard.press("b")
    expect(mine.locator("#ask p")).to_contain_text("is reading this study. Take it over?")
    assert other.barriers() == []
    mine.keyboard.press("Escape")
    mine.locator("#ask").wait_for(state="hidden")
    settle(mine)
    expect(mine.locator("#claim")).to_have_attribute("data-mine", "no")
    mine.click("#claim button")
    mine.click("#ask button[value=yes]")
    mine.locator("#claim:has-text('You are reading')").wait_for()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("#claim.alert.lost:has-text('another browser')").wait_for()
    expect(page.locator("#text-impression")).to_have_value("Clear.")
    mine.click("#claim button")
    mine.locator("#claim:has-text('Nobody is reading')").wait_for()
    mine.context.close()
    page.fill("#text-impression", CLEAR[0])


def test_list_does_not_move_under_a_moving_pointer(reading: Reading, site: Site) -> None:
    """A new study waits until the pointer rests, so that nobody opens a row that has just moved there."""
    page = reading.page
    page.clock.install(time="2030-01-01")
    page.reload()
    before = patients(page)
    page.evaluate(
        "new Promise((done) => { const own = new EventSource('/live');"
        " own.addEventListener('changed', () => { own.close(); fetch('/session'); });"
        " own.addEventListener('ready', done); })"
    )
    # The page's clock is paused, and with it the time of the pointer's last move.
    page.clock.pause_at("2030-01-02")
    page.evaluate(
        "document.getElementById('list').dispatchEvent(new PointerEvent('pointermove', {bubbles: true}))"
    )
    with page.expect_response("**/session"):
        site.draft("1.2.901", PatientID="NEW", PatientName="AAA^NEW", text=CLEAR)
    assert patients(page) == before
    page.clock.resume()
    page.locator("tr.study:has-text('NEW AAA')").wait_for()


@pytest.fixture(scope="module")
def long_list(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A list of more than 600 studies to read."""
    with serving(tmp_path_factory.mktemp("long")) as one:
        fill(one.database, 800)
        yield one


def test_long_list_keeps_its_length(browser: Browser, long_list: Site) -> None:
    """A list longer than the server returns at once keeps its rows after an update and after going back."""
    one = open_page(browser, f"{long_list.url}/?limit=580&order=arrival")
    page = one.page

    def rows() -> list[str]:
        return list(
            page.evaluate("[...document.querySelectorAll('tr.study')].map((one) => one.dataset.study)")
        )

    def wait_for_rows(count: int) -> None:
        page.locator("tr.study").nth(count - 1).wait_for()

    wait_for_rows(580)
    page.dblclick("tr.more button")
    wait_for_rows(600)
    page.locator("#list[aria-busy=false]").wait_for()
    count = len(rows())
    long_list.draft("1.5.1", PatientID="M1", PatientName="AAA^NEW")
    page.locator("tr.study:has-text('NEW AAA')").wait_for()
    becomes(lambda: (len(rows()), len(set(rows()))), (count, count))
    last = page.locator("tr.study").nth(count - 1)
    name = last.locator("th a").text_content() or ""
    last.locator("th a").click()
    page.wait_for_url("**/studies/*")
    release = hold(page, lambda url: "limit=500" in url)
    with page.expect_request(lambda asked: "limit=500" in asked.url):
        page.go_back()
    expect(page).to_have_url(re.compile(f"limit={count}"))
    release()
    wait_for_rows(count)
    expect(page.locator("tr.study.chosen th a")).to_have_text(name)
    page.context.close()
    assert [words for words in one.complaints if "404" not in words] == []


def test_list_says_that_the_server_does_not_answer(browser: Browser, site: Site) -> None:
    """The rows stay, with their time; what was requested meanwhile is shown afterwards."""
    one = open_page(browser, site.url)
    page = one.page
    page.locator("tr.study").first.wait_for()
    page.context.set_offline(True)
    page.fill("#search", "cay")
    page.locator("#stale:has-text('The server does not answer. This list is as of')").wait_for()
    expect(page.locator("tr.study").nth(1)).to_be_visible()
    assert one.barriers() == []
    page.context.set_offline(False)
    page.locator("#stale[hidden]").wait_for(state="attached")
    page.locator("#list[aria-busy=false] tr.study").first.wait_for()
    becomes(lambda: patients(page), ["CAY"])
    expect(page).to_have_url(re.compile("q=cay"))
    page.context.close()


def test_selected_text_outlasts_what_arrives(browser: Browser, site: Site) -> None:
    """The selection of an accession number, made for copying, is kept when a new study arrives."""
    one = open_page(browser, site.url)
    page = one.page
    page.locator("tr.study").first.wait_for()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('tr.study td.what small'))")
    chosen = page.evaluate("getSelection().toString()")
    page.evaluate(
        "new Promise((done) => { const own = new EventSource('/live');"
        " own.addEventListener('changed', () => { own.close(); fetch('/session'); });"
        " own.addEventListener('ready', done); })"
    )
    with page.expect_response("**/session"):
        site.draft("1.2.950", PatientID="SEL", PatientName="AAA^SELECTED", text=CLEAR)
    assert page.evaluate("getSelection().toString()") == chosen != ""
    page.evaluate("getSelection().removeAllRanges()")
    page.locator("tr.study:has-text('SELECTED AAA')").wait_for()
    page.context.close()


def test_rows_that_are_on_their_way_wait_for_who_began_to_select(browser: Browser, site: Site) -> None:
    """On a slow network an answer may arrive when the pointer is over the rows or a selection is in them."""
    one = open_page(browser, site.url)
    page = one.page
    page.locator("tr.study").first.wait_for()

    def slowly(route: Route) -> None:
        page.evaluate("getSelection().selectAllChildren(document.querySelector('tr.study td.what small'))")
        route.continue_()

    page.route(lambda url: "limit=" in url, slowly, times=1)
    chosen = page.evaluate("document.querySelector('tr.study td.what small').textContent")
    with page.expect_response(lambda answer: "limit=" in answer.url):
        site.draft("1.2.970", PatientID="SLO", PatientName="AAA^SLOW", text=CLEAR)
    page.evaluate("fetch('/session')")
    assert page.evaluate("getSelection().toString()").strip() == chosen.strip()
    page.evaluate("getSelection().removeAllRanges()")
    page.locator("tr.study:has-text('SLOW AAA')").wait_for()
    page.context.close()


def test_second_click_of_a_double_click_opens_no_study(reading: Reading) -> None:
    """The row that replaced "Show more", or a chip, between the two clicks is not opened."""
    page = reading.page
    follows = page.evaluate(
        "document.querySelector('tr.study th a').dispatchEvent("
        "new MouseEvent('click', {bubbles: true, cancelable: true, detail: 2}))"
    )
    assert follows is False
    expect(page.locator("tr.study.chosen")).to_have_count(0)


def test_double_click_claims_a_study_once(browser: Browser, site: Site) -> None:
    """The second click does not press the button that replaced the first one."""
    study_id = site.draft("1.2.960", PatientID="DBL", PatientName="ZZZ^DOUBLE", text=CLEAR)
    one = open_page(browser, f"{site.url}/studies/{study_id}")
    page = one.page
    study_open(page)
    page.evaluate(CLICK, 1)
    page.locator("#claim:has-text('You are reading')").wait_for()
    page.evaluate(CLICK, 2)
    page.reload()
    page.locator("#claim:has-text('You are reading')").wait_for()
    page.context.close()
