"""The list in a real Chromium: address, heads, compact rows, claims, notices, keys, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from .chromium import Reading, chromium, open_page
from .site import Site, serving

CLEAR = ("The lungs are clear.",)
NAMES = ("ADA", "BEA", "CAY", "DEE")
COUNT = 30


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Thirty studies without a positive finding; the first four have names to go by."""
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
    """The patients on the list, in its order."""
    return [one.strip() for one in page.locator("tr.study th a").all_text_contents()]


def shown(page: Page, name: str) -> None:
    """Wait until a study's page is there, and listens to keys."""
    page.locator(f"h1:has-text('{name}')").wait_for()
    page.locator("canvas[data-ready=yes]").first.wait_for()


def test_heads_sort_and_turn_round(reading: Reading) -> None:
    """A click sorts, a second one turns round; the head says it, and the address keeps it."""
    page = reading.page
    page.click("th a:has-text('Patient')")
    page.locator("th[aria-sort=ascending]:has-text('Patient')").wait_for()
    assert patients(page)[:4] == list(NAMES)
    page.click("th a:has-text('Patient')")
    page.locator("th[aria-sort=descending]:has-text('Patient')").wait_for()
    assert patients(page)[-4:] == list(reversed(NAMES))
    assert "order=patient&reverse=1" in page.url
    page.reload()
    assert patients(page)[-4:] == list(reversed(NAMES))


def test_browser_goes_back_through_filters(reading: Reading) -> None:
    """Each choice is a step of the browser; the controls say what the list shows."""
    page = reading.page
    page.select_option("select[name=order]", "patient")
    page.locator("th[aria-sort=ascending]:has-text('Patient')").wait_for()
    page.select_option("select[name=show]", "verified")
    page.locator("text=No study fits.").wait_for()
    page.go_back()
    page.locator("tr.study").first.wait_for()
    assert (page.input_value("select[name=show]"), page.input_value("select[name=order]")) == (
        "open",
        "patient",
    )
    page.locator("tr.study th a", has_text="BEA").click()
    page.wait_for_url("**/studies/*")
    page.go_back()
    page.locator("tr.study.chosen:has-text('BEA')").wait_for()
    assert page.input_value("select[name=order]") == "patient"


def test_next_and_previous_follow_the_list(reading: Reading, site: Site) -> None:
    """In its order and filter, from the address; also after a verdict has taken the study off it."""
    page = reading.page
    page.goto(f"{site.url}/?order=patient")
    page.click("tr.study th a >> text=BEA")
    shown(page, "BEA")
    for keys, name in (("gn", "CAY"), ("gp", "BEA"), ("gp", "ADA")):
        for key in keys:
            page.keyboard.press(key)
        shown(page, name)
    assert page.locator("a[rel=prev]").count() == 0
    page.keyboard.press("g")
    page.keyboard.press("n")
    shown(page, "BEA")
    page.fill("input[name=observer]", "Roe^Rod")
    page.click("#accept")
    page.locator(".flag.good:has-text('verified')").wait_for()
    page.click("a[rel=next]")
    shown(page, "CAY")
    assert "order=patient" in page.url
    page.keyboard.press("g")
    page.keyboard.press("l")
    page.locator("tr.study.chosen:has-text('CAY')").wait_for()
    assert "BEA" not in patients(page)
    page.goto(f"{site.url}/?show=verified")
    page.locator("small:has-text('turnaround')").first.wait_for()
    assert "median turnaround of the last 24 hours" in (page.text_content(".count") or "")


def test_compact_rows_show_25_studies(reading: Reading) -> None:
    """On a screen of 900 px, one line each; the choice is kept, also in the dark and for a screen reader."""
    page = reading.page
    page.set_viewport_size({"width": 1500, "height": 900})
    script = (
        "[...document.querySelectorAll('tr.study')]"
        ".filter((row) => row.getBoundingClientRect().bottom <= innerHeight).length"
    )
    assert page.evaluate(script) < 25
    page.click("#rows-style")
    assert page.evaluate(script) >= 25
    page.reload()
    page.locator("tr.study").first.wait_for()
    assert page.evaluate(script) >= 25
    assert reading.barriers() == []


