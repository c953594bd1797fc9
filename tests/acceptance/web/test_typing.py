"""Typed text in a real Chromium: sessions that end, lost answers, templates, copying, printing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import APIResponse, Browser, Page, Route, expect
from sqlalchemy import delete, select

from agent.database.tables import Verdict, WebSession
from agent.foundation.settings.tree import OidcSettings
from agent.web.accounts import Role, add_user
from tests.support.openid_provider import CLIENT_ID, SECRET, Provider, running_provider

from .chromium import Reading, becomes, hold, open_page, press_in_turn, settle, study_open
from .site import PASSWORD, Site, serving

TYPED = "A sentence that must not be lost."
# Chromium's messages for a request without a session (401), or with the old form token and the new cookie
# (403): the page repeats both, and the time of the sign-in decides which one it is.
ENDED = ("401", "403")
TEMPLATES = [
    {"name": "No effusion", "sentences": ["No pleural effusion.", "The heart is normal in size."]},
    {"name": "Follow-up", "section": "impression", "sentences": ["Follow-up radiograph in six hours."]},
    {"name": "No pneumothorax", "sentences": ["No pneumothorax."]},
]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """An OpenID provider, at which Rod Roe is a radiologist."""
    with running_provider() as one:
        yield one


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Site]:
    """A worklist with two radiologists, the provider, and text templates."""
    oidc = OidcSettings(
        issuer=provider.url, client_id=CLIENT_ID, client_secret=SECRET, roles={"rad": "radiologist"}
    )
    with serving(tmp_path_factory.mktemp("typing"), oidc=oidc, templates=TEMPLATES) as one:
        add_user(one.database, "ann", "Poe^Ann", Role.RADIOLOGIST, PASSWORD)
        add_user(one.database, "bob", "Moe^Bob", Role.RADIOLOGIST, PASSWORD)
        yield one


def opened(browser: Browser, site: Site, uid: str) -> tuple[Reading, int]:
    """Draft a study, sign in as Ann, and open it."""
    study_id = site.draft(uid, PatientID=uid, PatientName=f"PAT^{uid}")
    one = open_page(browser, site.url)
    one.page.goto(f"{site.url}/studies/{study_id}")
    sign_in(one.page, "ann")
    study_open(one.page)
    return one, study_id


def sign_in(page: Page, name: str, form: str = "main .sign-in") -> None:
    """Fill in the form and submit it."""
    page.fill(f"{form} input[name=name]", name)
    page.fill(f"{form} input[name=password]", PASSWORD)
    page.click(f"{form} button.accept")


def type_report(page: Page, section: str, text: str) -> None:
    """Type, and wait for the requests that typing causes: if the session ended meanwhile, one could arrive
    late, with the old session's token and the new one's cookie.
    """
    with page.expect_response("**/findings"):
        page.fill(f"#text-{section}", text)
    page.locator("#claim:has-text('You are reading')").wait_for()


def end_sessions(site: Site) -> None:
    """End every session, as the idle timeout does."""
    with site.database.transaction() as session:
        session.execute(delete(WebSession))


def verdicts(site: Site, study_id: int) -> list[tuple[str, str]]:
    """The verdicts on a study, and who gave them."""
    with site.database.reading() as session:
        rows = session.scalars(select(Verdict).where(Verdict.study_id == study_id))
        return [(one.observer_name, one.kind) for one in rows]


def close(one: Reading, *known: str) -> None:
    """Close the window; its console has only these messages, which Chromium writes for refused requests."""
    assert [words for words in one.complaints if not any(part in words for part in known)] == []
    one.page.context.close()


def test_verdict_is_given_after_sign_in_in_place(browser: Browser, site: Site) -> None:
    """After the session ends, a dialog hides the patient and asks for the password; the verdict is sent."""
    one, study_id = opened(browser, site, "1.3.1")
    page = one.page
    type_report(page, "findings", TYPED)
    end_sessions(site)
    page.click("#accept")
    page.locator("#sign-in-again[open]").wait_for()
    becomes(lambda: "PAT" in page.title(), False)
    assert one.barriers() == []
    page.fill("#sign-in-again input[name=password]", "wrong password")
    page.click("#sign-in-again button.accept")
    page.locator("#sign-in-again [role=alert]:has-text('Name or password is wrong')").wait_for()
    page.keyboard.press("Escape")
    settle(page)
    expect(page.locator("#sign-in-again[open]")).to_have_count(1)
    sign_in(page, "ann", "#sign-in-again")
    page.locator(".flag.good:has-text('verified')").wait_for()
    expect(page.locator("#text-findings")).to_have_value(TYPED)
    assert verdicts(site, study_id) == [("Poe^Ann", "changed")]
    wait_for_kept(page, kept=False)
    close(one, *ENDED)


def test_another_person_does_not_see_what_was_typed(browser: Browser, site: Site) -> None:
    """A different user gets a new page; the first one finds the text again."""
    one, study_id = opened(browser, site, "1.3.2")
    page = one.page
    type_report(page, "findings", TYPED)
    wait_for_kept(page)
    end_sessions(site)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("#sign-in-again[open]").wait_for()
    sign_in(page, "bob", "#sign-in-again")
    page.locator("text=Bob Moe · radiologist").wait_for()
    study_open(page)
    expect(page.locator("#text-findings")).not_to_have_value(TYPED)
    assert TYPED not in page.content()
    page.click("text=Sign out")
    page.locator("main .sign-in").wait_for()
    page.goto(f"{site.url}/studies/{study_id}")
    sign_in(page, "ann")
    page.locator("#typed:not([hidden])").wait_for()
    expect(page.locator("#text-findings")).to_have_value(TYPED)
    assert verdicts(site, study_id) == []
    close(one, *ENDED)


def wait_for_kept(page: Page, *, kept: bool = True) -> None:
    """Wait until the browser has kept the typed text, or has deleted it."""
    page.evaluate(
        "(kept) => new Promise((done) => { const look = () => Object.keys(localStorage).some((name) => "
        "name.startsWith('echo-typed')) === kept ? done() : setTimeout(look, 50); look(); })",
        kept,
    )


def test_openid_popup_and_other_tab_sign_the_page_in(
    browser: Browser, site: Site, provider: Provider
) -> None:
    """Sign-in at the provider uses its own window, which closes; the text stays, and other tabs follow."""
    study_id = site.draft("1.3.3", PatientID="1.3.3", PatientName="PAT^THREE")
    one = open_page(browser, site.url)
    page = one.page
    page.goto(f"{site.url}/studies/{study_id}")
    page.click("a.openid")
    page.locator("text=Rod Roe · radiologist").wait_for()
    expect(page).to_have_url(f"{site.url}/studies/{study_id}")
    study_open(page)
    tab = page.context.new_page()
    tab.goto(f"{site.url}/studies/{study_id}")
    type_report(page, "impression", TYPED)
    end_sessions(site)
    for each in (tab, page):
        each.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        each.locator("#sign-in-again[open]").wait_for()
    with page.expect_popup() as opening:
        page.click("#sign-in-again .openid")
    page.locator("#sign-in-again[open]").wait_for(state="detached")
    tab.locator("#sign-in-again[open]").wait_for(state="detached")
    if not opening.value.is_closed():
        opening.value.wait_for_event("close")
    expect(page.locator("#text-impression")).to_have_value(TYPED)
    page.click("#accept")
    page.locator(".flag.good:has-text('verified')").wait_for()
    assert verdicts(site, study_id) == [("Roe^Rod", "changed")]
    close(one, *ENDED)


def test_findings_follow_the_text_after_sign_in_in_place(browser: Browser, site: Site) -> None:
    """A request of the page itself that had no session is repeated."""
    one, _ = opened(browser, site, "1.3.4")
    page = one.page
    end_sessions(site)
    page.fill("#text-impression", "There is a right rib fracture.")
    page.locator("#sign-in-again[open]").wait_for()
    sign_in(page, "ann", "#sign-in-again")
    page.locator("tr.present:has-text('rib fracture')").wait_for()
    close(one, *ENDED)


def test_late_refusal_from_before_the_sign_in_asks_for_no_second_one(browser: Browser, site: Site) -> None:
    """A refused request that is looked into before the sign-in, and told after it, is repeated at once."""
    one, _ = opened(browser, site, "1.3.13")
    page = one.page
    kept: list[tuple[Route, APIResponse]] = []

    def keep(route: Route) -> None:
        as_sent = {**route.request.headers, "sec-fetch-mode": "cors"}
        kept.append((route, route.fetch(headers=as_sent)))

    release = hold(page, "**/findings")
    end_sessions(site)
    with page.expect_request("**/findings"):
        page.fill("#text-impression", "There is a right rib fracture.")
    page.locator("#sign-in-again[open]").wait_for()
    page.route("**/session", keep, times=1)
    release()
    becomes(lambda: (page.title(), len(kept))[1], 1)
    sign_in(page, "ann", "#sign-in-again")
    page.locator("#sign-in-again:not([open])").wait_for(state="attached")
    ((route, refusal),) = kept
    assert refusal.status == 401
    route.fulfill(response=refusal)
    page.locator("tr.present:has-text('rib fracture')").wait_for()
    close(one, *ENDED)


def test_verdict_is_sent_once_and_not_lost_with_the_connection(browser: Browser, site: Site) -> None:
    """Two clicks give one verdict; without a connection nothing is lost, and the page says so."""
    one, study_id = opened(browser, site, "1.3.5")
    page = one.page
    page.fill("#text-findings", TYPED)
    page.context.set_offline(True)
    page.click("#accept")
    page.locator("#sending:has-text('does not answer')").wait_for()
    expect(page.locator("#text-findings")).to_have_value(TYPED)
    page.context.set_offline(False)
    page.evaluate("(() => { const b = document.getElementById('accept'); b.click(); b.click(); })()")
    page.locator(".flag.good:has-text('verified')").wait_for()
    expect(page.locator("#message")).to_have_count(0)
    assert verdicts(site, study_id) == [("Poe^Ann", "changed")]
    close(one, "ERR_INTERNET_DISCONNECTED", "Failed to load resource", "htmx:")


def test_findings_follow_the_newest_text_whatever_the_network_does(browser: Browser, site: Site) -> None:
    """If both sections change before the first answer arrives, the table matches both."""
    one, _ = opened(browser, site, "1.3.11")
    page = one.page
    held: list[Route] = []
    page.route("**/findings", lambda asked: held.append(asked))
    with page.expect_request("**/findings"):
        page.fill("#text-findings", "There is a right rib fracture.")
    page.evaluate(
        "document.getElementById('text-impression').value = 'There is a left pleural effusion.';"
        " htmx.ajax('POST', '/findings', { source: '#text-impression' }); null"
    )
    held[0].continue_()
    page.locator("tr.present:has-text('rib fracture')").wait_for()
    becomes(lambda: len(held), 2)
    held[1].continue_()
    page.locator("tr.present:has-text('pleural effusion')").wait_for()
    close(one)


def test_whoever_leaves_before_the_verdict_has_left_is_asked(browser: Browser, site: Site) -> None:
    """On a slow network the next study can be requested first, and the verdict would be lost silently."""
    one, study_id = opened(browser, site, "1.3.12")
    page = one.page
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    release = hold(page, "**/session")
    with page.expect_request("**/session"):
        page.click("#accept")
    press_in_turn(page, "gl")
    becomes(lambda: asked, ["beforeunload"])
    expect(page.locator("#sending")).to_have_text("Sending…")
    release()
    page.locator(".flag.good:has-text('verified')").wait_for()
    assert (asked, verdicts(site, study_id)) == (["beforeunload"], [("Poe^Ann", "accepted")])
    close(one)


def test_enter_in_the_reason_rejects_and_never_accepts(browser: Browser, site: Site) -> None:
    """The key that ends a line must not sign a report."""
    one, study_id = opened(browser, site, "1.3.6")
    page = one.page
    page.click("text=Reject…")
    page.fill("input[name=reason]", "The film is of another patient.")
    page.keyboard.press("Enter")
    page.locator(".flag:has-text('rejected')").first.wait_for()
    assert verdicts(site, study_id) == [("Poe^Ann", "rejected")]
    close(one)


def test_template_is_inserted_as_lines_and_asks_before_it_turns_a_finding(
    browser: Browser, site: Site
) -> None:
    """After the cursor's line, never inside a sentence; undo removes it again."""
    one, _ = opened(browser, site, "1.3.7")
    page = one.page
    page.fill("#text-findings", "There is a large left pneumothorax.\nOld rib fractures.")
    page.evaluate("document.getElementById('text-findings').setSelectionRange(10, 10)")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.select_option("#template", label="No effusion")
    page.click("#insert-template")
    expected = (
        "There is a large left pneumothorax.\nNo pleural effusion.\nThe heart is normal in size.\n"
        "Old rib fractures."
    )
    page.wait_for_selector(".mirror div:text-is('No pleural effusion.')", state="attached")
    expect(page.locator("#text-findings")).to_have_value(expected)
    page.locator("tr.absent:has-text('pleural effusion')").wait_for()
    page.select_option("#template", label="No pneumothorax")
    page.click("#insert-template")
    page.locator("#ask[open] li:has-text('pneumothorax: the report says present')").wait_for()
    assert one.barriers() == []
    page.click("#ask button[value=no]")
    page.locator("#ask").wait_for(state="hidden")
    settle(page)
    expect(page.locator("#text-findings")).to_have_value(expected)
    page.select_option("#template", label="Follow-up")
    page.click("#insert-template")
    page.wait_for_selector(".mirror div:text-is('Follow-up radiograph in six hours.')", state="attached")
    impression = page.locator("#text-impression")
    expect(impression).to_have_value("Left pneumothorax.\nFollow-up radiograph in six hours.")
    page.keyboard.press("Control+z")
    expect(impression).to_have_value("Left pneumothorax.")
    close(one)


