"""The one reader of run directories: what a run was made with, what it came to, and its judged records as objects."""

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from judge.errors import InputError, MissingExtraError, RunError
from judge.files import to_json
from judge.formats import BadRow, from_row, judgement_from_row
from judge.json_input import load_json
from judge.judgements import Judgement
from judge.records import Record
from judge.run_files import FAILURES, LABELS, MANIFEST, is_skipped, read_lines, read_skipped, row_files
from judge.runs.counts import Counts
from judge.runs.manifest import counts_of, read_manifest

if TYPE_CHECKING:
    import datasets

_CONTENT_ID = re.compile("[0-9a-f]{32}")


class Judged(NamedTuple):
    """A record with its judgement, and the place `file:line` of its row."""

    place: str
    record: Record
    judgement: Judgement


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Run:
    """A run directory. Iterating gives its readable judgements as `Judged`, in the order of their ids.

    Attributes:
        directory: where it lies.
        manifest: what it was made with and how far it has come, as manifest.json holds it.
        counts: what it has come to.
        seconds: how long the attempt took that this object is the result of; 0 for a run that was opened.
        written: further files that were made of it, with their numbers of rows.
    """

    directory: Path
    manifest: dict[str, Any]
    counts: Counts
    seconds: float = 0.0
    written: Mapping[str, int] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """What decides every row of the run."""
        config: dict[str, Any] = self.manifest.get("config", {})
        return config

    @cached_property
    def task(self) -> str:
        """The task of its judgements; "" for a run without any that does not say."""
        if "task" in self.config:
            return str(self.config["task"])
        first = next(self.rows(), None)
        return str(first["judgement"]["task"]) if first else ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The row files that are there: labels.jsonl, failures.jsonl."""
        return row_files(self.directory)

    def __iter__(self) -> Iterator[Judged]:
        path = self.directory / LABELS
        if not path.is_file():
            return
        with path.open("rb") as file:
            for offset, number in _in_id_order(path):
                file.seek(offset)
                yield _judged(f"{path}:{number}", load_json(file.readline()))

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of labels.jsonl as they stand in the file, in its order."""
        path = self.directory / LABELS
        return (line.row for line in read_lines(path)) if path.is_file() else iter(())

    def failures(self) -> Iterator[Judged]:
        """The judgements that could not be read, in the order of failures.jsonl."""
        path = self.directory / FAILURES
        return judged_in(path) if path.is_file() else iter(())

    def skipped(self) -> Iterator[BadRow]:
        """The rows of the data that could not be read, in the order of failures.jsonl."""
        return skipped_in(self.directory)

    def to_dataset(self) -> "datasets.Dataset":
        """The readable rows as a `datasets.Dataset`, in the order of their ids.

        A column whose values have no common type in Arrow (often `meta`) holds JSON texts.
        Raises MissingExtraError without the package datasets.
        """
        try:
            import datasets
        except ImportError:
            raise MissingExtraError("to_dataset() needs the package datasets: pip install datasets") from None
        rows = sorted(self.rows(), key=lambda row: str(row["id"]))
        names = list(dict.fromkeys(name for row in rows for name in row))
        return datasets.Dataset.from_dict({name: _column([row.get(name) for row in rows]) for name in names})

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self._figures())
        return f"Run('{self.directory}', task='{self.task}', {shown})"

    def _repr_html_(self) -> str:
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{value:,}</td></tr>" for name, value in self._figures())
        caption = f"{escape(self.task)}: {escape(str(self.directory))}"
        return f"<table><caption>{caption}</caption>{cells}</table>"

    def _figures(self) -> list[tuple[str, int]]:
        counts = self.counts
        figures = [("rows", counts.rows), *sorted(counts.verdicts.items()), ("unreadable", counts.unreadable)]
        if counts.skipped:
            figures.append(("skipped", counts.skipped))
        if counts.shortened:
            figures.append(("shortened", counts.shortened))
        if counts.both_orders:
            figures.append(("flips", counts.flips))
        return figures


