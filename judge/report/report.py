"""What `judge.agree` returns: an agreement report that knows how to be shown and saved."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.agreement.schema import AgreementReport, Figure, Flag, JudgeReport, Level, People, by_name
from judge.agreement.serialization import from_row, to_json, to_row
from judge.errors import InputError
from judge.files import write_atomic
from judge.json_input import load_json
from judge.report.robustness import RobustnessReport

if TYPE_CHECKING:
    from rich.console import Group

FRAME_HEIGHT = 720
FRAME_ROWS = 200


class Report:
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

    def to_row(self) -> dict[str, Any]:
        """The whole report as JSON values."""
        return to_row(self.data)

    def to_json(self) -> str:
        """The whole report as one line of JSON."""
        return to_json(self.data)

    def save(self, path: str | Path) -> None:
        """Write the report.

        Args:
            path: a name that ends in `.json` for what `baseline=` and `Report.load` read; any other name, such as
                `page.html`, for one self-contained page.

        Raises:
            RunError: where it cannot be written.
        """
        if Path(path).suffix.lower() == ".json":
            write_atomic(path, self.to_json() + "\n")
            return
        from judge.report.page import write_page

        write_page(self.data, path, robustness=[examined.data for examined in self.robustness])

    @classmethod
    def load(cls, path: str | Path) -> "Report":
        """A report that was saved as JSON, by this version or the one before.

        Raises:
            InputError: for a file that cannot be read or holds no report.
        """
        try:
            return cls(from_row(load_json(Path(path).read_text("utf-8"))))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, AttributeError) as error:
            raise InputError(f"{path}: no saved report of rmjudge: {error}") from None

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

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style and script touch nothing of the notebook's."""
        from judge.report.page import page

        examined = [part.data for part in self.robustness]
        source = escape(page(self.data, rows=FRAME_ROWS, robustness=examined), quote=True)
        size = f"width:100%;height:{FRAME_HEIGHT}px;border:0"
        return f'<iframe srcdoc="{source}" style="{size}" title="{escape(self.data.title, quote=True)}"></iframe>'

    def __rich__(self) -> "Group":
        from rich.console import Group

        from judge.report.terminal import drawing

        return Group(drawing(self.data), *self.robustness)
