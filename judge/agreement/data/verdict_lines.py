"""A judge's output that is a verdict a line and nothing else, as Auto-J's evaluation takes it: {"output": 0}, 1 or 2.

Its lines have no texts and no ids; each judges the pair that stands in the same place of the data.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from judge.agreement.data.columns import Row
from judge.agreement.data.sources import Rows, Source
from judge.errors import InputError
from judge.files import read_rows

FIELD = "output"
_VERDICTS = {0: "first", 1: "second", 2: "tie"}


def is_verdict_lines(run: Any) -> bool:
    """Whether a run is a file whose first row has a verdict and no texts."""
    if not isinstance(run, str | Path) or not Path(run).is_file():
        return False
    try:
        _, row = next(read_rows(run), ("", {}))
    except InputError:
        return False
    return row.get(FIELD) in _VERDICTS and not {"prompt", "kind", "response 1"} & row.keys()


def verdict_lines(path: str | Path, people: Sequence[Source]) -> Source:
    """The pairs of the people's files, each judged by the line of a file of verdicts in its place.

    Raises:
        InputError: without a people's file; from its rows, where the two differ in length or a line is no verdict.
    """
    if not people:
        raise InputError(
            f"{path}: verdicts without the pairs they are about; name the data that was judged with --human"
        )

    def judged() -> Iterator[Row]:
        pairs = (row for source in people for _, row in source.rows())
        for number, (read, row) in enumerate(zip_longest(read_rows(path), pairs), start=1):
            if read is None or row is None:
                more, fewer = ("pairs", "verdicts") if read is None else ("verdicts", "pairs")
                raise InputError(
                    f"{path}: fits the data line by line, which holds more {more} than {fewer} ({number - 1:,})"
                )
            place, line = read
            yield _judged(place, line, row)

    return Rows(judged, str(path))


def _judged(place: str, line: Row, row: Row) -> Row:
    verdict = line.get(FIELD)
    if verdict is not None and verdict not in _VERDICTS:
        raise InputError(f"{place}: field '{FIELD}': found {verdict!r} (accepted: 0 the first, 1 the second, 2 a tie)")
    judgement = {"task": "preference", "verdict": None if verdict is None else _VERDICTS[verdict]}
    return {**row, "human": [], "judgement": judgement}
