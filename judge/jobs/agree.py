"""`judge.agree`: can these judges, or these reward models, stand in for people?"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.agreement.data.columns import Columns
from judge.agreement.data.sources import OwnFile, Rows, Source, read_human, read_judge, run_files
from judge.agreement.data.verdict_lines import is_verdict_lines, verdict_lines
from judge.agreement.schema import Audit
from judge.agreement.serialization import AUDIT_FILE, audit_from_row
from judge.errors import ConfigError, InputError, unknown
from judge.files import read_rows
from judge.formats import BadRow, OnBad, from_row, judgement_from_row, to_row
from judge.json_input import load_json
from judge.locations.remote_files import is_remote, local_path
from judge.report.report import Report
from judge.report.robustness import RobustnessReport
from judge.run_files import MANIFEST, is_skipped
from judge.runs.data import Data, DataSource, FileSource, RowSource, open_data
from judge.runs.reader import Run, first_row, open_run, skipped_in
from judge.secrets import mask_secrets

if TYPE_CHECKING:
    from judge.agreement.build import Inputs

TEXTS = ("prompt", "first", "second", "response")


def agree(
    runs: Data | None = None,
    *,
    human: Data | None = None,
    key: str = "",
    format: str | None = None,
    skip_bad: bool = False,
    slices: Sequence[str] = (),
    benchmark: str | Sequence[str] = (),
    audit: "str | Path | Audit | Sequence[str | Path | Audit]" = (),
    robustness: "str | Path | RobustnessReport | Sequence[str | Path | RobustnessReport]" = (),
    baseline: "str | Path | Report | None" = None,
    resamples: int = 1_000,
    seed: int = 0,
    epsilon: float = 0.1,
    margin: float = 0.05,
    shown: int = 500,
    triangle: bool = False,
) -> Report:
    """Measure how far judges, or reward models, agree with people; or people among themselves.

    Args:
        runs: a judge's run: its directory, a `Run`, a file of verdicts, rows in memory; or a sequence of such
            directories, runs and files, which are compared. Without one people are compared with each other.
        human: the people's labels, as data in any format; those in the runs where none is given.
        key: a field of `meta` that joins rows, instead of their id.
        format: the family of formats of `human`, where it is not to be recognised.
        skip_bad: rows of data that cannot be read are left out, counted and named in a note; else they end it.
        slices: fields of the rows; agreement is given for each of their values, too.
        benchmark: published protocols to count by, such as "rewardbench".
        audit: audits of the same judges, or the runs of `rmjudge audit` that hold them, shown beside.
        robustness: reports of `judge.robustness` on the same models, or where they were saved as JSON, shown beside.
        baseline: an earlier report, or where it was saved as JSON; `report.worse` says whether a figure fell.
        resamples: draws of the bootstrap; 0 gives figures without intervals.
        seed: every draw follows from it.
        epsilon: the allowance of the alternative-annotator test.
        margin: agreement this close to people's counts as equivalent.
        shown: how many rows of disagreement the report carries.
        triangle: the second run is a model made from the first one's judge.

    Returns:
        The report.

    Raises:
        InputError: for what cannot be read, and where judges and people have no row in common.
        ConfigError: for options that do not fit each other.
    """
    from judge.agreement.benchmarks.protocols import PROTOCOLS
    from judge.agreement.build import AgreementConfig
    from judge.agreement.build import report as build_report

    benchmarks = (benchmark,) if isinstance(benchmark, str) else tuple(benchmark)
    for name in benchmarks:
        if name not in PROTOCOLS:
            raise unknown("benchmark", name, PROTOCOLS)
    before = baseline if isinstance(baseline, Report) or baseline is None else Report.load(baseline)
    audits = [_audit_of(item) for item in ([audit] if isinstance(audit, str | Path | Audit) else audit)]
    examined = [
        part if isinstance(part, RobustnessReport) else RobustnessReport.load(part)
        for part in ([robustness] if isinstance(robustness, str | Path | RobustnessReport) else robustness)
    ]
    judged = _several(runs)
    if not judged:
        _check_people_alone(human, {"slices": slices, "benchmark": benchmarks, "audit": audits, "triangle": triangle})
    config = AgreementConfig(
        resamples=resamples,
        seed=seed,
        epsilon=epsilon,
        margin=margin,
        shown=shown,
        slices=tuple(slices),
        triangle=_is_triangle(judged, asked_for=triangle),
        benchmarks=benchmarks,
    )
    wanted = [*config.slices, *(field for name in benchmarks for field in PROTOCOLS[name].fields)]
    inputs = read_inputs(judged, _several(human), key=key, format=format, skip_bad=skip_bad, wanted=wanted)
    _check_fields(inputs, config.slices)
    return Report(build_report(inputs, config, before.data if before else None, audits), examined)


def _check_people_alone(human: Any, asked_for: Mapping[str, object]) -> None:
    """Raise ConfigError for what needs a judge's run."""
    if human is None:
        raise ConfigError("nothing to compare: name a judge's run, or people's labels with --human (human=)")
    for name, value in asked_for.items():
        if value:
            raise ConfigError(f"{name} needs a judge's run: people's labels alone are compared with each other")


