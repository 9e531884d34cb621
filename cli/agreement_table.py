"""A report as a table on the terminal: the headline, what is wrong, every figure with its interval and rows."""

from judge.agreement.report import Figure, Report


def show(report: Report) -> None:
    """The headline first, then red flags, then figures by judge."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    console.print(report.headline.sentence)
    for flag in report.flags:
        console.print(f"[{flag.severity}] {flag.judge + ': ' if flag.judge else ''}{flag.what} ({flag.evidence})")
    for judge in report.judges:
        table = Table("figure", "value", "95 % interval", "n", "unreadable", "missing", title=judge.name, box=None)
        for figure in judge.agreement:
            title = f"{figure.title} [{figure.of}]" if figure.of else figure.title
            counts = (f"{figure.n:,}", f"{figure.unreadable:,}", f"{figure.missing:,}")
            table.add_row(title, number(figure, figure.value), interval(figure), *counts)
        console.print(table)


def number(figure: Figure, value: float | None) -> str:
    """A value as people write it."""
    if value is None:
        return "–"
    return f"{value:.1%}" if figure.unit == "share" else f"{value:.3f}"


def interval(figure: Figure) -> str:
    """Both ends, or why there is none."""
    if figure.low is None:
        return figure.note
    return f"{number(figure, figure.low)} – {number(figure, figure.high)}"
