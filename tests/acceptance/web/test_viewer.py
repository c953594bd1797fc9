"""The viewer in a real Chromium, pixel by pixel: a film with known values, position and size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.waiting import wait_for

from .chromium import Reading, becomes, open_page, settle, study_open
from .site import Site, serving

SIDE, LARGE = 256, 1600
# Every pixel differs from its neighbours, so that a wrong one is noticed.
VALUES = np.random.default_rng(14).integers(0, 4096, (SIDE, SIDE), dtype=np.uint16)
WIDE = np.random.default_rng(15).integers(0, 256, (LARGE, LARGE), dtype=np.uint16)
# 0.25 mm at the detector, 0.2 mm in the patient.
SPACING = {"ImagerPixelSpacing": [0.25, 0.25], "EstimatedRadiographicMagnificationFactor": "1.25"}


def pixels(values: np.ndarray[Any, Any], **attributes: object) -> dict[str, object]:
    """Return the attributes of a film with these values."""
    rows, columns = values.shape
    return {"Rows": rows, "Columns": columns, "PixelData": values.tobytes(), **attributes}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A study with a prior, one without pixel spacing, and one that is larger than a screen."""
    with serving(tmp_path_factory.mktemp("viewer")) as one:
        one.draft("1.2.1", StudyDate="20250101", **pixels(VALUES))
        one.draft("1.2.2", **pixels(VALUES, **SPACING))
        one.draft("1.2.3", PatientID="P3", **pixels(VALUES))
        one.draft("1.2.4", PatientID="P4", **pixels(WIDE, BitsStored=12))
        yield one


@pytest.fixture
def reading(browser: Browser, site: Site) -> Iterator[Reading]:
    """The study with a prior."""
    one = open_page(browser, site.url)
    one.page.goto(f"{site.url}/studies/2")
    film(one.page)
    yield one
    one.page.context.close()
    assert (one.complaints, one.elsewhere) == ([], [])


def film(page: Page) -> tuple[float, float, float, float]:
    """Wait for the first film; return the box of its canvas without the border."""
    study_open(page)
    left, top, width, height = page.evaluate(
        "(() => { const c = document.querySelector('canvas'), b = c.getBoundingClientRect();"
        " return [b.left + c.clientLeft, b.top + c.clientTop, c.clientWidth, c.clientHeight]; })()"
    )
    return left, top, width, height


def grey(page: Page, x: float, y: float) -> int:
    """Return the grey value of the canvas at a position (CSS pixels)."""
    script = (
        f"document.querySelector('canvas').getContext('2d').getImageData({int(x)}, {int(y)}, 1, 1).data[0]"
    )
    return int(page.evaluate(script))


def zoomed(page: Page, before: float) -> None:
    """Wait until the zoom of the first film has changed."""
    page.locator(f"canvas[data-zoom]:not([data-zoom='{before:.4f}'])").first.wait_for()


def expected_grey(page: Page, value: int) -> int:
    """Return the grey value of a stored value with the current window."""
    low, high = (int(one) for one in (page.get_attribute("canvas", "data-window") or "").split(","))
    level = round((value - int(VALUES.min())) / int(VALUES.max() - VALUES.min()) * 0xFFFF)
    return min(255, max(0, round((level - low) / (high - low) * 255)))


def caption(page: Page, name: str = "window") -> Locator:
    """Return this part of the first film's caption."""
    return page.locator(f"figcaption .{name}").first


def pointed(page: Page) -> tuple[int, int, int]:
    """Wait until the stored value at the pointer is shown; return it with its column and row."""
    words = caption(page, "pointed")
    expect(words).to_contain_text("at column")
    settle(page)
    value, column, row = (
        one.strip(",") for one in (words.text_content() or "").split() if one.strip(",").isdigit()
    )
    return int(value), int(column), int(row)


def zoom_of(page: Page, index: int = 0) -> float:
    """Return how many screen pixels one pixel of the film covers."""
    return float(page.locator("canvas").nth(index).get_attribute("data-zoom") or 0)


def test_pixel_under_the_pointer_stays_when_zooming(reading: Reading) -> None:
    """Zoomed in, further in and out again: the same pixel, in the grey of its stored value."""
    page = reading.page
    left, top, width, height = film(page)
    page.mouse.move(left + 300, top + 400)
    page.keyboard.press("v")
    page.mouse.move(left + 301, top + 400)
    fit = min(width, height) / SIDE
    column = int((301.5 - width / 2) / fit + SIDE / 2) + 1
    row = int((400.5 - height / 2) / fit + SIDE / 2) + 1
    becomes(lambda: pointed(page)[1:], (column, row))
    before = zoom_of(page)
    for wheel in (-400, -300, 150):
        page.mouse.wheel(0, wheel)
        zoomed(page, before)
        before = zoom_of(page)
        becomes(lambda: grey(page, 301, 400), expected_grey(page, int(VALUES[row - 1, column - 1])))
        page.mouse.move(left + 302, top + 400)
        page.mouse.move(left + 301, top + 400)
        settle(page)
        expect(caption(page, "pointed")).to_have_text(
            f"value {VALUES[row - 1, column - 1]} at column {column}, row {row}"
        )


