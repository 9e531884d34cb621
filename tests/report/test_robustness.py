"""A robustness report on its page and on a terminal: what it holds is there, and text of the data is never markup."""

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from judge.agreement.robustness.schema import Robustness
from judge.report.page import page, robustness_page
from judge.report.robustness import RobustnessReport
from tests.agreement.robustness.sample import GOOD, POOR, examined, pair
from tests.report.sample import HOSTILE
from tests.report.sample import report as agreement_report
from tests.report.test_page import Tags


@pytest.fixture(scope="module")
def report() -> Robustness:
    """A model that likes the longer response, on pairs whose source is hostile."""
    rows = [
        pair(number, GOOD, POOR + " So." * (number % 4), source=("b", HOSTILE[:40])[number % 2]) for number in range(90)
    ]
    shifted = [pair(number, GOOD, POOR, prompt=f"shifted {number}") for number in range(40)]
    found = examined(rows, lambda text: len(text) / 40 + ("good" in text), shifted, pairs=30, k=4)
    example = replace(found.attack.examples[0], prompt=HOSTILE, edited=HOSTILE)  # type: ignore[union-attr]
    attack = replace(found.attack, examples=(example,))  # type: ignore[type-var]
    return replace(found, name=HOSTILE, attack=attack, data=(HOSTILE,))


def test_the_page_is_one_inert_file(report: Robustness) -> None:
    html = robustness_page(report)
    tags = Tags(html)
    for tag, attributes in tags.seen:
        for name, value in attributes.items():
            assert not name.startswith("on") and name != "style", f"<{tag} {name}>"
            if name in {"src", "href", "action", "data", "xlink:href", "srcset"}:
                assert (value or "").startswith(("#", "data:,")), f"<{tag} {name}={value}>"
    assert tags.count("script") == 0 and tags.count("style") == 1 and tags.count("svg") > 3
    ids = [seen["id"] for _, seen in tags.seen if "id" in seen]
    assert len(ids) == len(set(ids))
    text = " ".join(tags.text)
    assert all(finding.what in text for finding in report.findings)
    assert all(probe.about in text for probe in report.probes)
    assert "Gap: accuracy on the data" in text and "The worst of 4 edits" in text


def test_an_agreement_report_shows_it_beside(report: Robustness) -> None:
    html = page(agreement_report(3), robustness=[report, report])
    tags = Tags(html)
    ids = [seen["id"] for _, seen in tags.seen if "id" in seen]
    assert len(ids) == len(set(ids)) and {"robustness-1", "robustness-2-edits", "robustness-2-attack"} <= set(ids)
    links = [seen["href"] or "" for _, seen in tags.seen if (seen.get("href") or "").startswith("#")]
    assert {link[1:] for link in links} <= set(ids)
    classes = {
        name for _, seen in tags.seen for name in (seen.get("class") or "").split() if re.fullmatch(r"c\d+", name)
    }
    assert classes and all(f".{name}{{" in html for name in classes)
    assert all(finding.what in " ".join(tags.text) for finding in report.findings)


def test_a_report_with_little_in_it_is_a_page_too() -> None:
    little = examined([pair(0, GOOD, POOR)], lambda text: float("good" in text), probes=(), resamples=0)
    html = robustness_page(little)
    assert "Not examined: findings: without resamples" in html and 'id="edits"' not in html


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_names_every_edit(report: Robustness, width: int) -> None:
    out = StringIO()
    Console(file=out, width=width, highlight=False).print(RobustnessReport(report))
    lines = out.getvalue().splitlines()
    assert all(any(line.strip().startswith(f"{probe.probe} ") for line in lines) for probe in report.probes)
    assert not any("…" in line for line in lines if line.strip().startswith(("flatter ", "keywords ")))


def test_a_notebook_shows_the_page_and_print_a_few_lines(report: Robustness) -> None:
    shown = RobustnessReport(report)
    assert shown._repr_html_().startswith('<iframe srcdoc="')
    assert repr(shown).splitlines()[1].startswith("  Better response has the higher reward: 100.0 %")


def test_the_card_holds_no_markup_of_the_data(report: Robustness) -> None:
    bad = replace(report.findings[0], what="source '<b>|[x](y)' `z`: 5 % told right")
    card = RobustnessReport(replace(report, findings=(bad,))).card()
    assert r"- **source '&lt;b&gt;\|\[x\](y)' \`z\`: 5 % told right.**" in card
