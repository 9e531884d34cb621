"""The judged records of a run directory, in the order of their ids: whatever order they were finished in.

A torn last line is passed over, as a run that goes on does. This module refuses to know what is made of them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from judge.errors import InputError, RunError
from judge.files import from_json
from judge.formats import from_row, judgement_from_row
from judge.judgements import Judgement
from judge.records import Record
from judge.runs.journal import FAILURES, LABELS
from judge.runs.manifest import MANIFEST, read_manifest


class Judged(NamedTuple):
    """A record with what was said about it, and its place in the file."""

    place: str
    record: Record
    judgement: Judgement


def manifest_of(run: Path) -> dict[str, Any]:
    """The manifest of a run directory; RunError when it is none."""
    manifest = read_manifest(run)
    if manifest is None or not (run / LABELS).is_file():
        raise RunError(f"{run}: not a run directory (it has no {MANIFEST if manifest is None else LABELS})")
    return manifest


def judged(run: Path) -> Iterator[Judged]:
    """Every readable judgement, by id; raises InputError with file:line for a row that is none."""
    path = run / LABELS
    index: list[tuple[str, int, int]] = []
    with path.open("rb") as file:
        offset = 0
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                row = from_json(line, f"{path}:{number}")
                if not isinstance(row.get("id"), str) or not isinstance(row.get("judgement"), dict):
                    raise InputError(f"{path}:{number}: a row without 'id' and 'judgement'")
                index.append((row["id"], offset, number))
            offset += len(line)
        for _, start, number in sorted(index):
            file.seek(start)
            row = json.loads(file.readline())
            try:
                said = judgement_from_row(row.pop("judgement"))
                yield Judged(f"{path}:{number}", from_row(row), said)
            except (InputError, TypeError) as error:
                raise InputError(f"{path}:{number}: {error}") from None


def count_failures(run: Path) -> int:
    """How many records of a run could not be read."""
    path = run / FAILURES
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)