def test_value_at_the_pointer_is_the_stored_one(reading: Reading) -> None:
    """It is the value that pydicom reads, however the film is mirrored, rotated or zoomed."""
    page = reading.page
    left, top, width, height = film(page)
    page.click("[data-do=values]")
    for key in ("", "f", "o", "f", "+"):
        if key == "+":
            page.locator("canvas").first.focus()
        if key:
            page.keyboard.press(key)
        for x, y in ((width / 2 - 90, height / 2 - 40), (width / 2 + 33, height / 2 + 71)):
            page.mouse.move(left + x, top + y)
            value, column, row = pointed(page)
            assert value == int(VALUES[row - 1, column - 1])
    page.keyboard.press("r")
    page.mouse.move(left + 1, top + 1)
    expect(caption(page, "pointed")).to_have_text("")


def test_rotation_and_mirror_follow_the_screen_and_are_said(reading: Reading) -> None:
    """A rotated or mirrored film says so, since left is then not left; four rotations are none."""
    page = reading.page
    left, top, width, height = film(page)
    page.keyboard.press("v")
    spot = (width / 2 - 90, height / 2 - 40)

    def under() -> tuple[int, int]:
        page.mouse.move(left + 2, top + 2)
        page.mouse.move(left + spot[0], top + spot[1])
        return pointed(page)[1:]

    plain = under()
    page.keyboard.press("f")
    becomes(under, (SIDE + 1 - plain[0], plain[1]))
    expect(caption(page)).to_contain_text("MIRRORED")
    page.keyboard.press("f")
    page.keyboard.press("o")
    expect(caption(page)).to_contain_text("rotated 90°")
    becomes(under, (plain[1], SIDE + 1 - plain[0]))
    for _ in range(3):
        page.keyboard.press("o")
    becomes(under, plain)
    expect(caption(page)).not_to_contain_text("rotated")


