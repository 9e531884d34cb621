"""What `judge.robustness` returns: a robustness report that knows how to be shown and saved."""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.agreement.robustness.schema import Robustness
from judge.agreement.schema import Figure, Flag, Slice
from judge.agreement.serialization import robustness_from_row, robustness_to_row
from judge.errors import InputError
from judge.files import to_json, write_atomic
from judge.json_input import load_json
from judge.report import words

if TYPE_CHECKING:
    from rich.console import Group

FRAME_HEIGHT = 720


class RobustnessReport:
    """Accuracy in and out of distribution, what length and edits do to a reward model, and what is wrong with it.

    In a notebook it shows itself as its page, on a terminal `rich.print(report)` draws its tables.

    Attributes:
        data: every part of it, as plain immutable data.
    """

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

    def to_row(self) -> dict[str, Any]:
        """The whole report as JSON values."""
        return robustness_to_row(self.data)

    def to_json(self) -> str:
        """The whole report as one line of JSON."""
        return to_json(self.to_row())

    def save(self, path: str | Path) -> None:
        """Write the report.

        Args:
            path: a name that ends in `.json` for what `RobustnessReport.load` reads; any other name, such as
                `page.html`, for one self-contained page.

        Raises:
            RunError: where it cannot be written.
        """
        if Path(path).suffix.lower() == ".json":
            write_atomic(path, self.to_json() + "\n")
            return
        from judge.report.page import robustness_page

        write_atomic(path, robustness_page(self.data))

    @classmethod
    def load(cls, path: str | Path) -> "RobustnessReport":
        """A report that was saved as JSON.

        Raises:
            InputError: for a file that cannot be read or holds no such report.
        """
        try:
            return cls(robustness_from_row(load_json(Path(path).read_text("utf-8"))))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, AttributeError) as error:
            raise InputError(f"{path}: no saved robustness report of rmjudge: {error}") from None

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

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style touches nothing of the notebook's."""
        from judge.report.page import robustness_page

        source = escape(robustness_page(self.data), quote=True)
        size = f"width:100%;height:{FRAME_HEIGHT}px;border:0"
        return f'<iframe srcdoc="{source}" style="{size}" title="{escape(self.data.name, quote=True)}"></iframe>'

    def __rich__(self) -> "Group":
        from judge.report.terminal import robustness

        return robustness(self.data)


def _markdown(text: str) -> str:
    """Text of the data as words: one line, no markup of Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(words.printable(text), quote=False))
