"""The page of a run in a real browser: Chromium, headless, driven by Playwright (`make page-tests`)."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.page_run import write_run
from workflow_scripts.page import main

# Bytes that the page and its pictures may take.
MOST_BYTES = 60e6
HOSTILE = ("<script>alert(1)<∕script>.png", '"><img src=x onerror=alert(2)>.png', "it's & $x_1$ `a`.png")
FINDING = 'Final </script><script>alert(3)</script> & "quotes" is lower.'


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        # Without Chromium of the system: the one that `playwright install chromium` has fetched.
        yield playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", path),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with hostile names."""
    folder = tmp_path_factory.mktemp("page")
    run = write_run(folder, names=HOSTILE, findings=[("lower", FINDING)], notes=["a <b>note</b>"])
    main(["--run", str(run)])
    return run / "report" / "index.html"


class Opened:
    """A page in the browser, and what went wrong in it."""

    def __init__(self, browser: Browser, index: Path, hash: str = "", **options: Any) -> None:
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(**options)
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        self.page.on("requestfailed", lambda request: self.faults.append(request.url))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(index.as_uri() + hash)
        self.page.wait_for_load_state("load")
        self.index = index

    def check(self) -> None:
        assert self.faults == []
        inside = self.index.parent.as_uri() + "/"
        assert [url for url in self.requests if not url.startswith((inside, "data:"))] == []


def test_nothing_goes_wrong_and_nothing_is_fetched_from_elsewhere(browser, index):
    opened = Opened(browser, index)
    opened.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    opened.page.wait_for_timeout(300)
    opened.check()
    assert opened.page.locator("h1").inner_text() == "It worked"


def test_hostile_names_are_text(browser, index):
    opened = Opened(browser, index)
    assert opened.page.locator(".warnings li").first.inner_text() == f"Warning {FINDING}"
    assert "a <b>note</b>" in opened.page.locator(".warnings").first.inner_text()
    shown = {opened.page.locator(".which").inner_text()}
    for _ in HOSTILE:
        opened.page.locator("button.next").click()
        shown.add(opened.page.locator(".which").inner_text())
    assert {text.partition(": ")[2] for text in shown} == {*HOSTILE}
    opened.check()


def test_slider_and_keyboard(browser, index):
    page = Opened(browser, index).page
    stage, wipe = page.locator(".stage"), page.locator(".wipe")
    assert wipe.input_value() == "50"
    clip = "document.querySelector('.side.b').style.clipPath"
    assert "50%" in page.evaluate(clip)
    stage.focus()
    page.keyboard.press("]")
    assert wipe.input_value() == "55"
    assert "55%" in page.evaluate(clip)
    before = page.locator(".which").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator(".which").inner_text() != before
    page.keyboard.press("ArrowLeft")
    assert page.locator(".which").inner_text() == before
    right = page.locator("select.right")
    chosen = right.input_value()
    page.keyboard.press("ArrowDown")
    assert right.input_value() != chosen
    page.keyboard.press("+")
    assert "scale(1.5)" in page.evaluate("document.querySelector('.zoom').style.transform")
    page.keyboard.press("0")
    assert "scale(1)" in page.evaluate("document.querySelector('.zoom').style.transform")
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
    page.mouse.up()
    assert abs(float(wipe.input_value()) - 25) <= 1


def test_every_layer_of_every_image_is_there(browser, index):
    opened = Opened(browser, index)
    page = opened.page
    for tab in page.locator(".tabs button").all():
        tab.click()
        for option in page.locator("select.right option").all():
            page.locator("select.right").select_option(option.get_attribute("value"))
            page.wait_for_function(
                "[...document.querySelectorAll('.stage img:not([hidden])')].every(i => i.complete)"
            )
    opened.check()
    assert "broken" not in page.locator(".stage").get_attribute("class")


def test_images_are_sorted_by_their_scores(browser, index):
    page = Opened(browser, index).page
    for title, ascending in (("mIoU of final", True), ("gain of final over the baseline", True)):
        page.locator("select.order").select_option(title)
        values = []
        for _ in HOSTILE:
            values.append(float(re.search(r", (-?[\d.]+) %$", page.locator(".which").inner_text())[1]))
            page.locator("button.next").click()
        assert values == sorted(values, reverse=not ascending)
    page.locator(".tabs button").nth(1).click()
    page.locator("select.order").select_option("share of flat, final")
    values = []
    for _ in HOSTILE:
        values.append(float(re.search(r", ([\d.]+) %$", page.locator(".which").inner_text())[1]))
        page.locator("button.next").click()
    assert values == sorted(values, reverse=True)


def test_a_link_leads_to_one_image(browser, index):
    page = Opened(browser, index).page
    page.locator(".tabs button").nth(1).click()
    page.locator("button.next").click()
    page.locator("select.right").select_option("co_training/00/a.confidence")
    name = page.locator(".which").inner_text()
    link = page.locator("a.link").get_attribute("href")
    other = Opened(browser, index, link).page
    assert other.locator(".which").inner_text() == name
    assert other.locator("select.right").input_value() == "co_training/00/a.confidence"
    example = Opened(browser, index)
    example.page.locator("#failures td a").first.click()
    example.page.wait_for_timeout(200)
    assert example.page.locator("select.left").input_value() == "truth"
    example.check()


def test_tables_are_sorted_by_their_columns(browser, index):
    page = Opened(browser, index).page
    table = page.locator("#learning table").first
    column = table.locator("th button", has_text="final")
    column.click()
    values = [float(text) for text in table.locator("tbody tr td:last-child").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    column.click()
    values = [float(text) for text in table.locator("tbody tr td:last-child").all_inner_texts()]
    assert values == sorted(values)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_can_be_read_by_everybody(browser, index, width, scheme):
    opened = Opened(browser, index, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(opened.page).response["violations"]
    serious = [
        (fault["id"], [node["html"][:200] for node in fault["nodes"][:3]])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_print_shows_everything_on_white(browser, index, tmp_path):
    page = Opened(browser, index, color_scheme="dark").page
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert page.locator("#cost details table").first.is_visible()
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize(("number", "size"), [(20, (1024, 2048)), (500, (216, 384))])
def test_many_images_open_fast_and_take_little_room(browser, tmp_path, number, size):
    """Times are shown, not asserted: a machine may be busy."""
    run = write_run(tmp_path, names=[f"{i:04d}.png" for i in range(number)], size=size, test=number < 100)
    started = time.monotonic()
    main(["--run", str(run)])
    made = time.monotonic() - started
    index = run / "report" / "index.html"
    files = [path for path in index.parent.rglob("*") if path.is_file()]
    taken = sum(path.stat().st_size for path in files if path == index or "page" in path.parts)
    started = time.monotonic()
    opened = Opened(browser, index)
    timing = opened.page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    print(f"\n{number} images: made in {made:.1f} s, {taken / 1e6:.1f} MB, loaded in {timing:.0f} ms")
    opened.check()
    assert taken < MOST_BYTES
    assert len(opened.requests) < 150
