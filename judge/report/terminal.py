"""A report on a terminal: the verdict and the flags in words, then one table a judge, as rich draws it.

Names come from data, so they are plain text here: no markup and no control characters of theirs reach the terminal.
"""

from collections.abc import Iterable, Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from judge.agreement.best_of.schema import BestOf
from judge.agreement.robustness.schema import ProbeEffect, Robustness
from judge.agreement.schema import AgreementReport, Audit, Ceiling, Figure, Flag, JudgeReport, League, People, Slice
from judge.report import words

_COLOUR = {"good": "green", "fair": "yellow", "poor": "red", "unknown": "cyan"}
_MARK = {"stop": "bold red", "warn": "yellow", "note": "cyan"}
SLICES = 12


def drawing(report: AgreementReport) -> Group:
    """Everything of a report that a terminal shows; the browser of disagreements is the page's."""
    return Group(*_parts(report))


def _parts(report: AgreementReport) -> Iterator[RenderableType]:
    level = report.headline.level
    yield _text(words.verdict(report.headline), f"bold {_COLOUR[level]}")
    yield _text(report.headline.sentence, "bold")
    for reason in report.headline.why:
        yield _text(reason)
    for flag in words.by_severity(report.flags):
        yield from _flag(flag)
    if report.league and len(report.league.rows) > 1:
        yield _league(report.league, report)
    if report.changes:
        yield _changes(report)
    if report.people:
        yield from _people(report.people, report)
    for judge in report.judges:
        yield from _judge(judge, report)
    for audited in report.audits:
        yield audit(audited)
    for benchmark in report.benchmarks:
        yield _figures(f"{benchmark.name}, {benchmark.judge}", benchmark.figures, report)
    if report.triangle:
        triangle = report.triangle
        sides = (
            ("people and judge", triangle.human_judge),
            ("judge and model", triangle.judge_model),
            ("people and model", triangle.human_model),
            (triangle.inherited.title, triangle.inherited),
        )
        yield _figures(f"people, judge {triangle.judge} and model {triangle.model}", sides, report)


def _flag(flag: Flag) -> Iterator[RenderableType]:
    who = f" ({words.printable(flag.judge)})" if flag.judge else ""
    head = Text.assemble((f"{words.SEVERITY_OF[flag.severity]}{who}: ", _MARK[flag.severity]))
    yield Text("")
    yield head.append(words.printable(flag.what))
    yield Padding(_text(f"{flag.evidence} {flag.sure}", "dim"), (0, 0, 0, 2))
    yield Padding(_text(f"What to do: {flag.advice}"), (0, 0, 0, 2))


def _people(people: People, report: AgreementReport) -> Iterator[RenderableType]:
    """People among themselves: everyone together, two by two, one by one."""
    counts = f"{words.count(people.labelled)} labelled rows, {words.count(people.shared)} of them by two or more"
    title = f"people among themselves: {counts}, {words.count(people.split)} split"
    yield _figures(title, (people.human, *people.among), report)
    twos = [
        (f"{pair.first} and {pair.second}: {words.title(figure)}", figure)
        for pair in people.pairs
        for figure in pair.figures
    ]
    if twos:
        shown = len(people.pairs)
        yield _figures(f"annotators two by two: {shown} of {words.count(people.pairs_total)} pairs", twos, report)
    rows = [
        (f"{row.name}{', who is off' * row.off}, {words.count(row.n)} labels", row.agreement)
        for row in people.annotators
    ]
    listed = f"{len(rows)} of {words.count(people.annotators_total)}"
    yield _figures(f"each annotator with the others: {listed}", rows, report)


