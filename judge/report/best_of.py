"""What `judge.best_of` returns: a best-of-n report that knows how to be shown and saved, with the picks."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.agreement.best_of.schema import BestOf
from judge.agreement.schema import Figure, Flag
from judge.agreement.serialization import best_of_from_row, best_of_to_row
from judge.errors import InputError
from judge.files import to_json, write_atomic
from judge.json_input import load_json
from judge.report import words

if TYPE_CHECKING:
    from rich.console import Group

FRAME_HEIGHT = 720


class BestOfReport:
    """The best of n by a reward against n, beside pass@n and votes, and the picks themselves.

    In a notebook it shows itself as its page, on a terminal `rich.print(report)` draws its tables.

    Attributes:
        data: every part of it, as plain immutable data.
        picks: the best response to each prompt, {prompt, completion, reward, of, margin}; not saved with it.
    """

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

    def to_row(self) -> dict[str, Any]:
        """The whole report as JSON values."""
        return best_of_to_row(self.data)

    def to_json(self) -> str:
        """The whole report as one line of JSON."""
        return to_json(self.to_row())

    def save(self, path: str | Path) -> None:
        """Write the report.

        Args:
            path: a name that ends in `.json` for what `BestOfReport.load` reads; any other name, such as `page.html`,
                for one self-contained page.

        Raises:
            RunError: where it cannot be written.
        """
        if Path(path).suffix.lower() == ".json":
            write_atomic(path, self.to_json() + "\n")
            return
        from judge.report.page import best_of_page

        write_atomic(path, best_of_page(self.data))

    @classmethod
    def load(cls, path: str | Path) -> "BestOfReport":
        """A report that was saved as JSON.

        Raises:
            InputError: for a file that cannot be read or holds no such report.
        """
        try:
            return cls(best_of_from_row(load_json(Path(path).read_text("utf-8"))))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, AttributeError) as error:
            raise InputError(f"{path}: no saved best-of-n report of rmjudge: {error}") from None

    def __repr__(self) -> str:
        return "\n".join(self._lines()).replace(words.THIN, " ").replace(words.STAYS, " ")

    def _lines(self) -> Iterator[str]:
        yield f"BestOfReport: {words.printable(self.data.name)}: {self.headline}"
        for figure in (*self.data.summary, *self.data.search):
            spans = f" ({words.span(figure)})" if figure.low is not None else ""
            yield f"  {figure.title}: {words.value(figure)}{spans}, {words.basis(figure)}"
        for flag in words.by_severity(self.findings):
            yield f"  {words.SEVERITY_OF[flag.severity]}: {flag.what}"

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style touches nothing of the notebook's."""
        from judge.report.page import best_of_page

        source = escape(best_of_page(self.data), quote=True)
        size = f"width:100%;height:{FRAME_HEIGHT}px;border:0"
        return f'<iframe srcdoc="{source}" style="{size}" title="{escape(self.data.name, quote=True)}"></iframe>'

    def __rich__(self) -> "Group":
        from judge.report.terminal import best_of

        return best_of(self.data)