def open_run(path: str | Path, *, needs_manifest: bool = True) -> Run:
    """Open a run directory.

    Args:
        path: the directory.
        needs_manifest: refuse one without manifest.json; else its manifest is empty and its rows are counted.

    Returns:
        The run; no row is read yet where the manifest has its counts.

    Raises:
        RunError: for a directory that holds no run.
    """
    directory = Path(path)
    if not row_files(directory):
        missing = LABELS if (directory / MANIFEST).is_file() else MANIFEST
        raise RunError(f"{directory}: not a run directory (it has no {missing})")
    if not needs_manifest and not (directory / MANIFEST).is_file():
        return Run(directory=directory, manifest={}, counts=_count(directory))
    manifest = read_manifest(directory)
    if manifest is None:
        raise RunError(f"{directory}: not a run directory (it has no {MANIFEST})")
    return Run(directory=directory, manifest=manifest, counts=counts_of(manifest))


def holds_judgements(path: str | Path) -> bool:
    """Whether a path is a run directory, or a JSONL file of a run's rows (its first row has a judgement)."""
    place = Path(path)
    if place.is_dir():
        return bool(row_files(place))
    if place.suffix not in (".jsonl", ".ndjson") or not place.is_file():
        return False
    row = first_row(place)
    return isinstance(row, dict) and isinstance(row.get("judgement"), dict)


def first_row(path: Path) -> Any:
    """The first row of a JSONL file that does not stand for a skipped one; None where it is no JSON."""
    with path.open("rb") as file:
        for line in file:
            try:
                row = load_json(line)
            except ValueError:
                return None
            if not (isinstance(row, dict) and is_skipped(row)):
                return row
    return None


def skipped_in(directory: Path) -> Iterator[BadRow]:
    """The rows of the data that a run directory's failures.jsonl lists as skipped."""
    path = directory / FAILURES
    rows = read_skipped(path) if path.is_file() else iter(())
    return (BadRow(str(row.get("place", "")), str(row.get("reason", ""))) for row in rows)


def judged_in(path: Path) -> Iterator[Judged]:
    """The judgements of one row file, in its order; raises InputError with the place of a row that is none."""
    return (_judged(line.place, line.row) for line in read_lines(path))


def _in_id_order(path: Path) -> Iterator[tuple[int, int]]:
    """The byte at which each judged row begins and its line number, in the order of the ids; 32 bytes of memory
    each."""
    import numpy as np

    ids, starts = bytearray(), array("q")
    for line in read_lines(path):
        row_id = line.row["id"]
        if not _CONTENT_ID.fullmatch(row_id):  # a row that was written by hand
            lines = sorted((line.row["id"], line.offset, _number(line.place)) for line in read_lines(path))
            yield from ((offset, number) for _, offset, number in lines)
            return
        ids += bytes.fromhex(row_id)
        starts.extend((line.offset, _number(line.place)))
    halves = np.frombuffer(ids, dtype=">u8").reshape(-1, 2)
    for row in np.lexsort((halves[:, 1], halves[:, 0])):
        yield starts[2 * row], starts[2 * row + 1]


def _number(place: str) -> int:
    return int(place.rpartition(":")[2])


def _judged(place: str, row: dict[str, Any]) -> Judged:
    try:
        judgement = judgement_from_row(row.pop("judgement"))
        return Judged(place, from_row(row), judgement)
    except (InputError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(f"{place}: {error}") from None


def _count(directory: Path) -> Counts:
    counts = Counts()
    for path in row_files(directory):
        for line in read_lines(path):
            counts.add_row(line.row, readable=path.name == LABELS)
        for row in read_skipped(path):
            counts.add_row(row, readable=False)
    return counts


def _column(values: Sequence[Any]) -> Sequence[Any]:
    import pyarrow

    try:
        kind = pyarrow.array(values).type
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError):
        kind = None
    if kind is None or (pyarrow.types.is_struct(kind) and not kind.num_fields):
        return [None if value is None else to_json(value) for value in values]
    return values
