"""What `judge.best_of` returns: a best-of-n report that knows how to be shown and saved, with the picks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from judge.agreement.best_of.schema import BestOf
from judge.agreement.schema import Figure, Flag
from judge.agreement.serialization import best_of_from_row, best_of_to_row
from judge.report import words
from judge.report.saved import SavedReport

if TYPE_CHECKING:
    from rich.console import Group


class BestOfReport(SavedReport):
    """The best of n by a reward against n, beside pass@n and votes, and the picks themselves.

    In a notebook it shows itself as its page, on a terminal `rich.print(report)` draws its tables.

    Attributes:
        data: every part of it, as plain immutable data.
        picks: the best response to each prompt, {prompt, completion, reward, of, margin}; not saved with it.
    """

    what = "best-of-n report"

    def __init__(self, data: BestOf, *, picks: Sequence[Mapping[str, Any]] = ()) -> None:
        self.data, self.picks = data, tuple(picks)

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Figures by name: "best_of/16", "pass/16", "share_of_way", "best_of_majority_difference", ..."""
        return self.data.figures

    @property
    def findings(self) -> tuple[Flag, ...]:
        """What is wrong, in words with its size."""
        return self.data.findings

    @property
    def wrong(self) -> bool:
        """Whether there is a finding."""
        return bool(self.findings)

    @property
    def headline(self) -> str:
        """What choosing is worth, in one sentence."""
        return words.best_of(self.data)

    @property
    def title(self) -> str:
        """The name of what gives the rewards."""
        return self.data.name

    def to_row(self) -> dict[str, Any]:
        """The whole report as JSON values."""
        return best_of_to_row(self.data)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "BestOfReport":
        """A report from its JSON values, without picks. Raises ValueError for what is none."""
        return cls(best_of_from_row(row))

    def to_html(self, *, rows: int | None = None) -> str:
        """One self-contained page; it has no rows of the data."""
        from judge.report.page import best_of_page

        return best_of_page(self.data)

    def __repr__(self) -> str:
        return "\n".join(self._lines()).replace(words.THIN, " ").replace(words.STAYS, " ")

    def _lines(self) -> Iterator[str]:
        yield f"BestOfReport: {words.printable(self.data.name)}: {self.headline}"
        for figure in (*self.data.summary, *self.data.search):
            spans = f" ({words.span(figure)})" if figure.low is not None else ""
            yield f"  {figure.title}: {words.value(figure)}{spans}, {words.basis(figure)}"
        for flag in words.by_severity(self.findings):
            yield f"  {words.SEVERITY_OF[flag.severity]}: {flag.what}"

    def __rich__(self) -> "Group":
        from judge.report.terminal import best_of

        return best_of(self.data)
