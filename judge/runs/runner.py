"""How a job becomes a run directory: whatever can be refused is refused first, then the job is executed.

The data is read twice: once to the end (or to the limit) before any model is loaded, so that a broken row 900,000 is
named at once and not after a night of work, and once to work on it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from judge.engines.base import Completion
from judge.errors import EngineError, InputError, RunChangedError, RunError
from judge.formats import BadRow, OnBad, to_row
from judge.formats.judgement_rows import judgement_to_row
from judge.judgements import Judgement
from judge.locations.remote_files import is_remote, target_path
from judge.records import Record
from judge.run_files import skipped_row
from judge.runs.counts import Counts
from judge.runs.data import DataSource, ShardSource
from judge.runs.interrupt import Interrupt
from judge.runs.journal import Journal
from judge.runs.manifest import (
    check_same,
    clear_torn,
    counts_of,
    entries_of,
    new_manifest,
    now,
    read_manifest,
    write_manifest,
)
from judge.runs.progress import Watch, progress_bar
from judge.runs.reader import Run
from judge.runs.scheduler import Sink, distinct

_MANIFEST_SECONDS = 30.0
_COST_SECONDS = 2.0  # of a run that costs money: a kill forgets no more than what was spent in this time
OVERWRITTEN = "overwritten"
"""The entry of a manifest that names data which was overwritten while the run read it."""


class Job(Protocol):
    """Work whose result is a judgement a record, so that it can be resumed."""

    @property
    def data(self) -> Sequence[DataSource]:
        """Where the records come from."""
        ...

    def records(self, on_bad: OnBad | None = None) -> Iterator[Record]:
        """The records to judge, in the order of the data. on_bad is told of each row that cannot be judged; without it
        such a row raises InputError."""
        ...

    def config(self) -> dict[str, Any]:
        """What decides every row of the run."""
        ...

    def execute(self, attempt: "Attempt") -> None:
        """Judge the records that the journal does not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one record, and what that cost.

    Attributes:
        id: the record's.
        row: as it is journaled; None where a judge gave out before the record could be finished.
        readable: whether the row's judgement is.
        kept: the replies to a record that could not be finished, None for the missing ones.
        spent: the calls and tokens behind it.
        cut: prompts that were cut to the model's length.
    """

    id: str
    row: Mapping[str, Any] | None = None
    readable: bool = False
    kept: tuple[Completion | None, ...] = ()
    spent: Counts = field(default_factory=Counts)
    cut: int = 0


@dataclass(slots=True)
class Attempt:
    """One attempt at bringing a run to its end.

    Attributes:
        directory: the run's.
        journal: where rows go.
        counts: what the run has come to; the job counts what it writes.
        manifest: what the run's manifest will hold; a job may add entries.
        limit: only the first so many distinct records.
        watch: called with the counts now and then.
        interrupt: says when a signal must wait.
        skip: is told of rows of the data that cannot be judged; None where such a row is an error.
        total: how many distinct records there are, those of earlier attempts included; None where it is not known.
    """

    directory: Path
    journal: Journal
    counts: Counts
    manifest: dict[str, Any]
    limit: int | None
    watch: Watch
    interrupt: Interrupt
    skip: OnBad | None = None
    total: int | None = None

    def waiting(self, records: Iterator[Record]) -> Iterator[tuple[str, Record]]:
        """Those of the records with their ids, each once, that the journal does not hold."""
        once = islice(distinct(records, self.counts), self.limit)
        return (entry for entry in once if entry[0] not in self.journal.done)

    def write(self, answer: Answer) -> None:
        """Journal the row of an answer, where it has one, and count it with what it cost."""
        if answer.row is not None:
            self.journal.write(answer.row, readable=answer.readable)
            self.counts.add_row(answer.row, readable=answer.readable)
        self.counts.add_spent(answer.spent)
        if answer.cut:
            self.manifest["cut_prompts"] = self.manifest.get("cut_prompts", 0) + answer.cut


class SkippedRows:
    """Journals and counts the rows of the data that cannot be judged, those of earlier attempts once."""

    def __init__(self, journal: Sink, counts: Counts) -> None:
        self._journal, self._counts, self._number = journal, counts, 0

    def __call__(self, bad: BadRow) -> None:
        row = skipped_row(bad.place, bad.reason, self._number)
        self._number += 1
        if row["id"] not in self._journal.done:
            self._journal.write(row, readable=False)
            self._counts.add_row(row, readable=False)


def resume(
    job: Job,
    out: str | Path,
    *,
    command: Mapping[str, Any],
    limit: int | None = None,
    retry_failures: bool = False,
    skip_bad: bool = False,
    check: Callable[[Record], None] | None = None,
    progress: bool = True,
) -> Run:
    """Begin a run, or go on with one: execute what its directory does not hold yet.

    Args:
        job: what is done.
        out: the run directory.
        command: what was asked for, in the caller's words, for whoever reads the manifest.
        limit: only the first so many distinct records.
        retry_failures: forget the failures of earlier attempts, so that their records are judged again.
        skip_bad: rows of the data that cannot be judged go to failures.jsonl with their places and reasons.
        check: called with the first record before anything is written; raises what can be known to be wrong.
        progress: show how far it is.

    Returns:
        The run.

    Raises:
        RunChangedError: before anything is written, when the directory was made by another configuration.
        InputError: with the places of bad rows, before anything is written.
        RunError: when the directory cannot be written.
        EngineError: when a model gave out, or when every row failed for one reason of the engine's.
        CostLimitError: when what is left would cost more than the limit.
        KeyboardInterrupt: once everything that was complete is on the disk.
    """
    out, on_bad = target_path(out, "the run"), ignore if skip_bad else None
    next(job.records(on_bad), None)  # a file that is not there or not known is named by its reader, not by its hash
    states = [source.state() for source in job.data]
    config, before = job.config(), read_manifest(out)
    if before is not None:
        _check_same(out, before, _grown(before, config, job.data))
    with Interrupt().listening() as interrupt:
        total = count_records(job, limit, check, on_bad)
        manifest = {**(before or new_manifest(config)), "config": config, "finished": None}
        manifest |= {"attempts": manifest["attempts"] + 1, "command": {**command, "limit": limit}}
        counts, started, spent = _spent(manifest), time.monotonic(), manifest["seconds"]

        def save() -> None:
            manifest.update(seconds=round(spent + time.monotonic() - started, 3), **entries_of(counts))
            write_manifest(out, manifest)

        def seen(row: Mapping[str, Any], good: bool) -> None:
            rows = counts.rows
            counts.add_row(row, readable=good)
            counts.resumed += counts.rows - rows

        with Journal(out, retry_failures=retry_failures, seen=seen) as journal:
            skip = SkippedRows(journal, counts) if skip_bad else None
            clear_torn(out)
            save()
            try:
                with progress_bar(total, shown=progress) as watch:
                    saving = _saving(watch, save)
                    job.execute(Attempt(out, journal, counts, manifest, limit, saving, interrupt, skip, total))
                manifest["finished"] = now()
            finally:
                unknown = _note_overwritten(manifest, job.data, states)
                with suppress(*((RunError,) if manifest["finished"] is None else ())):  # what broke the loop is better
                    save()
    _refuse_mixed(out, manifest, unknown)
    _check_hopeless(counts, out)
    return Run(directory=out, manifest=manifest, counts=counts, seconds=time.monotonic() - started)


def add_skipped(run: Run, bad: Sequence[BadRow]) -> Run:
    """Write rows of the data that never reached a run's job into its failures.jsonl, each once, and count them."""
    counts, manifest = run.counts, run.manifest
    with Journal(run.directory) as journal:
        skip = SkippedRows(journal, counts)
        for row in bad:
            skip(row)
        manifest.update(entries_of(counts))
        write_manifest(run.directory, manifest)
    return run


