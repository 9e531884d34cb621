"""The charts of a report, each a function from rows of the report to one SVG.

The judge is drawn in the accent colour with full marks, people in grey with open ones, so that they are told apart
without colour too. A chart with nothing to show is "".
"""

from collections.abc import Sequence
from dataclasses import replace
from math import exp
from typing import Any, NamedTuple

from judge.agreement.best_of.schema import BestOf, Curve
from judge.agreement.robustness.schema import Attack, ProbeEffect
from judge.agreement.schema import (
    Audit,
    Bias,
    Calibration,
    CalibrationCurve,
    Ceiling,
    Figure,
    League,
    LengthBin,
    People,
    Slice,
    Triangle,
    Unit,
    WinRate,
)
from judge.report import words
from judge.report.svg import ALARM, INK, JUDGE, LINE, MUTED, PAPER, PEOPLE, Sheet

MANY = 24
_STYLES: dict[str, dict[str, Any]] = {
    "judge": {"color": JUDGE, "marker": "o", "markerfacecolor": JUDGE, "markeredgecolor": JUDGE},
    "people": {"color": PEOPLE, "marker": "o", "markerfacecolor": PAPER, "markeredgecolor": PEOPLE},
    "both": {"color": INK, "marker": "D", "markerfacecolor": INK, "markeredgecolor": INK},
    "alarm": {"color": ALARM, "marker": "s", "markerfacecolor": ALARM, "markeredgecolor": ALARM},
}


class Mark(NamedTuple):
    """One figure on a line of a forest chart, by the style of whoever it speaks of."""

    style: str
    figure: Figure | None


class Line(NamedTuple):
    """One line of a forest chart."""

    label: str
    marks: tuple[Mark, ...]


