"""The page in a real browser: charts drawn, browsing by mouse and keys, hostile text inert, silence on the network."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judge.agreement.best_of.build import build
from judge.agreement.best_of.schema import BestOfConfig, Candidates
from judge.report.page import best_of_page
from judge.report.report import Report
from tests.report.sample import HOSTILE, report

pytestmark = pytest.mark.browser

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
ROW = "#rows > li > .row"


def chromium() -> str:
    """The browser: RMJUDGE_CHROMIUM, else the first Chromium or Chrome on the path; skips when there is none."""
    named = os.environ.get("RMJUDGE_CHROMIUM", "")
    found = (shutil.which(name) for name in (named, "chromium", "chromium-browser", "google-chrome", "chrome") if name)
    path = next((path for path in found if path), None)
    if path is None:
        pytest.skip("no Chromium: neither RMJUDGE_CHROMIUM nor chromium on the path (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    path = chromium()
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield started
        started.close()


class Opened:
    """A page and everything that went on behind it."""

    def __init__(self, browser: Any, path: Path, *, size: str = "desktop", scheme: str = "light") -> None:
        width, height = SIZES[size]
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.goto(path.as_uri())

    def rows(self) -> int:
        return int(self.page.locator(ROW).count())

    def said(self) -> str:
        return str(self.page.locator("#count").inner_text())

    def search(self, text: str) -> None:
        self.page.fill("#search", text)
        self.page.press("#search", "Enter")

    def assert_quiet(self) -> None:
        assert [url for url in self.requests if not url.startswith("file:")] == []
        assert len(self.requests) == 1
        assert self.complaints == []
        assert self.dialogs == []


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    Report(report(200)).save(path)
    return path


@pytest.fixture(params=list(SIZES))
def opened(request: pytest.FixtureRequest, browser: Any, path: Path) -> Iterator[Opened]:
    page = Opened(browser, path, size=request.param)
    yield page
    page.assert_quiet()
    page.context.close()


def test_charts_are_drawn_and_nothing_runs_over_the_edge(opened: Opened) -> None:
    boxes = opened.page.evaluate(
        "[...document.querySelectorAll('svg.chart')].map(chart => [chart.getBoundingClientRect().width,"
        " chart.querySelectorAll('path, use').length, chart.querySelectorAll('text').length])"
    )
    assert len(boxes) == 13
    assert all(width > 250 and marks > 3 and words > 2 for width, marks, words in boxes)
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    colour = "getComputedStyle(document.querySelector('svg.chart text')).fill"
    assert opened.page.evaluate(colour) not in {"", "none"}


def test_search_and_filters_narrow_the_rows(opened: Opened) -> None:
    assert opened.said() == "200 rows" and opened.rows() == 40
    opened.search("needle")
    assert opened.said() == "1 of 200 rows" and opened.rows() == 1
    opened.page.click("#controls button[type=reset]")
    opened.page.wait_for_function("document.querySelectorAll('#rows > li').length === 40")
    opened.page.select_option("#judge", "unreadable")
    left = opened.rows()
    assert 0 < left <= 40
    assert opened.page.locator("#rows .judge").all_inner_texts() == ["unreadable"] * left
    opened.page.select_option("#people", "split")
    assert opened.rows() < left or "of 200" in opened.said()
    opened.search("no row says this")
    assert opened.said() == "0 of 200 rows" and opened.rows() == 0


def test_sorting_by_confidence(opened: Opened) -> None:
    def sure() -> list[float]:
        texts = opened.page.locator("#rows .sure").all_inner_texts()
        return [float(text.split()[1]) for text in texts if "–" not in text]

    opened.page.select_option("#sort", "sure")
    assert sure() == sorted(sure(), reverse=True) and len(sure()) == 40
    opened.page.select_option("#sort", "unsure")
    assert sure() == sorted(sure()) and len(sure()) == 40


def test_the_keyboard_alone_is_enough(opened: Opened) -> None:
    page = opened.page
    place = f"[...document.querySelectorAll('{ROW}')].indexOf(document.activeElement)"
    for key, at in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        assert page.evaluate(place) == at
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.locator(".detail").count() == 1
    assert page.locator(f"{ROW} >> nth=1").get_attribute("aria-expanded") == "true"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") < 900
    page.keyboard.press("Escape")
    assert page.locator(".detail").count() == 0 and page.evaluate(place) == 1
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("jk needle")
    assert page.input_value("#search") == "jk needle"
    page.keyboard.press("Escape")
    assert page.input_value("#search") == "" and opened.said() == "200 rows"
    page.keyboard.press("Escape")
    for _ in range(45):
        page.keyboard.press("j")
    assert opened.rows() == 80


def test_a_row_shows_both_responses_votes_and_both_orders(opened: Opened) -> None:
    opened.page.locator(ROW).nth(1).click()
    detail = opened.page.locator(".detail")
    heads = detail.locator("h4").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["Prompt", "first", "second", "People", "Judge,", "Judge,"]
    assert "ada:" in detail.inner_text() and "[[B]]" in detail.inner_text()


def test_hostile_text_is_shown_and_never_run(opened: Opened) -> None:
    opened.search("needle")
    opened.page.locator(ROW).first.click()
    shown = opened.page.locator(".detail .text").all_inner_texts()
    assert len(shown) == 4
    assert all('<script>alert("ran")</script>' in text and "{{ 7*7 }}" in text for text in shown)
    assert opened.page.locator("#rows img, #rows svg, #rows script").count() == 0
    opened.page.wait_for_timeout(100)
    assert opened.dialogs == []
    assert "&lt;b&gt;" in HOSTILE and "&lt;b&gt;" in shown[0]


def test_dark_mode_and_print_have_their_own_colours(browser: Any, path: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    text = "getComputedStyle(document.querySelector('svg.chart text')).fill"
    light, dark = Opened(browser, path), Opened(browser, path, scheme="dark")
    assert light.page.evaluate(paper) != dark.page.evaluate(paper)
    assert light.page.evaluate(text) != dark.page.evaluate(text)
    dark.page.emulate_media(media="print")
    light.page.emulate_media(media="print")
    assert light.page.evaluate(paper) == dark.page.evaluate(paper)
    assert light.page.locator("#controls").is_hidden()
    for opened in (light, dark):
        opened.assert_quiet()
        opened.context.close()


CONTRAST = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!colour.endsWith(", 0)") && !/, 0?\\.\\d+\\)$/.test(colour)) return colour;
    }
  };
  const poor = [];
  for (const element of document.querySelectorAll("main *, header *, footer *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const both = [light(element.closest("svg") ? style.fill : style.color), light(behind(element))];
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_for_every_text(browser: Any, path: Path, scheme: str) -> None:
    opened = Opened(browser, path, scheme=scheme)
    opened.page.keyboard.press("j")
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate(CONTRAST) == []
    opened.assert_quiet()
    opened.context.close()


def test_a_hundred_thousand_rows_open_at_once(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "many.html"
    Report(report(100_000)).save(path)
    assert path.stat().st_size < 12_000_000
    opened = Opened(browser, path)
    carried = int(opened.said().split()[0].replace(",", ""))
    assert 1000 <= carried <= 2000
    assert f"{carried:,} most telling of 100,000" in opened.page.inner_text("#disagreements")
    took = opened.page.evaluate("performance.timing.domContentLoadedEventEnd - performance.timing.responseEnd")
    assert took < 10_000  # far under a second on an idle machine; a hang would be minutes
    opened.search("14:05")
    assert 0 < opened.rows() <= 40
    opened.assert_quiet()
    opened.context.close()


@pytest.mark.parametrize("size", list(SIZES))
def test_a_best_of_page_fits_and_asks_nothing(browser: Any, tmp_path: Path, size: str) -> None:
    rows = [
        Candidates(f"{number}", [0.1, 0.9, 0.5, 0.3], [1, 0, 1, 1], ["7", "8", "7", None], [1.0, -2.0, 0.5, 0.3])
        for number in range(30)
    ]
    best = build(HOSTILE, rows, BestOfConfig(resamples=100), gold=HOSTILE, data=(HOSTILE,))
    (tmp_path / "page.html").write_text(best_of_page(best), encoding="utf-8")
    opened = Opened(browser, tmp_path / "page.html", size=size)
    widths = opened.page.evaluate(
        "[...document.querySelectorAll('svg.chart')].map(chart => chart.getBoundingClientRect().width)"
    )
    assert len(widths) == 2
    assert all(250 < width <= SIZES[size][0] for width in widths)
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.assert_quiet()
    opened.context.close()
