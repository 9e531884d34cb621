"""A report as one self-contained HTML page: opens offline, asks nothing of any host, runs nothing that data holds.

Text from data reaches the page in two ways only: escaped by Jinja, or as JSON that browse.js puts in place as text. The
content security policy names the page's own script and style by hash, so that nothing else could run or be fetched.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from re import sub
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from judge.agreement.best_of.schema import BestOf
from judge.agreement.robustness.schema import Robustness
from judge.agreement.schema import AgreementReport, BaselineChange, JudgeReport, Unit
from judge.report import charts, words
from judge.report.rows import BYTES, ROWS, carry
from judge.report.svg import Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A judge with its charts. slug: its anchor in the page."""

    judge: JudgeReport
    slug: str
    charts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessView:
    """A robustness report with its charts. slug: its anchor in the page; heading: the element of its parts' titles."""

    report: Robustness
    slug: str
    heading: str
    charts: dict[str, str]


def page(report: AgreementReport, *, rows: int = ROWS, size: int = BYTES, robustness: Sequence[Robustness] = ()) -> str:
    """The HTML of a report. robustness: reports on the same models, shown beside."""
    sheet = Sheet()
    carried = carry(report.disagreements, rows=rows, size=size)
    views = [_view(sheet, judge, f"judge-{number}") for number, judge in enumerate(report.judges, 1)]
    overall = {
        "people": charts.people(sheet, report.people) if report.people else "",
        "league": charts.league(sheet, report.league) if report.league else "",
        "triangle": charts.triangle(sheet, report.triangle) if report.triangle else "",
        "audits": [charts.audit(sheet, audit) for audit in report.audits],
    }
    examined = [_robustness(sheet, part, f"robustness-{number}", "h3") for number, part in enumerate(robustness, 1)]
    style = _resource("style.css") + sheet.css
    script = _resource("browse.js")
    html = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            report=report,
            views=views,
            robustness=examined,
            first=_leading(report),
            charts=overall,
            data=carried.json,
            carried=carried.rows,
            style=style,
            script=script,
            policy=_policy(style, script),
            confidence=f"{report.confidence * 100:g}{words.THIN}%",
            unit_of=_units(report),
        )
    )
    return _printable(html)


def robustness_page(report: Robustness) -> str:
    """The HTML of a robustness report."""
    sheet = Sheet()
    seen = _robustness(sheet, report, "robustness", "h2")
    style = _resource("style.css") + sheet.css
    html = (
        _environment()
        .get_template("robustness_page.html.jinja")
        .render(
            seen=seen,
            style=style,
            policy=_policy(style, ""),
            confidence=f"{report.confidence * 100:g}{words.THIN}%",
        )
    )
    return _printable(html)


def best_of_page(report: BestOf) -> str:
    """The HTML of a best-of-n report."""
    sheet = Sheet()
    drawn = {"best_of": charts.best_of(sheet, report), "gold": charts.overoptimisation(sheet, report)}
    style = _resource("style.css") + sheet.css
    html = (
        _environment()
        .get_template("best_of_page.html.jinja")
        .render(
            report=report,
            charts=drawn,
            style=style,
            policy=_policy(style, ""),
            confidence=f"{report.confidence * 100:g}{words.THIN}%",
        )
    )
    return _printable(html)


def _robustness(sheet: Sheet, report: Robustness, slug: str, heading: str) -> RobustnessView:
    drawn = {
        "slices": charts.slices(sheet, report.slices, report.accuracy),
        "probes": charts.probes(sheet, report.probes),
        "attack": charts.attack(sheet, report.attack) if report.attack else "",
    }
    return RobustnessView(report=report, slug=slug, heading=heading, charts=drawn)


def _view(sheet: Sheet, judge: JudgeReport, slug: str) -> View:
    drawn: dict[str, Any] = {"reliability": [], "ceiling": "", "selective": "", "leanings": "", "length": ""}
    if judge.ceiling:
        drawn["ceiling"] = charts.ceiling(sheet, judge.ceiling)
    if judge.calibration:
        people = judge.ceiling.human if judge.ceiling else None
        drawn["reliability"] = [
            (words.phrase(curve.name), charts.reliability(sheet, curve)) for curve in judge.calibration.curves
        ]
        drawn["selective"] = charts.selective(sheet, judge.calibration, people)
    if judge.bias:
        drawn["leanings"] = charts.leanings(sheet, judge.bias)
        drawn["length"] = charts.length(sheet, judge.bias.length_bins)
    drawn["slices"] = charts.slices(sheet, judge.slices, judge.agreement)
    drawn["estimates"] = charts.estimates(sheet, judge.estimates)
    return View(judge=judge, slug=slug, charts=drawn)


def _leading(report: AgreementReport) -> JudgeReport | None:
    """The judge that the headline speaks of: the best of the league, else the first."""
    best = report.league.rows[0].name if report.league and report.league.rows else ""
    return next((judge for judge in report.judges if judge.name == best), next(iter(report.judges), None))


def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_resource),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(words=words, place=_place, heat=_heat)
    return environment


def _resource(name: str) -> str:
    return files("judge.report").joinpath(name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing may be fetched or run but this style and this script."""

    def own(text: str) -> str:
        return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

    allowed = (f"style-src {own(style)}", f"script-src {own(script)}", "img-src data:", "base-uri 'none'")
    return "; ".join(("default-src 'none'", *allowed, "form-action 'none'"))


def _place(value: float, low: float, size: float) -> str:
    """Where a value stands on a line of 100, inside it."""
    return f"{min(max((value - low) / size * 100, 0), 100):.1f}"


def _heat(number: int, most: int) -> int:
    """The shade of a cell, 0 to 9."""
    return round(9 * number / most) if most else 0


def _units(report: AgreementReport) -> Any:
    """The unit of a change, which the figure of the same name has."""
    known = {figure.name: figure.unit for judge in report.judges for figure in judge.agreement}

    def unit_of(change: BaselineChange) -> Unit:
        return known.get(change.name, "share")

    return unit_of


def _printable(html: str) -> str:
    """Without the characters that HTML forbids; a lone surrogate becomes a question mark, for UTF-8 cannot hold it."""
    return sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "\ufffd", html).encode("utf-8", "replace").decode()
