"""Labelled records of runs and of data: whose labels are taken, and where they came from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from judge.errors import ConfigError, InputError, unknown
from judge.files import file_hash, read_rows
from judge.formats import OnBad, from_row, judgement_from_row
from judge.judgements import Judgement
from judge.locations.data_files import files_of, is_saved
from judge.locations.remote_files import is_remote
from judge.records import Record, content_id
from judge.run_files import FAILURES, is_skipped
from judge.runs.data import DataSource, FileSource, RowSource, reject
from judge.runs.reader import holds_judgements, judged_in, open_run

LABELLED_BY = ("judge", "human")
Labelled = tuple[Record, Judgement | None]


class LabelSource(NamedTuple):
    """Labelled records, whose labels are taken, and where they came from, for the model's metadata."""

    labelled: Iterator[Labelled]
    labels: str
    parents: list[dict[str, Any]]

    def key(self) -> str:
        """Names the labelled records by the content of their files (of the hub by their names) and whose labels count.

        A run's rows without a verdict are counted as dropped, so they are part of it.
        """
        sources = [
            (parent["kind"], parent.get("hash") or parent.get("etag") or parent["path"]) for parent in self.parents
        ]
        failures = [path for parent in self.parents if (path := Path(parent["path"]) / FAILURES).is_file()]
        return content_id(sources, [file_hash(path) for path in failures], self.labels)


def label_source(
    sources: Sequence[DataSource], labels: str | None, format: str | None, on_bad: OnBad | None = None
) -> LabelSource:
    """Records with their judgements (of runs) or labels (of data), read when they are asked for.

    Args:
        sources: of `open_data`.
        labels: "judge" or "human"; None takes what the data has.
        format: the family of formats, where it is not to be recognised.
        on_bad: is told of rows that cannot be read; without it they end the reading.

    Raises:
        ConfigError: where some sources are runs and some are data, and nobody said whose labels count.
    """
    if labels and labels not in LABELLED_BY:
        raise unknown("value of labels", labels, LABELLED_BY)
    judged = [_is_judged(source) for source in sources]
    if not labels:
        if len(set(judged)) == 2:
            raise ConfigError('some sources are runs and some are data; say labels "judge" or "human"')
        labels = "judge" if judged and judged[0] else "human"

    def read() -> Iterator[Labelled]:
        for source, is_run in zip(sources, judged, strict=True):
            if is_run:
                yield from _judgements(source, on_bad)
            else:
                yield from ((record, None) for _, record in source.records(format, on_bad))

    parents = [_parent(source, is_run) for source, is_run in zip(sources, judged, strict=True)]
    return LabelSource(read(), labels, parents)


def _is_judged(source: DataSource) -> bool:
    """Whether a source is a run directory, a file of a run's rows, or such rows in memory."""
    if isinstance(source, RowSource):
        return len(source.table) > 0 and isinstance(source.table[0].get("judgement"), Mapping)
    if source.streamed:
        return False
    if isinstance(source, FileSource) and is_remote(source.path):
        first = next((row for _, row in read_rows(source.path) if not is_skipped(row)), {})
        return isinstance(first.get("judgement"), Mapping)
    path = Path(source.name)
    if not path.exists():
        raise InputError(f"{path}: no such file or run directory")
    return holds_judgements(path)


def _judgements(source: DataSource, on_bad: OnBad | None) -> Iterator[Labelled]:
    """Of a run all judgements, those that could not be read too: they are counted with the rest."""
    if isinstance(source, RowSource):
        rows = ((f"row {number}", row) for number, row in enumerate(source.table, start=1))
        yield from _judgements_in(rows, on_bad)
        return
    if isinstance(source, FileSource) and is_remote(source.path):
        yield from _judgements_in((entry for entry in read_rows(source.path) if not is_skipped(entry[1])), on_bad)
        return
    path = Path(source.name)
    if not path.is_dir():
        yield from ((judged.record, judged.judgement) for judged in judged_in(path))
        return
    run = open_run(path, needs_manifest=False)
    yield from ((judged.record, judged.judgement) for judged in run)
    yield from ((judged.record, judged.judgement) for judged in run.failures())


def _judgements_in(rows: Iterable[tuple[str, Any]], on_bad: OnBad | None) -> Iterator[Labelled]:
    for place, row in rows:
        try:
            fields = dict(row)
            judgement = judgement_from_row(fields.pop("judgement"))
            labelled = from_row(fields), judgement
        except (InputError, TypeError, KeyError) as error:
            reject(place, f"no row of a run: {error}", on_bad)
        else:
            yield labelled


def _parent(source: DataSource, is_run: bool) -> dict[str, Any]:
    """What traces a model back to its labels: where they lay, their hash, and who gave them."""
    parent: dict[str, Any] = {"kind": "run" if is_run else "data", "path": source.name}
    if isinstance(source, RowSource):
        return parent | {"hash": source.entry()["hash"]}
    if isinstance(source, FileSource) and is_remote(source.path):
        return parent | source.entry()
    if digest := _local_hash(source.name):
        parent["hash"] = digest
    path = Path(source.name)
    if is_run and path.is_dir():
        run = open_run(path, needs_manifest=False)
        parent |= {name: run.config[name] for name in ("task", "judges", "engines", "prompt") if name in run.config}
        parent["counts"] = run.manifest.get("counts", {})
    return parent


def _local_hash(name: str) -> str:
    """A hash of the files of this machine that a name means, "" for a name on the hub."""
    if not name.startswith("hf://"):
        return file_hash(name)
    saved = is_saved(Path(name.removeprefix("hf://").partition(":")[0]))
    return content_id([file_hash(str(file)) for file in files_of(name)]) if saved else ""
