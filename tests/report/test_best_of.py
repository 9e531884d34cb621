"""A best-of-n report on its page and on a terminal: what it holds is there, and text of the data is never markup."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from judge.agreement.best_of.build import build
from judge.agreement.best_of.schema import BestOf, BestOfConfig, Candidates, Searched
from judge.report.best_of import BestOfReport
from judge.report.page import best_of_page
from tests.report.sample import HOSTILE
from tests.report.test_page import Tags


@pytest.fixture(scope="module")
def report() -> BestOf:
    """A reward whose pick is wrong, with a gold reward and a search, of a hostile name."""
    rows = [
        Candidates(f"{number}", [0.1, 0.9, 0.5, 0.3], [1, 0, 1, 1], ["7", "8", "7", None], [1.0, -2.0, 0.5, 0.3])
        for number in range(30)
    ]
    searched = [Searched(f"{number}", 1.0, 30, 12.0) for number in range(30)]
    return build(
        HOSTILE, rows, BestOfConfig(resamples=100), gold=HOSTILE, data=(HOSTILE,), policy=HOSTILE, searched=searched
    )


def test_the_page_is_one_inert_file(report: BestOf) -> None:
    html = best_of_page(report)
    tags = Tags(html)
    for tag, attributes in tags.seen:
        for name, value in attributes.items():
            assert not name.startswith("on") and name != "style", f"<{tag} {name}>"
            if name in {"src", "href", "action", "data", "xlink:href", "srcset"}:
                assert (value or "").startswith(("#", "data:,")), f"<{tag} {name}={value}>"
    assert tags.count("script") == 0 and tags.count("style") == 1
    charts = [seen for tag, seen in tags.seen if tag == "svg" and seen.get("class") == "chart"]
    assert [seen["aria-label"] for seen in charts] == [
        "What is chosen among n responses: how often it is right",
        "Reward and gold reward of the best of n by the reward, in deviations",
    ]
    ids = [seen["id"] for _, seen in tags.seen if "id" in seen]
    assert len(ids) == len(set(ids))
    classes = {
        name for _, seen in tags.seen for name in (seen.get("class") or "").split() if re.fullmatch(r"c\d+", name)
    }
    assert classes and all(f".{name}{{" in html for name in classes)
    text = " ".join(tags.text)
    assert all(finding.what in text for finding in report.findings)
    assert all(figure.title in text for figure in (*report.summary, *report.search))


def test_a_report_with_little_in_it_is_a_page_too(report: BestOf) -> None:
    little = replace(report, curves=(), summary=(), search=(), findings=(), truth="", gold="")
    html = best_of_page(little)
    assert 'id="curves"' not in html and "nothing is known of the truth" in html


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_shows_every_curve_and_figure(report: BestOf, width: int) -> None:
    out = StringIO()
    Console(file=out, width=width, highlight=False).print(BestOfReport(report))
    text = out.getvalue()
    assert all(f"\n {size} " in text for size in report.sizes)
    assert "search by steps" in text and "gold reward" in text


def test_a_notebook_shows_the_page_and_print_a_few_lines(report: BestOf) -> None:
    shown = BestOfReport(report)
    assert shown._repr_html_().startswith('<iframe srcdoc="')
    lines = repr(shown).splitlines()
    # 0.9 is wrong; one response is right in 3 of 4
    assert "The best of 4 is right in 0.0 %, any response in 75.0 %, one of all in 100.0 %" in lines[0]
    assert any(line.startswith("  best by reward minus one response: −75.0 points") for line in lines)
