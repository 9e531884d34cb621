"""The terminal shows verdict, flags and figures, and nothing that data could say to the terminal itself."""

import io
from dataclasses import replace

from rich.console import Console

from judge.agreement.schema import AgreementReport, Coverage, Figure, Headline, JudgeReport
from judge.report.terminal import drawing
from tests.report.sample import report


def shown(of: AgreementReport, width: int = 120) -> str:
    out = io.StringIO()
    Console(width=width, file=out, color_system=None).print(drawing(of))
    return out.getvalue()


def test_the_words_come_first_and_the_gravest_flag_leads() -> None:
    lines = shown(report(3)).splitlines()
    assert lines[0] == "With care"
    assert lines[1].startswith("qwen-32b agrees with people as well")
    flags = [line for line in lines if line.startswith(("Stop", "Take care", "Note"))]
    assert [flag.split(":")[0] for flag in flags] == ["Stop (tiny)", "Take care (qwen-32b)", "Note"]


def test_every_figure_has_its_interval_and_n() -> None:
    text = shown(report(3))
    line = next(line for line in text.splitlines() if "Accuracy, ties count" in line)
    assert line.split()[-9:] == "71.0 % 69.0 to 73.0 % 1,197 3 unreadable".split()
    assert "Spearman (no row says so)" in text
    assert "tied with the one above" in text


def test_it_fits_a_narrow_terminal() -> None:
    assert max(map(len, shown(report(3), width=80).splitlines())) <= 80


def test_names_from_data_are_text() -> None:
    bad = "a[red]b\x1b[2Jc\nd"
    judge = JudgeReport(
        name=bad,
        task="preference",
        coverage=Coverage(labelled=3, readable=3, unreadable=0, missing=0),
        agreement=(Figure(name="accuracy", title="Accuracy", value=None, n=3, note="too few rows"),),
    )
    few = Headline(level="unknown", sentence=f"{bad}: 3 rows are too few to say.")
    text = shown(replace(report(1), headline=few, flags=(), judges=(judge,), league=None, triangle=None))
    assert "\x1b" not in text
    assert "a[red]b [2Jc d: 3 rows" in text
    assert "Accuracy (too few rows)" in text
