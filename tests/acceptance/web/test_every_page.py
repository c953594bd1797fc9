"""Common to all pages, in a real Chromium: keys, dialogs, and the notification of a critical draft."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from .chromium import Reading, becomes, open_page, settle, study_open
from .site import Site, serving


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A study without a positive finding."""
    with serving(tmp_path_factory.mktemp("every-page")) as one:
        one.draft("1.2.1", text=("The lungs are clear.",))
        yield one


@pytest.fixture
def reading(browser: Browser, site: Site) -> Iterator[Reading]:
    """The study's page in a window of its own; it must end without complaints."""
    one = open_page(browser, site.url, "/studies/1")
    study_open(one.page)
    yield one
    one.page.context.close()
    assert (one.complaints, one.elsewhere) == ([], [])


def test_critical_draft_is_notified_without_a_patient(browser: Browser, site: Site) -> None:
    """The browser is notified of a critical draft, also on another page, without the patient's identity. A
    draft that arrives between two pages is reported by the next page.
    """
    one = open_page(browser, f"{site.url}/sign-in", permissions=["notifications"])
    page = one.page
    page.add_init_script(
        "window.noticed = []; window.Notification = class extends EventTarget {"
        " static permission = 'granted'; static requestPermission = async () => 'granted';"
        " constructor(title, options) { super(); window.noticed.push([title, options.body]); } };"
    )
    page.goto(f"{site.url}/studies/1")
    page.click("#notice")
    expect(page.locator("#notice")).to_have_attribute("aria-pressed", "true")
    # The stream has begun: what arrives from now on is reported.
    becomes(lambda: page.evaluate("Number(localStorage.getItem('echo-notice-seen')) > 0"), True)
    site.draft("1.2.900", PatientID="CRIT", PatientName="CRITICAL^CARL")
    page.locator("#critical-news").wait_for()
    notice = ["ECHO Agent", "A critical draft has arrived."]
    becomes(lambda: page.evaluate("window.noticed"), [notice])
    page.goto("about:blank")
    site.draft("1.2.910", PatientID="CRIT2", PatientName="CRITICAL^CORA")
    page.goto(f"{site.url}/studies/1")
    page.locator("#critical-news").wait_for()
    becomes(lambda: page.evaluate("window.noticed"), [notice])
    page.click("#notice")
    expect(page.locator("#notice")).to_have_attribute("aria-pressed", "false")
    page.click("#critical-news a")
    page.locator("tr.study.critical:has-text('CARL CRITICAL')").wait_for()
    assert one.complaints == []
    page.context.close()


def test_keys_are_shown_and_changed(reading: Reading) -> None:
    """`?` lists every action; a key can be changed, but not to one in use, or to a single key that leaves."""
    page = reading.page
    page.keyboard.press("?")
    page.locator("#keys[open]").wait_for()
    assert reading.barriers() == []

    caption, invert = page.locator("figcaption .window").first, page.locator("[data-do=invert] kbd")

    def change(words: str, key: str, answer: str) -> None:
        button = page.locator(f"#keys tr:has-text('{words}') button")
        button.click()
        expect(button).to_have_text("press a key")
        page.keyboard.press(key)
        expect(button).not_to_have_text("press a key")
        expect(page.locator("#keys [role=status]")).to_contain_text(answer)

    change("image: invert", "r", "is in use")
    change("next study", "n", "needs two keys")
    change("image: invert", "u", "image: invert: u")
    page.keyboard.press("Escape")
    page.locator("#keys").wait_for(state="hidden")
    page.keyboard.press("i")
    settle(page)
    expect(caption).not_to_contain_text("inverted")
    page.reload()
    study_open(page)
    expect(invert).to_have_text("u")
    page.keyboard.press("u")
    expect(caption).to_contain_text("inverted")
    page.keyboard.press("?")
    page.click("#keys [data-reset]")
    page.click("#ask button[value=yes]")
    expect(invert).to_have_text("i")


def test_questions_are_asked_one_after_the_other(reading: Reading) -> None:
    """A question asked while the first one's dialog is closing waits, and each gets its own answer."""
    page = reading.page
    page.evaluate(
        """async () => {
            const { ask } = await import("/static/ask.js");
            const first = ask("The first one?", "Yes");
            await new Promise((done) => setTimeout(done));
            document.querySelector("#ask button[value=yes]").click();
            const more = ["second", "third"].map((name) => ask(`The ${name} one?`, "Yes"));
            window.answers = Promise.all([first, ...more]);
        }"""
    )
    for words, value in (("second", "no"), ("third", "yes")):
        page.locator(f"#ask[open] p:has-text('{words}')").wait_for()
        page.click(f"#ask button[value={value}]")
    assert page.evaluate("window.answers") == [True, False, True]
