"""Reading in a real Chromium: keys, marks, typed text, comparison, priors, roles, and OpenID."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from agent.foundation.settings.tree import OidcSettings
from agent.web.accounts import Role, add_user
from tests.support.openid_provider import CLIENT_ID, SECRET, Provider, running_provider
from tests.support.worklist import receive_film, write_draft

from .chromium import Reading, becomes, hold, open_page, press_in_turn, settle, study_open
from .site import PASSWORD, Site, serving

HOSTILE = "<script>window.run++</script>"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A worklist without sign-in, with four studies; JANE DOE has a prior."""
    with serving(tmp_path_factory.mktemp("site")) as one:
        one.draft("1.2.1", StudyDate="20250101", text=("There is a right pleural effusion.",))
        one.draft("1.2.2")
        one.draft("1.2.3", PatientID="P2", PatientName="ROE^RICHARD", text=("The lungs are clear.",))
        one.draft("1.2.4", PatientID=HOSTILE, PatientName=HOSTILE, StudyDescription=HOSTILE)
        yield one


@pytest.fixture
def reading(browser: Browser, site: Site) -> Iterator[Reading]:
    """The list in a window of its own; it must end without complaints."""
    one = open_page(browser, site.url)
    yield one
    one.page.context.close()
    assert (one.complaints, one.elsewhere) == ([], [])


def test_list_and_study_are_read_with_keys_alone(reading: Reading) -> None:
    """Move down, open, set window and level, invert, show the prior, type, and go back, without a mouse."""
    page = reading.page
    page.locator("tr.study").first.wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tr.study.chosen")).to_have_count(1)
    expect(page.locator("tr.study.chosen th a")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("jane 20")
    page.locator("p.count:has-text('0')").wait_for()
    page.fill("#search", "jane")
    page.locator("p.count strong:text-is('2')").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator("#search")).to_have_value("jane")
    page.select_option("select[name=order]", "study")
    page.locator("th[aria-sort]:has-text('Study')").wait_for()
    page.locator("tr.study").first.locator("td:has-text('2026-01-01')").wait_for()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")
    page.goto(f"{reading.url}/studies/2")
    study_open(page)
    canvas = page.locator("canvas[data-ready=yes]").first
    before = canvas.get_attribute("data-window")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_selector(f"canvas[data-ready=yes]:not([data-window='{before}'])")
    page.keyboard.press("r")
    page.wait_for_selector(f"canvas[data-window='{before}']")
    page.keyboard.press("p")
    page.locator(".prior:not([hidden]) canvas[data-ready=yes]").wait_for()
    expect(page.locator(".prior:not([hidden])")).to_contain_text("right pleural effusion")
    page.keyboard.press("p")
    expect(page.locator(".prior:not([hidden])")).to_have_count(0)
    page.keyboard.press("e")
    expect(page.locator("#text-findings")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    settle(page)
    expect(page).to_have_url(re.compile("/studies/2"))
    press_in_turn(page, "gl")
    page.locator("tr.study").first.wait_for()


def test_typed_text_is_back_after_a_reload(reading: Reading) -> None:
    """It is kept in the browser, encrypted; leaving asks for confirmation; the reader can discard it."""
    page = reading.page
    page.goto(f"{reading.url}/studies/3")
    page.fill("#text-findings", "A sentence that nobody else may read.")
    page.evaluate(
        "new Promise((done) => { const look = () => Object.keys(localStorage).some((name) => "
        "name.startsWith('echo-typed:3:')) ? done() : setTimeout(look, 50); look(); })"
    )
    assert "nobody" not in page.evaluate("JSON.stringify(localStorage)")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    page.locator("#typed:not([hidden])").wait_for()
    expect(page.locator("#text-findings")).to_have_value("A sentence that nobody else may read.")
    assert asked == ["beforeunload"]
    page.click("#typed button")
    expect(page.locator("#text-findings")).to_have_value("The lungs are clear.")
    becomes(lambda: page.evaluate("Object.keys(localStorage).length"), 0)


def test_text_that_was_typed_before_the_scripts_ran_is_kept(reading: Reading) -> None:
    """On a slow network the text can change before a script listens; the kept text does not replace it."""
    page, address = reading.page, f"{reading.url}/studies/3"
    page.on("dialog", lambda dialog: dialog.accept())

    def type_early(text: str) -> None:
        release = hold(page, "**/report/typed.js")
        with page.expect_request("**/report/typed.js"):
            page.goto(address, wait_until="commit")
        page.fill("#text-findings", text)
        release()
        page.wait_for_load_state()

    def kept() -> int:
        return int(
            page.evaluate("Object.keys(localStorage).filter((one) => one.startsWith('echo-typed:3:')).length")
        )

    type_early("Typed early.")
    becomes(kept, 1)
    page.reload()
    page.locator("#typed:has-text('is back')").wait_for()
    expect(page.locator("#text-findings")).to_have_value("Typed early.")
    type_early("Typed later.")
    page.locator("#typed:has-text('another text here before')").wait_for()
    expect(page.locator("#text-findings")).to_have_value("Typed later.")
    page.click("#typed button")
    expect(page.locator("#text-findings")).to_have_value("Typed early.")


def test_text_that_is_being_kept_can_be_discarded(reading: Reading) -> None:
    """Keeping takes a moment, because the text is encrypted: text discarded meanwhile does not come back."""
    page = reading.page
    page.on("dialog", lambda dialog: dialog.accept())
    page.add_init_script(
        """if (sessionStorage.getItem("gated")) {
            const seal = crypto.subtle.encrypt.bind(crypto.subtle);
            const gate = new Promise((open) => { window.openGate = open; });
            crypto.subtle.encrypt = (...given) => {
                window.sealed = gate.then(() => seal(...given));
                return window.sealed;
            };
        }"""
    )
    page.goto(f"{reading.url}/studies/3")
    page.fill("#text-findings", "A sentence that is taken back.")
    becomes(lambda: page.evaluate("Object.keys(localStorage).length"), 1)
    page.evaluate("sessionStorage.setItem('gated', 'yes')")
    page.reload()
    page.locator("#typed:has-text('is back')").wait_for()
    becomes(lambda: page.evaluate("Boolean(window.sealed)"), True)
    page.click("#typed button")
    page.evaluate("window.openGate(); window.sealed.then(() => new Promise((done) => setTimeout(done)))")
    assert page.evaluate("Object.keys(localStorage).length") == 0


def test_list_lives_in_its_address(reading: Reading) -> None:
    """Filters, order and row are in the address, and going back from a study leads there."""
    page = reading.page
    page.select_option("select[name=order]", "patient")
    page.wait_for_url("**/?order=patient*")
    page.locator("th[aria-sort=ascending]:has-text('Patient')").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile("#row="))
    address = page.url
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")
    page.click("a.back")
    page.wait_for_url(address)
    expect(page.locator("select[name=order]")).to_have_value("patient")


