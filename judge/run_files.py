"""The files of a run directory, and the lines of its row files; a last line that a kill tore is passed over."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from judge.errors import InputError
from judge.files import LABELS, from_json

__all__ = ["FAILURES", "LABELS", "MANIFEST", "ROW_FILES", "RowLine", "read_lines", "row_files"]

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
    """Every row of a row file, in the order of the file; raises InputError for a line that is no row of a run."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n") and not _is_json(line):
                return
            place = f"{path}:{number}"
            if not line.isspace():
                row = from_json(line, place)
                if not isinstance(row.get("id"), str) or not isinstance(row.get("judgement"), dict):
                    raise InputError(f"{place}: a row without 'id' and 'judgement'")
                yield RowLine(place, offset, row)
            offset += len(line)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