def test_ruler_measures_in_the_patient(reading: Reading, site: Site) -> None:
    """200 pixels of 0.25 mm at a magnification of 1.25 are 40 mm, whether rotated or zoomed."""
    page = reading.page
    left, top, width, height = film(page)
    page.keyboard.press("x")
    page.keyboard.press("m")
    page.mouse.move(left + width // 2 - 100, top + height // 2)
    page.mouse.down()
    page.mouse.move(left + width // 2 + 20, top + height // 2)
    page.mouse.move(left + width // 2 + 100, top + height // 2)
    page.mouse.up()
    expect(caption(page)).to_contain_text("ruler 1: 40.0 mm")
    expect(caption(page)).to_contain_text("corrected for an estimated magnification of 1.25")
    before = zoom_of(page)
    page.keyboard.press("o")
    page.keyboard.press("f")
    page.locator("canvas").first.focus()
    page.keyboard.press("+")
    zoomed(page, before)
    expect(caption(page)).to_contain_text("ruler 1: 40.0 mm")
    page.keyboard.press("Delete")
    expect(caption(page)).not_to_contain_text("ruler")
    page.keyboard.press("r")
    page.keyboard.press("x")
    # By keyboard only: arrows move a point, and Enter sets it.
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(caption(page)).to_contain_text("ruler 1: 10.0 mm")
    page.goto(f"{site.url}/studies/3")
    left, top, width, height = film(page)
    page.keyboard.press("x")
    page.keyboard.press("m")
    page.mouse.move(left + width // 2, top + height // 2 - 50)
    page.mouse.down()
    page.mouse.move(left + width // 2, top + height // 2 + 70)
    page.mouse.up()
    expect(caption(page)).to_contain_text("ruler 1: 120 px, not calibrated")


def test_film_cannot_be_lost_from_sight(reading: Reading) -> None:
    """However far it is dragged, a part of it stays on the canvas; a reset shows all of it again."""
    page = reading.page
    left, top, width, height = film(page)
    for _ in range(4):
        page.mouse.move(left + 20, top + 20)
        page.mouse.down(button="right")
        page.mouse.move(left + width - 5, top + height - 5)
        page.mouse.up(button="right")
    settle(page)
    script = (
        "(() => { const c = document.querySelector('canvas');"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n += 1; return n; })()"
    )
    wait_for(lambda: 59 * 59 <= page.evaluate(script) <= 61 * 61)
    page.keyboard.press("r")
    wait_for(lambda: page.evaluate(script) >= 0.98 * min(width, height) ** 2)


def test_one_to_one_shows_the_films_own_pixels(reading: Reading, site: Site) -> None:
    """A film that was reduced for the screen is fetched in full, with all of its stored values."""
    page = reading.page
    page.goto(f"{site.url}/studies/4")
    left, top, width, height = film(page)
    expect(page.locator("canvas[data-whole]")).to_have_count(0)
    page.keyboard.press("x")
    page.locator("canvas[data-whole=yes]").wait_for()
    becomes(lambda: zoom_of(page), 1.0)
    page.keyboard.press("v")
    page.mouse.move(left + width / 2 + 10, top + height / 2 + 7)
    value, column, row = pointed(page)
    assert value == int(WIDE[row - 1, column - 1])
    assert abs(column - LARGE / 2 - 10) <= 1
    # The next pixel of the screen is the next one of the film.
    page.mouse.move(left + width / 2 + 11, top + height / 2 + 7)
    page.locator(f".pointed:has-text('column {column + 1},')").first.wait_for()


def test_linked_films_zoom_and_invert_together(reading: Reading) -> None:
    """The prior follows the current film until the link is switched off."""
    page = reading.page
    page.keyboard.press("p")
    page.locator(".prior:not([hidden]) canvas[data-ready=yes]").wait_for()
    before = [zoom_of(page, index) for index in (0, 1)]
    page.keyboard.press("k")
    left, top, _width, _height = film(page)
    page.mouse.move(left + 100, top + 100)
    page.mouse.wheel(0, -200)
    zoomed(page, before[0])
    becomes(lambda: [round(zoom_of(page, index) / before[index], 3) for index in (0, 1)], [1.492, 1.492])
    after = [zoom_of(page, index) for index in (0, 1)]
    page.keyboard.press("i")
    for index in (0, 1):
        expect(page.locator("figcaption .window").nth(index)).to_contain_text("inverted")
    page.keyboard.press("k")
    page.locator("canvas").first.focus()
    page.keyboard.press("+")
    zoomed(page, after[0])
    settle(page)
    assert (zoom_of(page) > after[0], zoom_of(page, 1) == after[1]) == (True, True)


def test_window_presets_and_inversion_are_exact(reading: Reading) -> None:
    """The grey values are those of the current window; inverted, they are 255 minus these."""
    page = reading.page
    _left, _top, width, height = film(page)
    seen = set()
    page.keyboard.press("x")
    page.locator("canvas").first.focus()
    for _ in range(4):
        page.keyboard.press("+")  # above twice the film's size nothing is smoothed

    def middle() -> int:
        return grey(page, width / 2 + 0.5, height / 2 + 0.5)

    for key in "1234":
        page.keyboard.press(key)
        settle(page)
        seen.add(page.get_attribute("canvas", "data-window"))
        becomes(middle, expected_grey(page, int(VALUES[128, 128])))
    assert len(seen) == 4
    plain = middle()
    page.keyboard.press("i")
    becomes(middle, 255 - plain)


def test_magnifier_enlarges_around_the_pointer(reading: Reading) -> None:
    """The pixel at its centre stays; away from it the film is magnified 2.5 times."""
    page = reading.page
    left, top, width, height = film(page)
    page.locator("canvas").first.focus()
    for _ in range(2):
        page.keyboard.press("+")
    settle(page)
    x, y = int(width / 2) + 30, int(height / 2) + 20
    page.mouse.move(left + x, top + y)
    before = grey(page, x, y)
    away = [grey(page, x + dx, y) for dx in (0, 8, 16)]
    page.keyboard.press("z")
    page.mouse.move(left + x + 1, top + y)
    page.mouse.move(left + x, top + y)
    settle(page)
    becomes(lambda: grey(page, x, y), before)
    becomes(lambda: [grey(page, x + int(dx * 2.5), y) for dx in (0, 8, 16)], away)
    page.keyboard.press("z")
    becomes(lambda: [grey(page, x + dx, y) for dx in (0, 8, 16)], away)


def test_phone_pinches_and_page_fits(browser: Browser, site: Site) -> None:
    """375 x 812: two fingers zoom around their centre, one moves, nothing is wider than the screen."""
    one = open_page(
        browser,
        site.url,
        viewport={"width": 375, "height": 812},
        has_touch=True,
        is_mobile=True,
    )
    page = one.page
    page.goto(f"{site.url}/studies/2")
    film(page)
    page.locator("canvas").first.scroll_into_view_if_needed()
    left, top, width, height = film(page)
    becomes(lambda: page.evaluate("document.documentElement.scrollWidth"), 375)
    expect(page.locator("canvas").first).to_have_attribute("data-tool", "pan")
    before = zoom_of(page)
    x, y = left + width / 2, top + height / 2
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": px, "y": py, "id": index} for index, (px, py) in enumerate(points)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (x - 40, y), (x + 40, y))
    touch("touchMove", (x - 60, y), (x + 60, y))
    touch("touchMove", (x - 80, y), (x + 80, y))
    touch("touchEnd")
    becomes(lambda: zoom_of(page), pytest.approx(before * 2, rel=0.03))
    assert one.barriers() == []
    page.goto(site.url)
    page.locator("tr.study").first.wait_for()
    becomes(lambda: page.evaluate("document.documentElement.scrollWidth"), 375)
    assert one.barriers() == []
    page.set_viewport_size({"width": 820, "height": 1180})
    page.goto(f"{site.url}/studies/2")
    film(page)
    becomes(lambda: page.evaluate("document.documentElement.scrollWidth"), 820)
    assert (one.complaints, one.elsewhere) == ([], [])
    page.context.close()
