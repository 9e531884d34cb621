"""From the words of `rmjudge distill` to settings and labelled records, and from a training to what is shown of it.

Nothing here trains anything.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from judge.errors import ConfigError, InputError
from judge.judgements import Judgement
from judge.records import Record
from judge.rewards.config import Settings, settings_with

if TYPE_CHECKING:
    from judge.rewards.distill import Distilled, Prepared

LABELS, FAILURES, MANIFEST = "labels.jsonl", "failures.jsonl", "manifest.json"
_SECONDS = 15.0


class Sources(NamedTuple):
    """What is learnt from: `labels` judge or human, and where it came from, for the model's own account."""

    labelled: Iterator[tuple[Record, Judgement | None]]
    labels: str
    parents: list[dict[str, Any]]


# ---- settings --------------------------------------------------------------------------------------------------------


def settings_from(given: Mapping[str, Any], pairs: Sequence[str]) -> Settings:
    """Settings of the options that were given and of `--set NAME=VALUE`; options named twice are refused."""
    import yaml

    chosen = {name: value for name, value in given.items() if value is not None}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {pair}: write --set NAME=VALUE")
        if name in chosen:
            raise ConfigError(f"--set {pair}: {name} is given twice")
        try:
            chosen[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            chosen[name] = value
    arguments = {name.partition(".")[2]: chosen.pop(name) for name in list(chosen) if name.startswith("loss.")}
    if arguments:
        chosen["loss_arguments"] = {**chosen.get("loss_arguments", {}), **arguments}
    chosen["backbone"] = backbone(str(chosen.get("backbone") or ""))
    return settings_with(Settings(), chosen)


def backbone(name: str) -> str:
    """`tiny` is the embedded judge's reader; all else stays as it is. A path that is not there is named at once."""
    if name == "tiny":
        from judge.tiny import READER

        return str(READER)
    if name.startswith(("/", "./", "../", "~")) and not Path(name).expanduser().is_dir():
        raise InputError(f"--backbone {name}: no such directory")
    return str(Path(name).expanduser()) if name.startswith("~") else name


# ---- sources ---------------------------------------------------------------------------------------------------------


def sources_from(paths: Sequence[str], labels: str | None, format: str | None) -> Sources:
    """Records with their judgements (of runs) or labels (of data files), read when they are asked for."""
    from judge.rewards.data.examples import LABELS as KINDS

    if labels and labels not in KINDS:
        from judge.errors import unknown

        raise unknown("value of --labels", labels, KINDS)
    runs = [_is_judged(path) for path in paths]
    if not labels:
        if len(set(runs)) == 2:
            raise ConfigError("some sources are runs and some are data files; say --labels judge or --labels human")
        labels = "judge" if runs[0] else "human"

    def read() -> Iterator[tuple[Record, Judgement | None]]:
        for path, run in zip(paths, runs, strict=True):
            yield from _judged(path) if run else _plain(path, format)

    return Sources(read(), labels, [_parent(path, run) for path, run in zip(paths, runs, strict=True)])


def _is_judged(path: str) -> bool:
    """Whether a source is a run directory, or a file of a run's rows."""
    place = Path(path)
    if place.is_dir():
        if (place / LABELS).is_file():
            return True
        raise InputError(f"{path}: not a run directory (it has no {LABELS})")
    if path.startswith("hf://"):
        return False
    if not place.exists():
        raise InputError(f"{path}: no such file or run directory")
    if place.suffix not in (".jsonl", ".ndjson"):
        return False
    with place.open("rb") as file:
        line = file.readline()
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and isinstance(row.get("judgement"), dict)


def _judged(path: str) -> Iterator[tuple[Record, Judgement | None]]:
    from judge.files import read_rows
    from judge.formats import from_row, judgement_from_row
    from judge.runs.reader import open_run

    place = Path(path)
    if place.is_dir():
        for one in open_run(place, needs_manifest=False):
            yield one.record, one.judgement
        place = place / FAILURES  # what could not be read is counted with the rest
        if not place.is_file() or not place.stat().st_size:
            return
    for at, row in read_rows(place):
        try:
            yield from_row(row), judgement_from_row(row.pop("judgement"))
        except (InputError, TypeError, KeyError) as error:
            raise InputError(f"{at}: no row of a run: {error}") from None


def _plain(path: str, format: str | None) -> Iterator[tuple[Record, Judgement | None]]:
    from judge.formats import read_records

    for _, record in read_records(path, format=format):
        yield record, None


def _parent(path: str, run: bool) -> dict[str, Any]:
    """What traces a model back to its labels: where they lay, their hash, and who gave them."""
    from judge.files import file_hash

    place = Path(path)
    file = place / LABELS if place.is_dir() else place
    found: dict[str, Any] = {"kind": "run" if run else "data", "path": path}
    if file.is_file():
        found["hash"] = file_hash(file)
    if place.is_dir() and (place / MANIFEST).is_file():
        manifest = json.loads((place / MANIFEST).read_text("utf-8"))
        config = manifest.get("config", {})
        found |= {name: config[name] for name in ("task", "judges", "engines", "prompt") if name in config}
        found["counts"] = manifest.get("counts", {})
    return found


# ---- progress --------------------------------------------------------------------------------------------------------


class Lines:
    """A line now and then, on a stream that is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._drawn = stream, time.monotonic()

    def step(self, row: dict[str, Any]) -> None:
        if time.monotonic() - self._drawn >= _SECONDS or row["step"] == row["steps"]:
            self._drawn = time.monotonic()
            self._write(f"step {row['step']}/{row['steps']}: {words(row)}")

    def evaluated(self, row: dict[str, Any]) -> None:
        self._write(f"step {row['step']}, validation: {figures(row)}")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class Bar:
    """A bar with the newest figures beside it."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._task = bar, bar.add_task("", total=None)

    def step(self, row: dict[str, Any]) -> None:
        self._bar.update(self._task, total=row["steps"], completed=row["step"], description=words(row))

    def evaluated(self, row: dict[str, Any]) -> None:
        self._bar.console.print(f"step {row['step']}, validation: {figures(row)}")


@contextmanager
def watching(stream: TextIO, *, quiet: bool) -> Iterator[Any]:
    """Who looks on at a training."""
    if quiet:
        yield None
    elif not stream.isatty():
        yield Lines(stream)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(file=stream, highlight=False), transient=True) as bar:
            yield Bar(bar)