def _several(data: Any) -> list[Any]:
    """The parts of data: each of a sequence of paths or runs, or the one thing that it is."""
    if data is None:
        return []
    if isinstance(data, str | Path | Run) or not isinstance(data, Sequence):
        return [data]
    return [data] if data and all(isinstance(row, Mapping) for row in data) else list(data)


def read_inputs(
    runs: Sequence[Any],
    human: Sequence[Any],
    *,
    key: str = "",
    format: str | None = None,
    skip_bad: bool = False,
    wanted: Sequence[str] = (),
) -> "Inputs":
    """Columns of all runs and of the people's labels, and the sources that they came from."""
    # Millions of short-lived rows without a cycle among them: looking for cycles would take a third of the time.
    gc.disable()
    try:
        return _read_inputs(runs, human, key=key, format=format, skip_bad=skip_bad, wanted=wanted)
    finally:
        gc.enable()


def _read_inputs(
    runs: Sequence[Any], human: Sequence[Any], *, key: str, format: str | None, skip_bad: bool, wanted: Sequence[str]
) -> "Inputs":
    from judge.agreement.build import Inputs

    columns = Columns(key=key, wanted=tuple(dict.fromkeys(wanted)))
    skipped: dict[str, BadRow] = {}  # by place: a source is read more than once
    on_bad = (lambda bad: skipped.setdefault(bad.place, bad)) if skip_bad else None
    sources: list[Source] = []
    sources_by_run: list[list[int]] = []
    for run, name in zip(runs, names_of(runs), strict=True):
        if is_verdict_lines(run):
            of_run = [verdict_lines(run, [part for labels in human for part in sources_of(labels, format, on_bad)])]
        else:
            of_run = sources_of(run, on_bad=on_bad)
        numbers = range(len(sources), len(sources) + len(of_run))
        read_judge(columns, list(zip(numbers, of_run, strict=True)), name, labels=not human)
        skipped |= {bad.place: bad for bad in skipped_of(run)}
        sources_by_run.append(list(numbers))
        sources += of_run
    for labels in human:
        for source in sources_of(labels, format, on_bad):
            read_human(columns, len(sources), source)
            sources.append(source)
    return Inputs(columns, sources, sources_by_run, list(skipped))


def skipped_of(run: Any) -> Iterator[BadRow]:
    """The rows of the data that a run was made without."""
    directory = run.directory if isinstance(run, Run) else run
    return skipped_in(Path(directory)) if isinstance(directory, str | Path) else iter(())


def sources_of(data: Any, format: str | None = None, on_bad: OnBad | None = None) -> list[Source]:
    """The files of a run, a file of our own rows, or rows of any other family turned into ours."""
    path = data.directory if isinstance(data, Run) else data
    if not isinstance(path, str | Path):
        return [_rows_in_memory(data, format, on_bad)]
    if is_remote(path):
        return [_rows_elsewhere(source, format, on_bad) for source in open_data(path)]
    path = local_path(str(path))
    place = Path(path)
    if place.is_dir():
        return [OwnFile(file, str(file), _check_row) for file in run_files(place)]
    if (
        format is None
        and not on_bad
        and place.suffix in (".jsonl", ".ndjson")
        and place.is_file()
        and _is_own_file(place)
    ):
        return [OwnFile(place, path, _check_row)]
    sources = open_data(path)
    for source in sources:
        if not source.streamed and not Path(source.name).exists():
            raise InputError(f"{source.name}: no such file or run directory")
    return [_rows_of(source, format, on_bad) for source in sources]