def test_claim_is_seen_on_the_list_and_taken_over_only_when_asked(
    browser: Browser, reading: Reading, site: Site
) -> None:
    """Typing claims; another reader sees it at once, is asked before he takes over, and the first is told."""
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
    assert "is reading this study. Take it over?" in (mine.text_content("#ask p") or "")
    assert other.barriers() == []
    mine.keyboard.press("Escape")
    mine.locator("#ask").wait_for(state="hidden")
    assert mine.get_attribute("#claim", "data-mine") == "no"
    mine.click("#claim button")
    mine.click("#ask button[value=yes]")
    mine.locator("#claim:has-text('You are reading')").wait_for()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("#claim.alert.lost:has-text('another browser')").wait_for()
    assert page.input_value("#text-impression") == "Clear."
    mine.click("#claim button")
    mine.locator("#claim:has-text('Nobody is reading')").wait_for()
    mine.context.close()
    page.fill("#text-impression", CLEAR[0])


def test_critical_draft_is_notified_without_a_patient(browser: Browser, site: Site) -> None:
    """The browser's notice says that there is one, also while another page is shown; never who it is."""
    one = open_page(browser, f"{site.url}/sign-in", permissions=["notifications"])
    page = one.page
    page.add_init_script(
        "window.noticed = []; window.Notification = class extends EventTarget {"
        " static permission = 'granted'; static requestPermission = async () => 'granted';"
        " constructor(title, options) { super(); window.noticed.push([title, options.body]); } };"
    )
    page.goto(f"{site.url}/studies/3")
    with page.expect_response("**/live"):
        page.click("#notice")
    assert page.get_attribute("#notice", "aria-pressed") == "true"
    site.draft("1.2.900", PatientID="CRIT", PatientName="CRITICAL^CARL")
    page.locator("#critical-news").wait_for()
    assert page.evaluate("window.noticed") == [["ECHO Agent", "A critical draft has arrived."]]
    page.click("#notice")
    assert page.get_attribute("#notice", "aria-pressed") == "false"
    page.click("#critical-news a")
    page.locator("tr.study.critical:has-text('CARL CRITICAL')").wait_for()
    assert one.complaints == []
    page.context.close()


def test_keys_are_shown_and_changed(reading: Reading) -> None:
    """`?` lists every act; a key can be changed, but not to one in use, nor to a single one that leaves."""
    page = reading.page
    page.goto(f"{reading.url}/studies/3")
    page.locator("canvas[data-ready=yes]").first.wait_for()
    page.keyboard.press("?")
    page.locator("#keys[open]").wait_for()
    assert reading.barriers() == []

    def change(words: str, *keys: str) -> str:
        page.click(f"#keys tr:has-text('{words}') button")
        for key in keys:
            page.keyboard.press(key)
        page.locator(f"#keys tr:has-text('{words}') button:not(:text-is('press a key'))").wait_for()
        return page.text_content("#keys [role=status]") or ""

    assert "is in use" in change("image: invert", "r")
    assert "needs two keys" in change("next study", "n")
    assert change("image: invert", "u") == "image: invert: u"
    page.keyboard.press("Escape")
    page.keyboard.press("i")
    assert "inverted" not in (page.text_content("figcaption .window") or "")
    page.reload()
    page.locator("canvas[data-ready=yes]").first.wait_for()
    assert page.text_content("[data-do=invert] kbd") == "u"
    page.keyboard.press("u")
    assert "inverted" in (page.text_content("figcaption .window") or "")
    page.keyboard.press("?")
    page.click("#keys [data-reset]")
    page.click("#ask button[value=yes]")
    assert page.text_content("[data-do=invert] kbd") == "i"


def test_list_does_not_move_under_a_moving_pointer(reading: Reading, site: Site) -> None:
    """A new study waits until the pointer rests: nobody opens the row that has just taken another's place."""
    page = reading.page
    before = patients(page)
    page.evaluate(
        "window.still = setInterval(() => document.getElementById('list').dispatchEvent("
        "new PointerEvent('pointermove', {bubbles: true})), 50)"
    )
    page.evaluate(
        "new Promise((done) => { const own = new EventSource('/live');"
        " own.addEventListener('changed', () => { own.close(); fetch('/session'); });"
        " own.addEventListener('ready', done); })"
    )
    with page.expect_response("**/session"):
        site.draft("1.2.901", PatientID="NEW", PatientName="AAA^NEW", text=CLEAR)
    assert patients(page) == before
    page.evaluate("clearInterval(window.still)")
    page.locator("tr.study:has-text('NEW AAA')").wait_for()