def words(row: Mapping[str, Any]) -> str:
    """Loss, accuracy, margin, speed, memory, time left."""
    from judge.runs.progress import span

    left = row["seconds"] / row["step"] * (row["steps"] - row["step"])
    speed = f"{row['tokens/s']:,.0f} tokens/s, {row['memory']:.1f} GiB, {span(left)} left"
    return f"{figures(row)}, {speed}"


def figures(row: Mapping[str, Any]) -> str:
    """The figures that a row has, in words."""
    named = {name.removeprefix("validation_"): value for name, value in row.items()}
    shown = []
    for name in ("loss", "accuracy", "margin", "correlation"):
        if name in named:
            shown.append(f"{name} {named[name]:.1%}" if name == "accuracy" else f"{name} {named[name]:.3f}")
    return ", ".join(shown)


# ---- what is shown ---------------------------------------------------------------------------------------------------


def show_plan(prepared: "Prepared", *, as_json: bool) -> None:
    """What a training would do: counts, tokens, steps."""
    shown = prepared.account()
    if as_json:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    rows = [(name, _value(value)) for name, value in shown.items() if name != "dropped"]
    rows += [(f"dropped: {reason}", _value(count)) for reason, count in shown["dropped"].items()]
    _table("dry run: nothing was trained and nothing written", rows)


def show_model(done: "Distilled", out: Path, *, as_json: bool) -> None:
    """The figures of a new model, its red flags, and what to do with it next."""
    shown = {"model": str(out), **done.account()}
    if as_json:
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    rows = [(name, _value(value)) for name, value in shown.items() if not isinstance(value, Mapping | list)]
    rows += [(f"dropped: {reason}", _value(count)) for reason, count in shown["dropped"].items()]
    rows += [(f"validation {name}", _value(value)) for name, value in shown["validation"].items()]
    _table(f"{shown['kind']}: {out}", rows)
    for flag in shown["flags"]:
        print(f"red flag: {flag}")
    print(f"Score with it: rmjudge score {out} DATA --out RUN")


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    print(title)
    table = Table(show_header=False)
    for name, value in rows:
        table.add_row(name, value)
    Console(file=sys.stdout, highlight=False).print(table)


def run(
    paths: Sequence[str],
    given: Mapping[str, Any],
    pairs: Sequence[str],
    *,
    labels: str | None,
    format: str | None,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Prepare, train, show."""
    settings = settings_from(given, pairs)
    preset = bool(settings.preset)
    needed = {"--kind": given.get("kind") or preset, "--backbone": settings.backbone, "--out": out or dry_run}
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise ConfigError(f"rmjudge distill needs {', '.join(missing)}; see `rmjudge distill --help`")
    sources = sources_from(paths, labels, format)
    from judge.rewards.distill import distill, prepare

    prepared = prepare(sources.labelled, settings, labels=sources.labels, parents=sources.parents, out=out)
    if dry_run:
        show_plan(prepared, as_json=as_json)
        return 0
    assert out is not None
    with watching(sys.stderr, quiet=quiet) as watch:
        done = distill(prepared, out, watch)
    if done is not None:
        show_model(done, out, as_json=as_json)
    return 0