def forest(
    sheet: Sheet,
    lines: Sequence[Line],
    *,
    label: str,
    names: dict[str, str] | None = None,
    reference: float | None = None,
) -> str:
    """Figures as marks with their intervals, one line each, on one axis. names: what a style's marks are, for a legend;
    reference: where the dashed line stands."""
    drawn = [line for line in lines if any(mark.figure and mark.figure.value is not None for mark in line.marks)]
    if not drawn:
        return ""
    unit = next(mark.figure.unit for line in drawn for mark in line.marks if mark.figure)

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        for row, line in enumerate(drawn):
            _line(axes, row, line)
        if reference is not None:
            axes.axvline(reference, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.set_yticks(range(len(drawn)), [words.short(line.label, 30) for line in drawn])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(drawn) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.spines[["left", "bottom"]].set_visible(False)
        _axis(axes.xaxis, unit)
        if names:
            _legend(figure, names)

    height = 0.42 + 0.31 * len(drawn) + 0.25 * bool(names)
    return sheet.draw(paint, label=label, height=max(height, 1.1))


def _line(axes: Any, row: int, line: Line) -> None:
    """The marks of one line, beside each other when there are several."""
    drawn = [mark for mark in line.marks if mark.figure and mark.figure.value is not None]
    for place, mark in enumerate(drawn):
        assert mark.figure and mark.figure.value is not None
        height = row + (place - (len(drawn) - 1) / 2) * 0.26
        style = _STYLES[mark.style]
        if mark.figure.low is not None and mark.figure.high is not None:
            axes.plot([mark.figure.low, mark.figure.high], [height, height], color=style["color"], linewidth=1.8)
        axes.plot([mark.figure.value], [height], linestyle="none", markersize=5.5, markeredgewidth=1.5, **style)


def _axis(axis: Any, unit: Unit, ticks: int = 5) -> None:
    """Few ticks; shares in per cent."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))
    if unit == "share":
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.4g} %".replace("-", "−")))


def _legend(figure: Any, names: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], linewidth=1.8, markersize=5.5, markeredgewidth=1.5, **_STYLES[style]) for style in names]
    figure.legend(marks, list(names.values()), loc="outside upper left", ncols=len(names), handlelength=1.6)


def ceiling(sheet: Sheet, human_ceiling: Ceiling) -> str:
    """People among themselves beside the judge, over all and for each annotator, on the same rows."""
    rows = sorted(human_ceiling.annotators, key=lambda row: -row.n)[: MANY // 2]
    lines = [Line("everyone", (Mark("people", human_ceiling.human), Mark("judge", human_ceiling.judge)))]
    lines += [Line(row.name, (Mark("people", row.agreement), Mark("judge", row.judge))) for row in rows]
    return forest(
        sheet,
        lines,
        label="Agreement with the other people: each person, and the judge on the same rows",
        names={"people": "this person", "judge": "the judge in their place"},
    )


def people(sheet: Sheet, alone: People) -> str:
    """Each person with the others, and everyone together."""
    rows = sorted(alone.annotators, key=lambda row: -row.n)[: MANY // 2]
    lines = [Line("everyone", (Mark("people", alone.human),))]
    lines += [Line(row.name, (Mark("people", row.agreement),)) for row in rows]
    return forest(sheet, lines, label="Agreement of each person with the other people")


def league(sheet: Sheet, table: League) -> str:
    """The main figure of every judge, best first."""
    lines = [Line(row.name, (Mark("judge", row.figure),)) for row in table.rows[:MANY]]
    return forest(sheet, lines, label="Agreement of each judge on the rows that all of them judged")


def leanings(sheet: Sheet, bias: Bias) -> str:
    """How often the response that is shown first, or has more of something, wins: by the judge and by people."""
    known = {figure.name: figure for figure in (*bias.position, *bias.length, *bias.style)}
    lines = [Line("shown first", (Mark("judge", known.get("shown_first")),))]
    for name, title in (("longer", "longer"), ("styled", "more marked-up")):
        lines.append(
            Line(title, (Mark("people", known.get(f"{name}_people")), Mark("judge", known.get(f"{name}_judge"))))
        )
    names = {"people": "by people", "judge": "by the judge"} if "longer_people" in known else None
    return forest(sheet, lines, label="What wins, by the judge and by people", names=names, reference=0.5)


def audit(sheet: Sheet, audited: Audit) -> str:
    """How many verdicts each probe moved, and how many of them in favour of what it changed."""
    lines = [
        Line(probe.probe, (Mark("judge", probe.moved), Mark("alarm", None if probe.probe == "swap" else probe.toward)))
        for probe in audited.probes
    ]
    names = {"judge": "verdict moved", "alarm": "in favour of what was changed"}
    return forest(sheet, lines, label=f"Verdicts that moved when nothing should, {audited.name}", names=names)


def probes(sheet: Sheet, effects: Sequence[ProbeEffect]) -> str:
    """How far each edit moves the reward; those that surely lift it without adding anything in the colour of alarm."""
    lines = [
        Line(
            probe.probe,
            (Mark("alarm" if probe.effect == "adds" and (probe.shift.low or 0) > 0 else "judge", probe.shift),),
        )
        for probe in effects
    ]
    lifted = any(line.marks[0].style == "alarm" for line in lines)
    names = {"judge": "edit", "alarm": "lifts the reward without adding anything"} if lifted else None
    return forest(sheet, lines, label="Change of the reward by each edit, in deviations", names=names, reference=0)


def attack(sheet: Sheet, attacked: Attack) -> str:
    """How many pairs the worst of k edits turns, against k."""
    known = [figure for figure in attacked.success if figure.value is not None]
    if len(known) < 2:
        return ""

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        tried = [int(success.of) for success in known]
        axes.plot(tried, [success.value for success in known], color=JUDGE, linewidth=2, marker="o", markersize=5)
        for success, count in zip(known, tried, strict=True):
            if success.low is not None and success.high is not None:
                axes.plot([count, count], [success.low, success.high], color=JUDGE, linewidth=1.8)
        axes.set_xscale("log", base=2)
        axes.set_xticks(tried, [str(count) for count in tried])
        axes.set(xlabel="edits tried on the worse response", ylabel="pairs turned", ylim=(0, None))
        _axis(axes.yaxis, "share")

    return sheet.draw(paint, label="Pairs turned by the worst of k edits", width=3.6, height=2.8)


_CURVES: dict[str, dict[str, Any]] = {
    "pass": {"color": INK, "linestyle": (0, (4, 3)), "marker": ""},
    "best_of": {"color": JUDGE, "marker": "o", "markersize": 5},
    "majority": {"color": PEOPLE, "marker": "o", "markersize": 5, "markerfacecolor": PAPER},
    "weighted": {"color": PEOPLE, "marker": "D", "markersize": 4},
    "proxy": {"color": JUDGE, "linestyle": (0, (4, 3)), "marker": ""},
    "gold": {"color": INK, "marker": "D", "markersize": 4},
}


def best_of(sheet: Sheet, report: BestOf) -> str:
    """The truth of what is chosen against n."""
    curves = [curve for name in _CURVES if name not in ("proxy", "gold") and (curve := report.curve(name))]
    named = [replace(curve, title=report.name) if curve.name == "best_of" else curve for curve in curves]
    ylabel = "right" if report.truth == "right" else "truth"
    return _against_n(sheet, report, named, ylabel, "What is chosen among n responses: how often it is right")


def overoptimisation(sheet: Sheet, report: BestOf) -> str:
    """The reward of the pick and its gold reward, in deviations over all responses, against n."""
    curves = [curve for name in ("proxy", "gold") if (curve := report.curve(name))]
    label = "Reward and gold reward of the best of n by the reward, in deviations"
    return _against_n(sheet, report, curves, "deviations above the mean", label)


def _against_n(sheet: Sheet, report: BestOf, curves: Sequence[Curve], ylabel: str, label: str) -> str:
    """Curves against n, with what n costs in divergence below it."""
    if not curves or len(report.sizes) < 2:
        return ""

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        for curve in curves:
            _curve(axes, report.sizes, curve)
        axes.set_xscale("log", base=2)
        labels = [f"{size}\n{kl:.2f}" for size, kl in zip(report.sizes, report.kl, strict=True)]
        axes.set_xticks(report.sizes, labels)
        axes.minorticks_off()
        axes.set(xlabel="n, and KL from the policy in nats, at most", ylabel=ylabel)
        _axis(axes.yaxis, curves[0].points[0].unit)
        figure.legend(loc="outside upper left", ncols=1, handlelength=2.4)

    return sheet.draw(paint, label=label, width=4.6, height=3.1 + 0.2 * len(curves))


def _curve(axes: Any, sizes: Sequence[int], curve: Curve) -> None:
    """One curve with its intervals as a band."""
    known = [(size, point) for size, point in zip(sizes, curve.points, strict=True) if point.value is not None]
    style = _CURVES[curve.name]
    line = {"linewidth": 1.8, "label": words.short(curve.title, 44), **style}
    axes.plot([size for size, _ in known], [point.value for _, point in known], **line)
    bounded = [(size, point.low, point.high) for size, point in known if point.low is not None]
    if bounded and curve.name in ("best_of", "gold"):
        axes.fill_between(*zip(*bounded, strict=True), color=style["color"], alpha=0.15, linewidth=0)


def slices(sheet: Sheet, parts: Sequence[Slice], overall: Sequence[Figure]) -> str:
    """The largest slices; those that are significantly worse in the colour of alarm. Dashed: the same figure of all
    rows, where there is one (of criteria there is not)."""
    spoken = sorted((part for part in parts if not part.small), key=lambda part: (not part.worse, -part.figure.n))
    kept = sorted(spoken[: MANY * 2 // 3], key=lambda part: part.figure.value or 0)
    alone = len({part.field for part in kept}) == 1
    lines = [
        Line(
            part.value if alone else f"{words.short(part.field, 13)}: {words.short(part.value, 15)}",
            (Mark("alarm" if part.worse else "judge", part.figure),),
        )
        for part in kept
    ]
    names = {"judge": "slice", "alarm": "significantly worse"} if any(part.worse for part in kept) else None
    main = next(
        (figure.value for figure in overall if kept and figure.name == kept[0].figure.name and not figure.of), None
    )
    label = "Agreement by slice" + ("" if main is None else "; dashed: all rows")
    return forest(sheet, lines, label=label, names=names, reference=main)


def estimates(sheet: Sheet, rows: Sequence[WinRate]) -> str:
    """Win rates between systems, three ways."""
    lines = [
        Line(
            f"{row.system} over {row.over}",
            (Mark("people", row.human), Mark("judge", row.judge), Mark("both", row.combined)),
        )
        for row in rows[: MANY // 2]
    ]
    return forest(
        sheet,
        lines,
        label="Win rate of one system over another: by people, by the judge, by both together",
        names={"people": "people", "judge": "judge", "both": "both, corrected"},
        reference=0.5,
    )


def reliability(sheet: Sheet, curve: CalibrationCurve) -> str:
    """How often something was so against the probability that the judge gave it, with the rows of each bin below."""
    bins = [part for part in curve.bins if part.n]
    if not bins:
        return ""

    def paint(figure: Any) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        low = min(0.5, *(part.low for part in bins))
        axes.plot([low, 1], [low, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for part in bins:
            axes.plot([part.confidence] * 2, [part.accuracy_low, part.accuracy_high], color=JUDGE, linewidth=1.8)
        axes.plot(
            [part.confidence for part in bins],
            [part.accuracy for part in bins],
            color=JUDGE,
            linewidth=1,
            marker="o",
            markersize=5,
        )
        below.bar(
            [part.low for part in bins],
            [part.n for part in bins],
            width=[part.high - part.low for part in bins],
            align="edge",
            color=JUDGE,
            alpha=0.35,
            edgecolor=PAPER,
        )
        axes.set(ylabel="how often it was so", ylim=(min(low, *(part.accuracy_low for part in bins)) - 0.03, 1.03))
        below.set(xlabel="stated probability", ylabel="rows", xlim=(low - 0.02, 1.02))
        below.set_yticks([0, max(part.n for part in bins)], ["0", words.count(max(part.n for part in bins))])
        below.grid(visible=False, axis="x")
        _axis(axes.yaxis, "share")
        _axis(below.xaxis, "share", ticks=4)

    return sheet.draw(paint, label=f"Reliability diagram, {words.phrase(curve.name)}", width=3.6, height=3.5)


def selective(sheet: Sheet, calibration: Calibration, people: Figure | None) -> str:
    """Accuracy against the share judged, most confident first; dashed: people among themselves."""
    points = calibration.selective
    if len(points) < 2:
        return ""

    def paint(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.plot([point.coverage for point in points], [point.accuracy for point in points], color=JUDGE, linewidth=2)
        if people and people.value is not None:
            axes.axhline(people.value, color=PEOPLE, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate(
                "people among themselves",
                (0, people.value),
                xytext=(3, 3),
                textcoords="offset points",
                color=PEOPLE,
                fontsize=10,
            )
        axes.set(xlabel="share judged, most confident first", ylabel="how often right", xlim=(0, 1))
        _axis(axes.xaxis, "share")
        _axis(axes.yaxis, "share")

    return sheet.draw(
        paint, label="Accuracy against the share of rows judged, most confident first", width=3.6, height=3.1
    )


def length(sheet: Sheet, bins: Sequence[LengthBin]) -> str:
    """How often the first response wins as it grows longer, by people and by the judge; below, their agreement."""
    filled = [part for part in bins if part.n]
    if len(filled) < 2:
        return ""

    def paint(figure: Any) -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        places = range(len(filled))
        for style, values in (
            ("people", [part.human_first for part in filled]),
            ("judge", [part.judge_first for part in filled]),
        ):
            axes.plot(places, values, linewidth=1.8, markersize=5.5, markeredgewidth=1.5, **_STYLES[style])
        axes.axhline(0.5, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_ylabel("first wins")
        below.bar(places, [part.agreement for part in filled], color=JUDGE, alpha=0.35, width=0.7)
        below.set(ylabel="agreement", ylim=(0, 1), xlabel="length of the first response against the second")
        edges = [place for place in places if place]  # the borders between two bins
        below.set_xticks([place - 0.5 for place in edges], [_factor(filled[place].low) for place in edges])
        for axis in (axes.yaxis, below.yaxis):
            _axis(axis, "share")
        axes.grid(visible=False, axis="x")
        below.grid(visible=False, axis="x")
        _legend(figure, {"people": "people", "judge": "judge"})

    return sheet.draw(paint, label="How often the first response wins by how much longer it is", height=3.5)


def _factor(ratio: float) -> str:
    """A log ratio of lengths as a factor: `×2.7`, `÷1.6`."""
    return f"{'×' if ratio >= 0 else '÷'}{exp(abs(ratio)):.2g}"


def triangle(sheet: Sheet, triple: Triangle) -> str:
    """Human, judge and model at the corners, their agreement on the sides."""
    top, left, right = (0.5, 0.88), (0.1, 0.1), (0.9, 0.1)
    corners = ((top, "people", "people"), (left, "judge", triple.judge), (right, "both", triple.model))
    sides = (
        (top, left, triple.human_judge, "right", (-0.04, 0.02)),
        (top, right, triple.human_model, "left", (0.04, 0.02)),
        (left, right, triple.judge_model, "center", (0, -0.09)),
    )

    def paint(figure: Any) -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set(xlim=(0, 1), ylim=(-0.08, 1))
        for begin, end, figure_of_side, align, (over, up) in sides:
            axes.plot(*zip(begin, end, strict=True), color=LINE, linewidth=1 + 5 * max(figure_of_side.value or 0, 0))
            middle = ((begin[0] + end[0]) / 2 + over, (begin[1] + end[1]) / 2 + up)
            axes.text(
                *middle, words.number(figure_of_side.value, figure_of_side.unit), ha=align, va="center", fontsize=13
            )
        for place, style, name in corners:
            axes.plot(*place, markersize=13, markeredgewidth=2, **_STYLES[style])
            axes.text(
                place[0],
                place[1] + (0.07 if place[1] > 0.5 else -0.1),
                words.short(name, 20),
                ha="center",
                va="center",
                fontsize=11,
                fontweight="bold",
            )

    return sheet.draw(
        paint, label=f"Agreement between people, {triple.judge} and {triple.model}", width=4.2, height=2.9
    )
