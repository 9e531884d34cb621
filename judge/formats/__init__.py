"""Families of data sets: which one a file is, and its rows as records.

`read_records` recognises a family by the fields of the first row. When several fit, the more special one is taken (each
family names those it stands over); when that does not decide, the error names them and `--format NAME` does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from judge.errors import ConfigError, InputError, unknown
from judge.files import scan_rows
from judge.formats import (
    chat,
    finegrained,
    gsm8k,
    hh,
    hhh,
    judge_bench,
    mistakes,
    mrben,
    mtbench,
    nemo,
    pairs,
    pandalm,
    prm800k,
    prompts,
    rewardbench,
    rmjudge,
    rubric,
    shepherd,
    trl,
    ultrafeedback,
    unieval,
    votes,
)
from judge.formats.base import Format, Row
from judge.formats.chat import openai_messages, sharegpt_turns, tools_of
from judge.formats.fields import need
from judge.formats.judgement_rows import judgement_from_row, judgement_to_row
from judge.formats.rmjudge import from_row, to_row
from judge.records import Record, Rubric
from judge.registry import Registry
from judge.run_files import is_skipped

__all__ = [
    "FORMATS",
    "BadRow",
    "Format",
    "OnBad",
    "Placed",
    "choose",
    "from_row",
    "judgement_from_row",
    "judgement_to_row",
    "named",
    "openai_messages",
    "read_records",
    "recognise",
    "records_from",
    "records_of",
    "sharegpt_turns",
    "to_row",
    "tools_of",
]

_MODULES = (
    rmjudge,
    trl,
    hh,
    nemo,
    ultrafeedback,
    rewardbench,
    pairs,
    pandalm,
    mtbench,
    finegrained,
    hhh,
    unieval,
    prm800k,
    shepherd,
    mistakes,
    mrben,
    gsm8k,
    prompts,
    chat,
    votes,
    judge_bench,
    rubric,
)


def _check(name: str, plugin: Any) -> Format:
    if not isinstance(plugin, Format):
        raise ConfigError(f"a format is a judge.formats.Format, found {type(plugin).__name__}")
    if plugin.name != name:
        raise ConfigError(f"the Format calls itself '{plugin.name}'")
    return plugin


FORMATS: Registry[Format] = Registry(
    "rmjudge.formats", {family.name: family for module in _MODULES for family in module.FORMATS}, _check
)
"""Name -> family; packages outside add to it by entry points of the group `rmjudge.formats`."""


class Placed(NamedTuple):
    """A record and where it was read: `file:line`. Several records of one row share their place."""

    place: str
    record: Record


class BadRow(NamedTuple):
    """A row that cannot be read: its place `file:line`, and what is wrong with it."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


OnBad = Callable[[BadRow], object]
"""Is told of each row that cannot be read, which is then left out."""

SHOWN_BAD_ROWS = 20
RECOGNISED_WITHIN = 100
"""Of data whose first rows fit no family so many are looked at before the first one is named alone."""


def read_records(path: str | Path, *, format: str | None = None, on_bad: OnBad | None = None) -> Iterator[Placed]:
    """The records of a file, a glob or a hub name, streaming.

    Args:
        path: What holds the rows.
        format: The name of a family, with the data's own field names where they differ (see `named`); None recognises
            it from the first row that can be read.
        on_bad: Is told of each row that is wrong, which is then left out. Without it the first such row ends the
            reading, with the other wrong ones of the file in the message.

    Raises:
        InputError: The file cannot be read, or a row is wrong: `file:line: …`.
    """
    return _read(scan_rows(path), str(path), named(format) if format else None, on_bad)


def records_from(
    rows: Iterable[tuple[str, Row | InputError]],
    *,
    name: str,
    format: str | None = None,
    on_bad: OnBad | None = None,
) -> Iterator[Placed]:
    """The records of rows with their places, read as those of a file; `name` is what an error calls the whole."""
    return _read(rows, name, named(format) if format else None, on_bad)


def _read(
    rows: Iterable[tuple[str, Row | InputError]],
    name: str,
    family: Format | None,
    on_bad: OnBad | None,
) -> Iterator[Placed]:
    empty = True
    rows = iter(rows)
    for place, row in rows:
        empty = False
        if not isinstance(row, InputError) and is_skipped(row):
            continue
        try:
            family = family or choose(_whole(row), place)
            records = records_of(family, _whole(row), place)
        except InputError as error:
            if on_bad is None:
                raise _bad_rows(name, place, error, rows, family) from None
            on_bad(_bad_row(place, error))
            continue
        yield from (Placed(place, record) for record in records)
    if empty:
        raise InputError(f"{name}: no rows in it")


def _whole(row: Row | InputError) -> Row:
    if isinstance(row, InputError):
        raise row
    return row


def _bad_row(place: str, error: InputError) -> BadRow:
    return BadRow(place, str(error).removeprefix(f"{place}: "))