def test_report_is_copied_and_printed_as_what_it_is(browser: Browser, site: Site) -> None:
    """Plain text with its sections; a draft says so, on paper too; films and buttons are not printed."""
    one, _ = opened(browser, site, "1.3.8")
    page = one.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.keyboard.press("c")
    page.locator("#copied:has-text('copied')").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == (
        "DRAFT, NOT VERIFIED\n\nFINDINGS:\nThere is a large left pneumothorax.\nNo pleural effusion.\n\n"
        "IMPRESSION:\nLeft pneumothorax."
    )
    page.emulate_media(media="print")
    expect(page.locator(".printed:has-text('DRAFT, NOT VERIFIED')")).to_be_visible()
    expect(page.locator(".mirror div:has-text('No pleural effusion.')")).to_be_visible()
    expect(page.locator("h1")).to_be_visible()
    for hidden in ("canvas", "#accept", "#copy", ".bar", "#claim", "#findings", "textarea"):
        expect(page.locator(hidden).first).to_be_hidden()
    page.emulate_media(media="screen")
    page.click("#accept")
    page.locator(".flag.good:has-text('verified')").wait_for()
    study_open(page)
    page.keyboard.press("c")
    page.locator("#copied:has-text('copied')").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("FINDINGS:")
    page.emulate_media(media="print")
    expect(page.locator(".printed")).to_contain_text("Verified report, by Ann Poe")
    close(one)


def test_nothing_moves_for_who_asked_for_stillness(browser: Browser, site: Site) -> None:
    """With prefers-reduced-motion nothing is animated, including dialogs and findings."""
    one, _ = opened(browser, site, "1.3.9")
    page = one.page
    page.emulate_media(reduced_motion="reduce")
    page.keyboard.press("?")
    page.locator("#keys[open]").wait_for()
    becomes(lambda: page.evaluate("document.getAnimations().length"), 0)
    moving = (
        "[...document.querySelectorAll('*')].filter((one) => { const s = getComputedStyle(one);"
        " return s.animationName !== 'none' || (s.transitionProperty !== 'none'"
        " && s.transitionDuration !== '0s'); })"
        ".length"
    )
    becomes(lambda: page.evaluate(moving), 0)
    close(one)


def test_second_tab_on_one_draft_is_said(browser: Browser, site: Site) -> None:
    """Two tabs keep their text in one place: the other tab says so."""
    one, study_id = opened(browser, site, "1.3.10")
    page = one.page
    tab = page.context.new_page()
    tab.goto(f"{site.url}/studies/{study_id}")
    study_open(tab)
    page.fill("#text-findings", TYPED)
    tab.locator("#typed:has-text('in another tab too')").wait_for()
    close(one)
