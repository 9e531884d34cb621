"""What `judge.agree` returns: an agreement report that knows how to be shown and saved."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judge.agreement.schema import AgreementReport, Figure, Flag, JudgeReport, Level, People, by_name
from judge.agreement.serialization import from_row, to_row
from judge.report.robustness import RobustnessReport
from judge.report.saved import SavedReport

if TYPE_CHECKING:
    from rich.console import Group


class Report(SavedReport):
    """An agreement report: figures, flags and a verdict in one sentence.

    In a notebook it shows itself as its page, on a terminal `rich.print(report)` draws its tables.

    Attributes:
        data: every part of it, as plain immutable data.
        robustness: reports of `judge.robustness` on the same models, shown beside; each is saved as JSON by itself.
    """

    def __init__(self, data: AgreementReport, robustness: Sequence[RobustnessReport] = ()) -> None:
        self.data, self.robustness = data, tuple(robustness)

    @property
    def headline(self) -> str:
        """The answer in one sentence."""
        return self.data.headline.sentence

    @property
    def level(self) -> Level:
        """good, fair, poor or unknown: whether the judge can stand in for a person."""
        return self.data.headline.level

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What is wrong, the worst first for each judge."""
        return self.data.flags

    @property
    def judges(self) -> tuple[JudgeReport, ...]:
        """Each judge with its own figures, in the order given; none in a report of people among themselves."""
        return self.data.judges

    @property
    def people(self) -> People | None:
        """People among themselves, in a report without a judge."""
        return self.data.people

    @property
    def figures(self) -> Mapping[str, Figure]:
        """The first judge's figures by name, such as "accuracy"; a part's as "name/part". Of another judge:
        `report.judges[1].figures`. Without a judge those of the people."""
        if self.data.judges:
            return self.data.judges[0].figures
        return by_name((self.data.people.human, *self.data.people.among)) if self.data.people else {}

    @property
    def worse(self) -> bool:
        """Whether a figure is worse than in the baseline, beyond its interval."""
        return any(change.worse for change in self.data.changes)

    @property
    def title(self) -> str:
        """What was compared, in a few words."""
        return self.data.title

    def to_row(self) -> dict[str, Any]:
        """The whole report as JSON values."""
        return to_row(self.data)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Report":
        """A report from its JSON values, those of the version before, too. Raises ValueError for what is none."""
        return cls(from_row(row))

    def to_html(self, *, rows: int | None = None) -> str:
        """One self-contained page. rows: at most so many disagreements are on it; None: as many as a file takes."""
        from judge.report.page import page
        from judge.report.rows import ROWS

        examined = [part.data for part in self.robustness]
        return page(self.data, rows=ROWS if rows is None else rows, robustness=examined)

    def __repr__(self) -> str:
        from judge.report import words

        lines = [f"Report: {words.verdict(self.data.headline)}. {self.headline}"]
        for judge in self.judges:
            main = judge.agreement[0]
            spans = f" ({words.span(main)})" if main.low is not None else ""
            lines.append(f"  {judge.name}: {main.title} {words.value(main)}{spans}, {words.basis(main)}")
        lines += [f"  {reason}" for reason in self.data.headline.why if self.people]
        lines += [f"  {words.SEVERITY_OF[flag.severity]}: {flag.what}" for flag in words.by_severity(self.flags)]
        return "\n".join(lines).replace(words.THIN, " ").replace(words.STAYS, " ")

    def __rich__(self) -> "Group":
        from rich.console import Group

        from judge.report.terminal import drawing

        return Group(drawing(self.data), *self.robustness)
