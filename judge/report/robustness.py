"""What `judge.robustness` returns: a robustness report that knows how to be shown and saved."""

import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from judge.agreement.robustness.schema import Robustness
from judge.agreement.schema import Figure, Flag, Slice
from judge.agreement.serialization import robustness_from_row, robustness_to_row
from judge.report import words
from judge.report.saved import SavedReport

if TYPE_CHECKING:
    from rich.console import Group


class RobustnessReport(SavedReport):
    """Accuracy in and out of distribution, what length and edits do to a reward model, and what is wrong with it.

    In a notebook it shows itself as its page, on a terminal `rich.print(report)` draws its tables.

    Attributes:
        data: every part of it, as plain immutable data.
    """

    what = "robustness report"

    def __init__(self, data: Robustness) -> None:
        self.data = data

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Figures by name: "accuracy", "gap", "length_slope", "shift/flatter", "attack_success/16", …"""
        return self.data.figures

    @property
    def findings(self) -> tuple[Flag, ...]:
        """What is wrong, in words with its size."""
        return self.data.findings

    @property
    def slices(self) -> tuple[Slice, ...]:
        """Accuracy by part of the data."""
        return self.data.slices

    @property
    def wrong(self) -> bool:
        """Whether there is a finding that is more than a note."""
        return any(finding.severity != "note" for finding in self.findings)

    @property
    def title(self) -> str:
        """The model's name."""
        return self.data.name

    def to_row(self) -> dict[str, Any]:
        """The whole report as JSON values."""
        return robustness_to_row(self.data)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "RobustnessReport":
        """A report from its JSON values. Raises ValueError for what is none."""
        return cls(robustness_from_row(row))

    def to_html(self, *, rows: int | None = None) -> str:
        """One self-contained page; it has no rows of the data."""
        from judge.report.page import robustness_page

        return robustness_page(self.data)

    def card(self) -> str:
        """The section of a model card, as Markdown: the findings and the figures behind them."""
        lines = ["## Robustness", "", f"Examined on {words.compared(self.data.coverage)}.", ""]
        lines += [f"- **{_markdown(finding.what)}.** {finding.sure}" for finding in words.by_severity(self.findings)]
        if not self.findings:
            lines.append(f"{words.robust(self.data)}.")
        lines += [f"- Not examined: {reason}." for reason in self.data.not_examined]
        lines += ["", "| figure | value | 95 % interval | n |", "|---|---|---|---|"]
        lines += [
            f"| {words.title(figure)} | {words.value(figure)} | {words.span(figure) or words.NOTHING} | {figure.n:,} |"
            for figure in self._on_card()
        ]
        return "\n".join(lines).replace(words.THIN, " ")

    def _on_card(self) -> list[Figure]:
        """Accuracy, length, what each edit does to the reward, and the worst of k edits."""
        attacked = self.data.attack.success[-1:] if self.data.attack else ()
        figures = (*self.data.accuracy, *self.data.length, *(probe.shift for probe in self.data.probes), *attacked)
        return [figure for figure in figures if figure.value is not None]

    def __repr__(self) -> str:
        lines = [f"RobustnessReport: {words.printable(self.data.name)}: {words.robust(self.data)}"]
        for figure in self.data.accuracy:
            spans = f" ({words.span(figure)})" if figure.low is not None else ""
            lines.append(f"  {figure.title}: {words.value(figure)}{spans}, {words.basis(figure)}")
        lines += [
            f"  {words.SEVERITY_OF[flag.severity]}: {words.printable(flag.what)}"
            for flag in words.by_severity(self.findings)
        ]
        return "\n".join(lines).replace(words.THIN, " ").replace(words.STAYS, " ")

    def __rich__(self) -> "Group":
        from judge.report.terminal import robustness

        return robustness(self.data)


def _markdown(text: str) -> str:
    """Text of the data as words: one line, no markup of Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(words.printable(text), quote=False))