def _rows_elsewhere(source: DataSource, format: str | None, on_bad: OnBad | None) -> Source:
    """The rows of a URL, with their judgements where these are rows of a run."""
    assert isinstance(source, FileSource)
    path = source.path

    def judged() -> Iterator[dict[str, Any]]:
        return (row for _, row in read_rows(path) if not is_skipped(row))

    if format is None and not on_bad and _is_own_row(next(judged(), {})):
        return Rows(judged, source.name, _check_row)
    return _rows_of(source, format, on_bad)


def _rows_in_memory(table: Any, format: str | None, on_bad: OnBad | None) -> Source:
    (source,) = open_data(table)
    first = next(iter(table), None)
    if format is None and not on_bad and isinstance(first, Mapping) and _is_own_row(first):
        return Rows(lambda: iter(table), source.name, _check_row)
    if isinstance(source, RowSource) and isinstance(first, Mapping) and "judgement" in first:
        return Rows(lambda: _with_judgements(source, table), source.name)
    return _rows_of(source, format, on_bad)


def _with_judgements(source: RowSource, table: Any) -> Iterator[dict[str, Any]]:
    """Rows written by hand, their records made whole, each with its judgement."""
    for placed, row in zip(source.records("rmjudge"), table, strict=True):
        yield to_row(placed.record) | {"judgement": row["judgement"]}


def _rows_of(source: DataSource, format: str | None, on_bad: OnBad | None) -> Source:
    def make() -> Iterator[Mapping[str, Any]]:
        return (to_row(record) for _, record in source.records(format, on_bad))

    return Rows(make, source.name)


def _check_row(row: Mapping[str, Any]) -> None:
    """Read a row carefully; raises InputError for what is wrong with it."""
    from_row(row)
    if row.get("judgement") is not None:
        judgement_from_row(row["judgement"])


def _is_own_file(file: Path) -> bool:
    row = first_row(file)
    return isinstance(row, dict) and _is_own_row(row)


def _is_own_row(row: Mapping[str, Any]) -> bool:
    """Whether a row has an id, a kind and messages, as rmjudge writes them."""
    return {"id", "kind", "prompt"} <= row.keys() and all(isinstance(row.get(name, []), list) for name in TEXTS)


def names_of(runs: Sequence[Any]) -> list[str]:
    """What to call each run: the last part of its path, with its folder where two share it."""
    paths = [str(run.directory) if isinstance(run, Run) else run for run in runs]
    full_names = [
        mask_secrets(str(path)) if isinstance(path, str | Path) else "judge" if len(runs) == 1 else f"judge {number}"
        for number, path in enumerate(paths, start=1)
    ]
    short = [Path(name.rstrip("/")).name.removesuffix(".jsonl").removesuffix(".json") for name in full_names]
    return [name if short.count(last) > 1 else last for last, name in zip(short, full_names, strict=True)]


def _check_fields(inputs: "Inputs", names: Sequence[str]) -> None:
    """Raise InputError for a field to slice by that no row has."""
    for name in names:
        if not any(inputs.columns.fields.get(name, ())):
            rows = (row for source in inputs.sources for _, row in islice(source.rows(), 1))
            known = sorted({field for row in rows for field in row.get("meta") or {}})
            raise InputError(f"no row has a field '{name}' to slice by (fields: {', '.join(known) or 'none'})")


def _is_triangle(runs: Sequence[Any], *, asked_for: bool) -> bool:
    """Whether to show people, judge and model beside each other: where asked for, and for a judge's run and a reward
    model's. A distilled model is seldom compared with anything else than its teacher."""
    if asked_for and len(runs) < 2:
        raise ConfigError("--triangle takes two runs: a judge's and that of a model made from it")
    return asked_for or [_is_scored(run) for run in runs] == [False, True]


def _is_scored(run: Any) -> bool:
    """Whether a run is a reward model's: its manifest says of what kind the model is."""
    if not isinstance(run, Run):
        if not isinstance(run, str | Path) or not (Path(run) / MANIFEST).is_file():
            return False
        run = open_run(run)
    model = run.config.get("model")
    return isinstance(model, dict) and "kind" in model


def _audit_of(audit: "str | Path | Audit") -> Audit:
    """An audit, or the one that lies in a run of `rmjudge audit`."""
    if isinstance(audit, Audit):
        return audit
    path = Path(audit)
    file = path / AUDIT_FILE if path.is_dir() else path
    try:
        return audit_from_row(load_json(file.read_text("utf-8")))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, AttributeError) as error:
        raise InputError(f"{file}: no saved audit of rmjudge: {error}") from None