def count_records(
    job: Job,
    limit: int | None = None,
    check: Callable[[Record], None] | None = None,
    on_bad: OnBad | None = None,
) -> int | None:
    """Read a job's data to its end or to the limit, with a look at the first record; how many distinct ones there are.

    Data of the hub is only begun: then it is the limit, None without one. Raises InputError for data without a record
    (of small data a shard may be empty), and for bad rows where `on_bad` is not told of them.
    """
    streamed = any(source.streamed for source in job.data)
    count = 0
    for _, record in islice(distinct(job.records(on_bad), Counts()), 1 if streamed else limit):
        if not count and check is not None:
            check(record)
        count += 1
    if not count and not any(isinstance(source, ShardSource) for source in job.data):
        raise InputError(f"{', '.join(source.name for source in job.data)}: holds nothing to judge")
    return limit if streamed else count


def ignore(bad: BadRow) -> None:
    """Pass over a bad row: it is counted by another reading of the data."""


def _note_overwritten(manifest: dict[str, Any], sources: Sequence[DataSource], states: Sequence[Any]) -> str:
    """Note in a run's manifest the data that was overwritten while the run read it; rows at its end are no harm.

    Returns:
        Why the store of a source does not tell, "" where all of them do. Without an answer the run is not finished.
    """
    unknown = ""
    for source, entry, state in zip(sources, manifest["config"].get("data", ()), states, strict=False):
        try:
            current = source.state()
            same_file = isinstance(state, dict) and state.keys() == current.keys()
            overwritten = same_file and state != current and not source.begins_with(entry)
        except (InputError, OSError) as error:  # a file of this machine is gone; whoever reads it again will say so
            if is_remote(source.name):
                unknown, manifest["finished"] = unknown or str(error), None
            continue
        if overwritten:
            manifest[OVERWRITTEN] = sorted({*manifest.get(OVERWRITTEN, ()), source.name})
            manifest["finished"] = None
    return unknown