def test_finding_is_a_filter(reading: Reading) -> None:
    """A click on a finding shows the studies that have it, and the filter control shows it."""
    page = reading.page
    page.locator("a.chip:has-text('pleural effusion')").click()
    page.locator("p.count strong:text-is('1')").wait_for()
    expect(page.locator("select[name=finding]")).to_have_value("pleural_effusion")
    page.select_option("select[name=finding]", "normal")
    page.locator("tr.study:has-text('RICHARD ROE')").wait_for()
    page.locator("p.count a:has-text('show all')").click()
    page.locator("p.count strong:text-is('4')").wait_for()


def test_doubtful_sentence_is_named_until_it_is_changed(reading: Reading) -> None:
    """It is marked in the text and named in words; a sentence typed by the reader is not doubtful."""
    page = reading.page
    page.goto(f"{reading.url}/studies/2")
    label = page.locator("#doubtful-impression li")
    expect(label).to_be_visible()
    expect(label).to_have_text("Doubtful: Left pneumothorax.")
    expect(page.locator(".mirror .doubted")).to_have_text("Left pneumothorax.")
    expect(page.locator("#text-impression")).to_have_attribute("aria-describedby", "doubtful-impression")
    page.locator("tr[data-evidence]:has-text('pneumothorax')").first.hover()
    expect(page.locator(".mirror .evidence")).to_have_count(1)
    page.fill("#text-impression", "No pneumothorax.")
    expect(label).to_be_hidden()
    expect(page.locator(".mirror .doubted")).to_have_count(0)
    expect(page.locator("#accept")).to_have_text("Accept with changes")


def test_markup_in_a_name_is_read_and_not_run(reading: Reading) -> None:
    """Markup is shown as text on the list, on the study and in its title."""
    page = reading.page
    page.locator(f"tr.study:has-text('{HOSTILE}')").locator("th a").click()
    study_open(page)
    expect(page).to_have_title(re.compile(re.escape(HOSTILE)))
    assert page.evaluate("typeof window.run") == "undefined"


