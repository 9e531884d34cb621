"""The page is one file that holds what the report holds, and text from data is never markup in it."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from judge.agreement.schema import AgreementReport, Coverage, Figure, Flag, Headline, JudgeReport
from judge.report.page import page
from judge.report.report import Report
from judge.report.rows import carry, inert
from tests.report.sample import HOSTILE, disagreements, figure, report


class Tags(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.seen)


@pytest.fixture(scope="module")
def html() -> str:
    return page(report(5))


def test_nothing_is_asked_of_any_host_and_nothing_runs_from_an_attribute(html: str) -> None:
    tags = Tags(html)
    for tag, attributes in tags.seen:
        for name, value in attributes.items():
            assert not name.startswith("on"), f"<{tag} {name}>"
            assert name != "style"
            if name in {"src", "href", "action", "data", "xlink:href", "srcset"}:
                assert (value or "").startswith(("#", "data:,")), f"<{tag} {name}={value}>"
    assert tags.count("script") == 2 and tags.count("style") == 1
    (policy,) = (seen["content"] for tag, seen in tags.seen if seen.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy


def test_ids_are_unique_and_every_link_leads_somewhere(html: str) -> None:
    tags = Tags(html)
    ids = [seen["id"] for _, seen in tags.seen if "id" in seen]
    assert len(ids) == len(set(ids))
    links = [seen["href"] or "" for _, seen in tags.seen if (seen.get("href") or "").startswith("#")]
    assert {link[1:] for link in links} <= set(ids)
    named = [seen["aria-labelledby"] for _, seen in tags.seen if "aria-labelledby" in seen]
    assert set(named) <= set(ids)


def test_every_table_names_its_rows_and_columns(html: str) -> None:
    tags = Tags(html)
    assert all("scope" in seen for tag, seen in tags.seen if tag == "th")
    assert tags.count("table") == tags.count("caption") >= 19
    assert tags.count("h1") == 1


def test_every_figure_stands_with_its_interval_and_n(html: str) -> None:
    text = " ".join(" ".join(Tags(html).text).split())  # split takes the no-break spaces too
    assert "71.0 % 69.0 to 73.0 % n = 1,197, 399 prompts, 3 unreadable" in text
    assert "no row says so" in text
    assert "from 2,000 resamples of whole prompts (seed 7)" in text


def test_the_headline_shows_the_figures_of_the_best_judge() -> None:
    whole = report(1)
    assert whole.league is not None
    first, second, third = whole.league.rows
    turned = replace(whole, league=replace(whole.league, rows=(third, second, first)))
    text = " ".join(" ".join(Tags(page(turned)).text).split())
    assert "tiny: Accuracy, ties count as a verdict 52.0 %" in text
    assert "qwen-32b: Accuracy" not in text


def test_the_charts_are_drawn_and_take_the_colours_of_the_page(html: str) -> None:
    charts = re.findall(r"<svg[^>]*aria-label=\"([^\"]+)\"", html)
    assert len(charts) == 13
    assert "#10000" not in html  # no stand-in colour is left
    assert "var(--judge)" in html


def test_the_same_report_makes_the_same_page(html: str) -> None:
    assert page(report(5)) == html


def test_the_rows_are_json_that_cannot_end_their_element(html: str) -> None:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    rows = json.loads(data)
    assert [row["id"] for row in rows] == [row.id for row in report(5).disagreements]
    assert rows[0]["texts"] == [["first", HOSTILE], ["second", HOSTILE]]
    assert inert('["</script><!-- & \u2028"]') == '["\\u003c/script\\u003e\\u003c!-- \\u0026 \\u2028"]'


def test_hostile_names_are_escaped_in_the_page_itself() -> None:
    bad = Flag(name="x", severity="stop", what=HOSTILE, evidence=HOSTILE, sure=HOSTILE, advice=HOSTILE, judge=HOSTILE)
    whole = report(2)
    first = replace(whole.judges[0], name=HOSTILE, agreement=(figure("a", HOSTILE, 0.5),))
    slices = tuple(replace(part, field=HOSTILE, value=HOSTILE) for part in first.slices)
    hostile = replace(
        whole,
        title=HOSTILE,
        headline=Headline(level="good", sentence=HOSTILE, why=(HOSTILE,)),
        flags=(bad,),
        judges=(replace(first, slices=slices),),
        sources=(HOSTILE,),
    )
    tags = Tags(page(hostile))
    assert tags.count("script") == 2 and tags.count("img") == 0
    assert not any("onload" in seen or "onerror" in seen for _, seen in tags.seen)
    assert sum('alert("ran")' in text for text in tags.text) >= 10


def test_a_page_carries_the_most_telling_rows_of_many_and_says_how_many() -> None:
    rows = disagreements(300)
    assert carry(rows, rows=50).rows == 50
    few = carry(rows, size=20_000)
    assert 5 < few.rows < 50 and len(few.json) < 40_000
    assert json.loads(few.json)[1]["id"] == rows[1].id
    html = page(report(300, total=100_000), rows=50)
    assert "This page carries the 50 most telling of 100,000 disagreements" in html


def test_a_long_text_is_cut_and_says_so() -> None:
    row = replace(disagreements(2)[1], prompt="a" * 7000)
    (told,) = json.loads(carry([row]).json)
    assert told["prompt"] == "a" * 6000 + "\n[… 1,000 more characters are in the data]"


def test_a_report_of_three_rows_is_a_page(tmp_path: Path) -> None:
    few = Figure(name="accuracy", title="Accuracy", value=None, n=3, note="too few rows to say")
    judge = JudgeReport(
        name="tiny", task="score", coverage=Coverage(labelled=3, readable=3, unreadable=0, missing=0), agreement=(few,)
    )
    small = AgreementReport(
        title="tiny",
        kind="response",
        headline=Headline(level="unknown", sentence="3 rows are too few to say."),
        flags=(),
        judges=(judge,),
    )
    Report(small).save(tmp_path / "page.html")
    text = " ".join(Tags((tmp_path / "page.html").read_text("utf-8")).text)
    assert "Too few to say" in text and "too few rows to say" in text and "There is none" in text