def _bad_rows(
    path: str, place: str, first: InputError, rows: Iterator[tuple[str, Row | InputError]], family: Format | None
) -> InputError:
    """The error that names a wrong row, and with it every other one that follows; of the hub the first alone, and of
    data in which no family is recognised."""
    if path.startswith("hf://"):
        return first
    bad = [_bad_row(place, first)]
    for later, row in rows:
        if family is None and len(bad) == RECOGNISED_WITHIN:
            return first
        try:
            family = family or choose(_whole(row), later)
            records_of(family, _whole(row), later)
        except InputError as error:
            bad.append(_bad_row(later, error))
    return bad_rows_error(path, bad) if len(bad) > 1 and family is not None else first


def bad_rows_error(path: str, bad: Sequence[BadRow]) -> InputError:
    """One error for all rows of a file that cannot be read; the first SHOWN_BAD_ROWS are named."""
    lines = [f"{path}: {len(bad):,} rows cannot be read (--skip-bad leaves them out)"]
    lines += [f"  {row}" for row in bad[:SHOWN_BAD_ROWS]]
    if len(bad) > SHOWN_BAD_ROWS:
        lines.append(f"  … and {len(bad) - SHOWN_BAD_ROWS:,} more (rmjudge data show {path} --json lists them all)")
    return InputError("\n".join(lines))


def records_of(family: Format, row: Row, place: str) -> list[Record]:
    """The records of one row; raises InputError that begins with `place`."""
    try:
        records = list(family.read(row))
        if any(name in row for name in rubric.COLUMNS) and not any(record.rubric for record in records):
            items = rubric.rubric_of(row)
            return [_with_rubric(record, items) for record in records] if items else records
        return records
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _with_rubric(record: Record, items: Rubric) -> Record:
    """The record of a family that knows no rubric, with the one of its row's column."""
    meta = {name: value for name, value in record.meta.items() if name not in rubric.COLUMNS}
    return replace(record, rubric=items, meta=meta)


def named(name: str) -> Format:
    """The family of that name; raises UnknownNameError with the nearest.

    `NAME:field=source,…` reads fields from others: `trl-preference:prompt=question,chosen=good` for data whose
    prompt stands in `question`. With `rmjudge`, `human=Column` names a column of one person's labels, and may stand
    several times: `rmjudge:prompt=question,response=answer,human=Ann,human=Bob`.
    """
    base, _, renames = name.partition(":")
    if base not in FORMATS:
        raise unknown("format", base, FORMATS)
    family = FORMATS[base]
    if not renames:
        return family
    sources: dict[str, str] = {}
    labels: list[str] = []
    for part in renames.split(","):
        field, equals, source = part.partition("=")
        if not (field and equals and source):
            raise ConfigError(f"format '{name}': found '{part}' (accepted: {base}:field=source,field=source)")
        if base == rmjudge.NAME and field == "human":
            labels.append(source)
        else:
            sources[field] = source
    if labels:
        return replace(family, read=lambda row: [rmjudge.from_table(_renamed(row, sources), labels)])
    return replace(family, read=lambda row: family.read(_renamed(row, sources)))


def _renamed(row: Row, sources: dict[str, str]) -> Row:
    renamed = {field: need(row, source) for field, source in sources.items()}
    return {name: value for name, value in row.items() if name not in sources.values()} | renamed


def recognise(row: Row) -> list[str]:
    """The names of the families that a row fits; more than one when none of them is the more special."""
    fitting = [family for family in FORMATS.values() if all(name in row for name in family.fields) and family.fits(row)]
    less_special = {name for family in fitting for name in family.over}
    return [family.name for family in fitting if family.name not in less_special]


def choose(row: Row, place: str) -> Format:
    """The one family that a row fits; raises InputError when it is none or several."""
    names = recognise(row)
    if len(names) == 1:
        return FORMATS[names[0]]
    if names:
        flags = " or ".join(f"--format {name}" for name in names)
        raise InputError(f"{place}: the fields fit {' and '.join(names)}; choose with {flags}")
    names_in_row = ", ".join(map(str, row)) or "none"
    raise InputError(f"{place}: no format fits the fields {names_in_row}{_nearest(row)} (all: rmjudge data formats)")


def _nearest(row: Row) -> str:
    """What the family lacks that shares most fields with a row, with the field that may be a misspelling."""
    scored = []
    for family in FORMATS.values():
        lacking = [name for name in family.fields if name not in row]
        if lacking:
            close = [near[0] for name in lacking if (near := get_close_matches(name, map(str, row), n=1, cutoff=0.75))]
            share = (len(family.fields) - len(lacking) + 0.5 * len(close)) / len(family.fields)
            scored.append((share, -len(lacking), family.name, lacking, close))
    share, _, name, lacking, close = max(scored)
    if share < 0.5:
        return ""
    hint = f", found '{close[0]}'" if close else ""
    return f"; nearest is {name}, which lacks '{lacking[0]}'{hint}"