def _check_same(out: Path, before: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    _refuse_mixed(out, before)
    check_same(out, before, config)


def _refuse_mixed(out: Path, manifest: Mapping[str, Any], unknown: str = "") -> None:
    """Raise RunChangedError for a run whose rows come from two versions of its data, RunError where that is unknown."""
    if names := manifest.get(OVERWRITTEN):
        shown = ", ".join(map(str, names)) if isinstance(names, list) else str(names)
        raise RunChangedError(
            f"{out}: {shown} was overwritten while it was judged, so the rows come from two versions of it; "
            "name another --out"
        )
    if unknown:
        reason = "whether data was overwritten meanwhile cannot be asked"
        raise RunError(f"{out}: not finished, {reason}: {unknown} (the same command goes on)")


def _check_hopeless(counts: Counts, out: Path) -> None:
    """Raise EngineError where every row of a run failed for one reason of the engine's."""
    if counts.only_failure:
        raise EngineError(
            f"all {counts.unreadable} rows failed for one reason: {counts.only_failure} "
            f"(they are in {out}; --retry-failures asks again)"
        )


def row_of(record: Record, judgement: Judgement) -> dict[str, Any]:
    """The row of labels.jsonl and failures.jsonl."""
    return to_row(record) | {"judgement": judgement_to_row(judgement)}


def _saving(watch: Watch, save: Callable[[], None]) -> Watch:
    """Watch, and save the manifest now and then, so that a killed run knows what it spent."""
    saved = time.monotonic()

    def watch_and_save(counts: Counts) -> None:
        nonlocal saved
        watch(counts)
        if time.monotonic() - saved >= (_COST_SECONDS if counts.costs else _MANIFEST_SECONDS):
            saved = time.monotonic()
            save()

    return watch_and_save


def _grown(manifest: Mapping[str, Any], config: Mapping[str, Any], sources: Sequence[DataSource]) -> dict[str, Any]:
    """The configuration, with data that only grew at its end shown as it was."""
    before, data = manifest["config"].get("data", []), list(config["data"])
    if len(before) == len(data) == len(sources):
        for index, (entry, source) in enumerate(zip(before, sources, strict=True)):
            if entry != data[index] and source.begins_with(entry):
                data[index] = entry
    return {**config, "data": data}


def _spent(manifest: Mapping[str, Any]) -> Counts:
    """The counts that an attempt begins with: what earlier ones spent. Rows are counted again from the journal."""
    earlier = counts_of(manifest)
    return Counts(
        calls=earlier.calls,
        prompt_tokens=earlier.prompt_tokens,
        cached_tokens=earlier.cached_tokens,
        output_tokens=earlier.output_tokens,
        costs=earlier.costs,
        saved=earlier.saved,
    )
