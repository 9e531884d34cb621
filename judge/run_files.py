"""The files of a run directory, and the lines of its row files; a last line that a kill tore is passed over.

A line is a judged row or, in failures.jsonl, a row of the data that could not be read and was skipped:
`{"id", "kind": "bad", "place": "file:line", "reason"}`.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from judge.errors import InputError
from judge.files import from_json
from judge.json_input import load_json
from judge.locations.data_files import LABELS

__all__ = [
    "FAILURES",
    "LABELS",
    "MANIFEST",
    "ROW_FILES",
    "RowLine",
    "is_skipped",
    "read_lines",
    "read_skipped",
    "row_files",
    "skipped_row",
]

FAILURES = "failures.jsonl"
MANIFEST = "manifest.json"
ROW_FILES = (LABELS, FAILURES)


class RowLine(NamedTuple):
    """A row of a run, its place `file:line`, and the byte at which its line begins."""

    place: str
    offset: int
    row: dict[str, Any]


def row_files(directory: Path) -> tuple[Path, ...]:
    """The row files that a directory holds; none when it is no run directory."""
    return tuple(path for name in ROW_FILES if (path := directory / name).is_file())


def read_lines(path: Path) -> Iterator[RowLine]:
    """Every judged row of a row file, in its order; raises InputError for a line that is no row of a run."""
    return (line for line in _lines(path) if not is_skipped(line.row))


def read_skipped(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of the data that were skipped, as a row file lists them."""
    return (line.row for line in _lines(path) if is_skipped(line.row))


def skipped_row(place: str, reason: str, number: int) -> dict[str, Any]:
    """The line of a row of the data that could not be read, the number-th one. The place is not part of its id: the
    same data may lie elsewhere when a run is resumed."""
    content_id = blake2b(f"skipped\0{number}\0{reason}".encode(), digest_size=16).hexdigest()
    return {"id": content_id, "kind": "bad", "place": place, "reason": reason}


def is_skipped(row: Mapping[str, Any]) -> bool:
    """Whether a line stands for a row of the data that could not be read."""
    return row.get("kind") == "bad" and "judgement" not in row


def _lines(path: Path) -> Iterator[RowLine]:
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n") and not _is_json(line):
                return
            place = f"{path}:{number}"
            if not line.isspace():
                row = from_json(line, place)
                if not isinstance(row.get("id"), str) or not (
                    isinstance(row.get("judgement"), dict) or is_skipped(row)
                ):
                    raise InputError(f"{place}: a row without 'id' and 'judgement'")
                yield RowLine(place, offset, row)
            offset += len(line)


def _is_json(line: bytes) -> bool:
    try:
        load_json(line)
    except ValueError:
        return False
    return True
