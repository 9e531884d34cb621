"""From the paths of a command line to columns: runs, files of rmjudge's rows, and every other family of formats.

Nothing here computes a figure.
"""

import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from judge.agreement.build import AgreementConfig, Inputs
from judge.agreement.data.columns import Columns
from judge.agreement.data.sources import OwnFile, Rows, Source, read_human, read_judge, run_files
from judge.agreement.schema import Audit
from judge.agreement.serialization import audit_from_row, from_row, to_json
from judge.errors import ConfigError, InputError, unknown

T = TypeVar("T")
SAVED = "audit.json"
MANIFEST = "manifest.json"


def sources_of(path: str, format: str | None = None) -> list[Source]:
    """What a path holds: the files of a run, one file of our own rows, or another family's rows turned into ours."""
    place = Path(path)
    if place.is_dir():
        return [OwnFile(file, str(file), _checked) for file in run_files(place)]
    if not path.startswith("hf://") and not place.exists():
        raise InputError(f"{path}: no such file or run directory")
    if format is None and place.suffix in (".jsonl", ".ndjson") and _ours(place):
        return [OwnFile(place, path, _checked)]

    def make() -> Iterator[Mapping[str, Any]]:
        from judge.formats import read_records, to_row

        return (to_row(record) for _, record in read_records(path, format=format))

    return [Rows(make, path)]


def _checked(row: Mapping[str, Any]) -> None:
    """Read a row carefully, for what it says is wrong."""
    from judge.formats import from_row, judgement_from_row

    from_row(row)
    if row.get("judgement") is not None:
        judgement_from_row(row["judgement"])


def _ours(file: Path) -> bool:
    """Whether the first row has an id, a kind and messages, as rmjudge writes them."""
    with file.open("rb") as stream:
        line = stream.readline()
    try:
        row = json.loads(line)
    except ValueError:
        return False
    if not isinstance(row, dict) or not {"id", "kind", "prompt"} <= row.keys():
        return False
    return all(isinstance(row.get(name, []), list) for name in ("prompt", "first", "second", "response"))


def read(
    runs: Sequence[str], human: Sequence[str], *, key: str = "", format: str | None = None, wanted: Sequence[str] = ()
) -> Inputs:
    """Columns of all runs and of the people's labels, and the sources they came from."""
    # Millions of short-lived rows without a cycle among them: looking for cycles would take a third of the time.
    gc.disable()
    try:
        return _read(runs, human, key=key, format=format, wanted=wanted)
    finally:
        gc.enable()


def _read(runs: Sequence[str], human: Sequence[str], *, key: str, format: str | None, wanted: Sequence[str]) -> Inputs:
    columns, sources = Columns(key=key, wanted=tuple(dict.fromkeys(wanted))), list[Source]()
    own: list[list[int]] = []
    for path, name in zip(runs, names(runs), strict=True):
        found = sources_of(path)
        read_judge(columns, list(enumerate(found, len(sources))), name, labels=not human)
        own.append(list(range(len(sources), len(sources) + len(found))))
        sources += found
    for path in human:
        for source in sources_of(path, format):
            read_human(columns, len(sources), source)
            sources.append(source)
    return Inputs(columns, sources, own)


def names(paths: Sequence[str]) -> list[str]:
    """What to call each run: the last part of its path, with its folder where two share it."""
    short = [Path(path.rstrip("/")).name.removesuffix(".jsonl").removesuffix(".json") for path in paths]
    return [path if short.count(name) > 1 else name for name, path in zip(short, paths, strict=True)]


class Asked(NamedTuple):
    """What a command line names. baseline: a saved report; page: where the HTML goes."""

    runs: Sequence[str]
    human: Sequence[str]
    audits: Sequence[str]
    key: str
    format: str | None
    page: Path | None
    baseline: Path | None
    as_json: bool


def run(asked: Asked, settings: AgreementConfig) -> int:
    """Read, compute, and show; 1 when a figure is worse than the baseline's."""
    from judge.agreement.benchmarks.protocols import PROTOCOLS
    from judge.agreement.build import report

    before = saved(asked.baseline, from_row, "report") if asked.baseline else None
    audits = [audit_of(path) for path in asked.audits]
    for name in settings.benchmarks:
        if name not in PROTOCOLS:
            raise unknown("benchmark", name, PROTOCOLS)
    settings = replace(settings, triangle=_triangle(asked.runs, asked=settings.triangle))
    needed = [field for name in settings.benchmarks for field in PROTOCOLS[name].fields]
    wanted = [*settings.slices, *needed]
    inputs = read(asked.runs, asked.human, key=asked.key, format=asked.format, wanted=wanted)
    _check_fields(inputs, settings.slices)
    done = report(inputs, settings, before, audits)
    if asked.page:
        from judge.report.page import write_page

        write_page(done, asked.page)
    if asked.as_json:
        print(to_json(done))
    else:
        from rich.console import Console

        from judge.report.terminal import drawing

        Console(highlight=False).print(drawing(done))
    return 1 if any(change.worse for change in done.changes) else 0


def _check_fields(inputs: Inputs, names: Sequence[str]) -> None:
    """Raise InputError for a field to slice by that no row has."""
    for name in names:
        if not any(inputs.columns.fields.get(name, ())):
            rows = (row for source in inputs.sources for _, row in islice(source.rows(), 1))
            there = sorted({field for row in rows for field in row.get("meta") or {}})
            raise InputError(f"no row has a field '{name}' to slice by (fields: {', '.join(there) or 'none'})")


def _triangle(runs: Sequence[str], *, asked: bool) -> bool:
    """Whether to show people, judge and model beside each other: where asked for, and for a judge's run and a reward
    model's. A distilled model is seldom compared with anything else than its teacher."""
    if asked and len(runs) < 2:
        raise ConfigError("--triangle takes two runs: a judge's and that of a model made from it")
    return asked or [_scored(Path(run)) for run in runs] == [False, True]


def _scored(run: Path) -> bool:
    """Whether a run is a reward model's: its manifest says of what kind the model is."""
    try:
        config = json.loads((run / MANIFEST).read_text("utf-8"))["config"]
        return "kind" in config["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def saved(path: Path, of: Callable[[Any], T], what: str) -> T:
    """What a JSON file of rmjudge's holds."""
    try:
        return of(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path}: no saved {what} of rmjudge: {error}") from None


def audit_of(path: str) -> Audit:
    """The audit that lies in a run of `rmjudge audit`."""
    place = Path(path)
    return saved(place / SAVED if place.is_dir() else place, audit_from_row, "audit")