def _judge(judge: JudgeReport, report: AgreementReport) -> Iterator[RenderableType]:
    coverage = judge.coverage
    counts = f"{words.count(coverage.labelled)} labelled rows, {words.count(coverage.unreadable)} unreadable, "
    yield _figures(f"{judge.name}: {counts}{words.count(coverage.missing)} missing", judge.agreement, report)
    if judge.ceiling and judge.ceiling.human.value is not None:
        yield _ceiling(judge.ceiling)
    if judge.calibration:
        curves = judge.calibration.curves
        yield _figures(
            "calibration: error, smaller is better", ((words.phrase(curve.name), curve.ece) for curve in curves), report
        )
    if judge.bias:
        bias = judge.bias
        rows = (*bias.position, *bias.length, *bias.style, *bias.self_preference, *bias.consistency)
        if rows:
            yield _figures("bias and consistency", rows, report)
    if judge.slices:
        yield _slices(judge.slices)
    for estimate in judge.estimates:
        names = (("by people", estimate.human), ("by the judge", estimate.judge), ("by both", estimate.combined))
        yield _figures(f"win rate of {estimate.system} over {estimate.over}", names, report)


def _table(title: str, *columns: str, numbers: Iterable[int]) -> Table:
    table = Table(box=SIMPLE_HEAD, title=_text(title), title_justify="left", title_style="bold", pad_edge=False)
    right = set(numbers)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place in right else "left", no_wrap=place in right)
    return table


def _figures(
    title: str, figures: Iterable[Figure | tuple[str, Figure]], report: AgreementReport | Robustness | BestOf
) -> Table:
    table = _table(title, "figure", "value", _interval(report), "n", "left out", numbers=(1, 2, 3))
    for item in figures:
        name, figure = item if isinstance(item, tuple) else (words.title(item), item)
        label = f"{name} ({figure.note})" if figure.note else name
        table.add_row(_text(label), *_value(figure), words.left_out(figure))
    return table


def _value(figure: Figure) -> tuple[str, str, str]:
    """Value, interval and n, as columns."""
    value, span = words.value(figure), words.span(figure)
    return value.replace(words.THIN, " "), span.replace(words.THIN, " "), words.count(figure.n)


def _interval(report: AgreementReport | Robustness | BestOf) -> str:
    return f"{report.confidence * 100:g} % interval"


def _ceiling(ceiling: Ceiling) -> Table:
    """People and the judge side by side, over all and for each annotator."""
    test = ceiling.alt_test
    title = f"human ceiling (may it replace people, ε = {test.epsilon:g}: {words.yes_no(test.passed)})"
    table = _table(title, "left out", "person with the others", "judge in their place", "n", numbers=(1, 2, 3))
    pairs = [("everyone in turn", ceiling.human, ceiling.judge)]
    pairs += [
        (f"{row.name}{', who is off' * row.off}", row.agreement, row.judge)
        for row in ceiling.annotators
        if row.judge is not None
    ]
    for name, *both in pairs:
        sides = [
            " ".join(part for part in (value, span and f"({span})") if part) for value, span, _ in map(_value, both)
        ]
        table.add_row(_text(name), *sides, words.count(both[0].n))
    return table


