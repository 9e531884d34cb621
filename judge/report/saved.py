"""What every report can do: be saved as JSON or as a page, be loaded again, and show itself in a notebook."""

from abc import ABC, abstractmethod
from html import escape
from pathlib import Path
from typing import Any, ClassVar, Self

from judge.errors import InputError
from judge.files import to_json, write_atomic
from judge.json_input import load_json

FRAME_HEIGHT = 720


class SavedReport(ABC):
    """A report over plain data that is saved, loaded and shown.

    Attributes:
        what: what a file that cannot be loaded is not.
    """

    what: ClassVar[str] = "report"

    @property
    @abstractmethod
    def title(self) -> str:
        """What the report is about, in a few words."""

    @abstractmethod
    def to_row(self) -> dict[str, Any]:
        """The whole report as JSON values."""

    @classmethod
    @abstractmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """A report from its JSON values. Raises ValueError for what is none."""

    @abstractmethod
    def to_html(self, *, rows: int | None = None) -> str:
        """One self-contained page. rows: the most rows of data that are on it; None for as many as a file takes."""

    def to_json(self) -> str:
        """The whole report as one line of JSON."""
        return to_json(self.to_row())

    def save(self, path: str | Path) -> None:
        """Write the report.

        Args:
            path: a name that ends in `.json` for what `load` (and `judge.agree(baseline=...)`) reads; any other name,
                such as `page.html`, for one self-contained page.

        Raises:
            RunError: where it cannot be written.
        """
        is_json = Path(path).suffix.lower() == ".json"
        write_atomic(path, self.to_json() + "\n" if is_json else self.to_html())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A report that was saved as JSON, by this version or an earlier one.

        Raises:
            InputError: for a file that cannot be read or holds no such report.
        """
        try:
            return cls.from_row(load_json(Path(path).read_text("utf-8")))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: no saved {cls.what} of rmjudge: {error}") from None

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style and script touch nothing of the notebook's."""
        source, title = (escape(text, quote=True) for text in (self.to_html(rows=200), self.title))
        return (
            f'<iframe srcdoc="{source}" style="width:100%;height:{FRAME_HEIGHT}px;border:0" title="{title}"></iframe>'
        )