def test_new_images_are_said_while_the_study_is_open_and_after_the_verdict(
    reading: Reading, site: Site
) -> None:
    """The open page says that it is outdated; the verified report stands until the new one is judged."""
    page = reading.page
    study_id = site.draft("1.2.9", PatientID="P9", PatientName="LATE^LUCY")
    page.goto(f"{site.url}/studies/{study_id}")
    page.fill("input[name=observer]", "Roe^Richard")
    page.fill("#text-findings", "First report.")
    page.click("#accept")
    page.wait_for_selector(".flag.good:has-text('verified')")
    study_open(page)
    attributes = {"PatientID": "P9", "PatientName": "LATE^LUCY", "SOPInstanceUID": "1.2.9.1.2"}
    receive_film(site.database, site.store, site.settings, "1.2.9", **attributes)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("#outdated:not([hidden])")
    write_draft(site.database, site.store, site.settings, study_id)
    page.goto(site.url)
    page.locator("tr.study:has-text('LUCY LATE'):has-text('new images after verification')").wait_for()
    page.goto(f"{site.url}/studies/{study_id}")
    expect(page.locator(".standing")).to_contain_text("First report.")
    expect(page.locator("#text-impression")).to_have_value("Left pneumothorax.")
    page.select_option("select[name=before]", label="revision 2, verified")
    page.select_option("select[name=after]", label="revision 3, drafted")
    page.click(".compare button")
    page.locator("#comparison del:has-text('First report.')").wait_for()
    expect(page.locator("#comparison .words ins").first).to_contain_text(
        "There is a large left pneumothorax."
    )
    assert reading.barriers() == []


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """An OpenID provider."""
    with running_provider() as one:
        yield one


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Site]:
    """A worklist with a local reader, and a provider at which Rod Roe is a radiologist."""
    roles = {"rad": "radiologist"}
    oidc = OidcSettings(issuer=provider.url, client_id=CLIENT_ID, client_secret=SECRET, roles=roles)
    with serving(tmp_path_factory.mktemp("closed"), oidc=oidc) as one:
        one.draft("1.2.1")
        add_user(one.database, "rita", "Reader^Rita", Role.READER, PASSWORD)
        yield one


def test_reader_cannot_accept_whatever_he_sends(browser: Browser, closed: Site) -> None:
    """No button, a text that cannot be edited, and a refusal of a forged form."""
    reading = open_page(browser, closed.url)
    page = reading.page
    page.fill("input[name=name]", "rita")
    page.fill("input[name=password]", PASSWORD)
    page.click("button.accept")
    page.locator("tr.study th a").click()
    study_open(page)
    expect(page.locator("#accept")).to_have_count(0)
    expect(page.locator("#text-findings")).not_to_be_editable()
    assert reading.complaints == []
    status = page.evaluate(
        "fetch(document.getElementById('report').action, {method: 'POST', body: new URLSearchParams("
        "[...new FormData(document.getElementById('report')), ['verdict', 'accept']])}).then(a => a.status)"
    )
    assert status == 403
    assert page.goto(f"{closed.url}/statistics").status == 403  # type: ignore[union-attr]
    page.click("text=Sign out")
    page.wait_for_selector("input[name=password]")
    page.go_back()
    page.goto(f"{closed.url}/studies/1")
    expect(page).to_have_url(f"{closed.url}/sign-in?next=%2Fstudies%2F1")
    page.context.close()


def test_hospital_account_leads_to_the_list(browser: Browser, closed: Site, provider: Provider) -> None:
    """To the provider and back in a real browser with strict cookies; then a verdict under that name."""
    reading = open_page(browser, closed.url)
    page = reading.page
    assert reading.barriers() == []
    page.click("a.openid")
    page.locator("tr.study th a").click()
    study_open(page)
    page.locator("text=Rod Roe · radiologist").wait_for()
    expect(page.locator("input[name=observer]")).to_have_count(0)
    page.click("#accept")
    page.wait_for_selector(".flag.good:has-text('verified')")
    expect(page.locator(".history")).to_contain_text("by Rod Roe")
    assert {url.split("/authorize")[0] for url in reading.elsewhere} == {provider.url}
    assert reading.complaints == []
    page.context.close()