def _slices(slices: tuple[Slice, ...]) -> Table:
    """The slices that part most from the others; small ones are the page's."""
    spoken = sorted((part for part in slices if not part.small), key=lambda part: part.difference or 0)
    kept = spoken if len(spoken) <= SLICES else spoken[: SLICES // 2] + spoken[-SLICES // 2 :]
    small = len(slices) - len(spoken)
    title = f"slices: {len(kept)} of {len(slices)}, {small} of them too small to say"
    table = _table(title, "slice", "value", "interval", "n", "against the rest", "p", numbers=(1, 2, 3, 4))
    for part in kept:
        style = "red" if part.worse else "green" if part.better else ""
        against = words.signed(part.difference, part.figure.unit)
        chance = words.probability(part.p_value).replace(words.STAYS, " ")
        table.add_row(_text(f"{part.field}: {part.value}"), *_value(part.figure), against, chance, style=style)
    return table


def _league(league: League, report: AgreementReport) -> Table:
    title = f"league, on the {words.count(league.common)} rows that all of them judged"
    table = _table(title, "rank", "judge", "agreement", _interval(report), "n", "", numbers=(0, 2, 3, 4))
    for row in league.rows:
        tied = "tied with the one above" if row.tied else ""
        table.add_row(str(row.rank), _text(row.name), *_value(row.figure), tied)
    return table


def audit(audited: Audit, fail_over: float | None = None) -> Table:
    """A line a probe; "over" stands beside those that move more verdicts than `fail_over`."""
    columns = ("probe", "what changed", "verdicts moved", "95 % interval", "in its favour", "n", "lost")
    table = _table(f"audit {audited.name}: what moved when nothing should", *columns, numbers=(2, 3, 4, 5, 6))
    for probe in audited.probes:
        value, span, n = _value(probe.moved)
        over = fail_over is not None and (probe.moved.value or 0.0) > fail_over
        toward = words.NOTHING if probe.probe == "swap" else _value(probe.toward)[0]
        cells = (value + " over" * over, span, toward, n, words.count(probe.lost))
        table.add_row(_text(probe.probe), _text(probe.about), *cells, style="red" if over else "")
    return table


def best_of(report: BestOf) -> Group:
    """A best-of-n report: what was found, the curves against n, and figures at n."""
    return Group(*_best_of(report))


def _best_of(report: BestOf) -> Iterator[RenderableType]:
    yield _text(words.best_of(report), "bold yellow" if report.findings else "bold green")
    for finding in words.by_severity(report.findings):
        yield from _flag(finding)
    if report.curves:
        title = f"{report.name}: {words.chosen_from(report)}; below each value its {_interval(report)}"
        names = [curve.title for curve in report.curves]
        table = _table(title, "n", "KL at most", *names, numbers=range(2))
        for place, (size, kl) in enumerate(zip(report.sizes, report.kl, strict=True)):
            cells = [_with_interval(curve.points[place]) for curve in report.curves]
            table.add_row(str(size), f"{kl:.2f}", *cells)
        yield table
    else:
        yield _text(f"{report.name}: {words.chosen_from(report)}")
    if report.summary:
        yield _figures(f"choosing among {report.n}", report.summary, report)
    if report.search:
        yield _figures("search by steps, and whole answers of as many tokens", report.search, report)


def _with_interval(figure: Figure) -> str:
    value, span, _ = _value(figure)
    return f"{value}\n{span}" if span else value


def robustness(report: Robustness) -> Group:
    """A robustness report: what was found, then a table for each part."""
    return Group(*_robustness(report))


def _robustness(report: Robustness) -> Iterator[RenderableType]:
    yield _text(words.robust(report), "bold yellow" if report.findings else "bold green")
    for reason in report.not_examined:
        yield _text(f"Not examined: {reason}")
    for finding in words.by_severity(report.findings):
        yield from _flag(finding)
    yield _figures(f"{report.name}: {words.compared(report.coverage)}", report.accuracy, report)
    if report.slices:
        yield _slices(report.slices)
    if report.length:
        yield _figures("length", report.length, report)
    if report.probes:
        yield _probes(report.probes)
    if report.attack:
        edits = ", ".join(f"{name} {words.count(count)}" for name, count in report.attack.edits.items())
        title = "the worst of k edits" + (f"; in the best ones: {edits}" if edits else "")
        yield _figures(title, [*report.attack.success, report.attack.gain], report)


def _probes(probes: Iterable[ProbeEffect]) -> Table:
    """A line a probe; shifts are in deviations of the rewards."""
    columns = ("edit", "moves\nby", "interval", "by its\nlength", "worse\nwins", "better\nloses", "not\nlowered")
    title = "edits: shifts in deviations, verdicts of the pairs that are told right"
    table = _table(title, *columns, numbers=range(1, 7))
    for probe in probes:
        shares = [_value(figure)[0] for figure in (probe.worse_wins, probe.better_loses, probe.not_lowered)]
        by_length = words.signed(probe.by_length, "coefficient")
        table.add_row(_text(probe.probe), *_value(probe.shift)[:2], by_length, *shares)
    return table


def _changes(report: AgreementReport) -> Table:
    table = _table("against the baseline", "figure", "judge", "before", "now", "", numbers=(2, 3))
    for change in report.changes:
        values = (f"{value:.3f}" if value is not None else words.NOTHING for value in (change.before, change.now))
        style = "red" if change.worse else "green" if change.better else ""
        table.add_row(_text(change.title), _text(change.judge), *values, words.outcome(change), style=style)
    return table


def _text(text: str, style: str = "") -> Text:
    return Text(words.printable(text), style=style)
