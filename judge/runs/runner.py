"""How a plan becomes a run directory: everything that can be refused is refused first, then the loop runs.

The data is read twice: once to the end (or to the limit) before any model is loaded, so that a broken row 900,000 is
named at once and not after a night of work, and once to judge it. Nothing here draws, prints or parses options.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from judge.engines import default_prompt, load_engine
from judge.engines.base import Engine
from judge.errors import ConfigError, EngineError, InputError, RunError, unknown
from judge.formats import read_records, to_row
from judge.formats.rmjudge import judgement_to_row
from judge.judgements import Judgement
from judge.runs.counts import Counts
from judge.runs.data import FileSource, data_entry
from judge.runs.interrupt import Interrupt
from judge.runs.journal import Journal
from judge.runs.kept_replies import KeptReplies
from judge.runs.manifest import (
    check_same,
    clear_torn,
    new_manifest,
    now,
    read_manifest,
    write_manifest,
)
from judge.runs.progress import Watch
from judge.runs.scheduler import WINDOW, distinct, run
from judge.constitution.constitution import Constitution, load_constitution
from judge.records import Pair, Ranking, Record, Response, Solution
from judge.tasks import TASKS, Options, Program
from judge.tasks.constitution_preference import Clamp, check_principle, under
from judge.prompting.template import list_templates, load_template

_MANIFEST_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be judged, by whom, how, and where to.

    data: a file, a run directory or a hub name; several are read one after another. judges: engine specs, one a juror.
    prompt: a shipped name or a path, "" for the judges' or the task's default. format: a family of formats to force.
    constitution: the principles that a preference is judged under, a shipped name or a path; clamp: see its task.
    limit: only the first so many distinct records. settings: handed to every engine. window: programs alive at once.
    """

    data: tuple[str, ...]
    task: str
    judges: tuple[str, ...]
    out: Path
    prompt: str = ""
    constitution: str = ""
    clamp: Clamp | None = None
    format: str | None = None
    limit: int | None = None
    options: Options = field(default_factory=Options)
    settings: Mapping[str, Any] = field(default_factory=dict)
    window: int = WINDOW
    retry_failures: bool = False


class Done(NamedTuple):
    """A run that has come to its end: its counts, and the seconds this go took."""

    counts: Counts
    seconds: float
    manifest: dict[str, Any]


class Work(Protocol):
    """What `label` can bring to its end: a plan whose parts stand. `Job` is one, and so is a `RevisionJob`."""

    @property
    def plan(self) -> Plan: ...
    @property
    def prompt(self) -> str: ...
    @property
    def engines(self) -> Sequence[Engine]: ...
    @property
    def total(self) -> int | None: ...
    def records(self) -> Iterator[Record]: ...
    def program(self, record: Record) -> Program[Judgement]: ...
    def check_data(self) -> None: ...
    def config(self) -> dict[str, Any]: ...


W = TypeVar("W", bound=Work)


class Job:
    """A plan whose parts stand: prompt, task and engines are there, no model is loaded, nothing is written yet.

    prompt: the one that was asked for, or that all judges want; "" leaves it to the task. total: how many records will
    be judged, None when the data is streamed from the hub.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        if len(plan.judges) != plan.options.judges:
            raise ConfigError(f"{len(plan.judges)} judges are named, the options say {plan.options.judges}")
        if plan.task not in TASKS:
            raise unknown("task", plan.task, TASKS)
        self.spec = TASKS[plan.task]
        self.constitution = load_constitution(plan.constitution) if plan.constitution else None
        if self.constitution is not None:
            self.spec = under(self.spec, self.constitution, plan.clamp)
        elif plan.clamp is not None:
            raise ConfigError("a clamp belongs to the principles of a constitution; name one")
        task, default = self.spec.prompt(plan.options)
        self.prompt = plan.prompt or _wanted(plan.judges, task)
        self.template = load_template(task, self.prompt or default)
        self.spec.check(self.template, plan.options)
        if self.constitution is not None:
            check_principle(self.template)
        self.engines: list[Engine] = [load_engine(spec, **plan.settings) for spec in plan.judges]
        self.total: int | None = None

    def records(self) -> Iterator[Record]:
        """The records that the task judges, in the order of the data; InputError for one that it cannot judge."""
        for path in self.plan.data:
            for place, record in read_records(path, format=self.plan.format):
                if record.kind not in self.spec.kinds:
                    kinds = ", ".join(self.spec.kinds)
                    raise InputError(f"{place}: a {record.kind}; the task '{self.plan.task}' judges: {kinds}")
                if not _has_text(record):
                    raise InputError(f"{place}: labels without the texts they are about; there is nothing to judge")
                yield from self.spec.split(record)

    def program(self, record: Record) -> Program[Judgement]:
        """What is asked about one record."""
        return self.spec.program(record, self.template, self.plan.options)

    def check_data(self) -> None:
        """Read the data to its end or to the limit, and render the first record; hub data is only begun."""
        self.total = try_out(self)

    def config(self) -> dict[str, Any]:
        """What decides every row of the run."""
        plan = self.plan
        return {
            "task": plan.task,
            "prompt": {"name": self.template.name, "hash": self.template.hash},
            "constitution": constitution_entry(self.constitution, plan.clamp),
            "judges": [engine.describe() for engine in self.engines],
            "options": asdict(plan.options),
            "format": plan.format,
            "data": [data_entry(path) for path in plan.data],
        }

    def close(self) -> None:
        """Let go of the models."""
        for engine in self.engines:
            engine.close()


def try_out(job: Work) -> int | None:
    """Read a job's data to its end or to the limit and render the first record; how many there are, as far as known."""
    hub = any(path.startswith("hf://") for path in job.plan.data)
    first, count = None, 0
    for _, record in islice(distinct(job.records(), Counts()), 1 if hub else job.plan.limit):
        first, count = first or record, count + 1
    if first is None:
        raise InputError(f"{', '.join(job.plan.data)}: holds nothing to judge")
    program = job.program(first)
    next(program)  # renders the first prompt
    program.close()
    return job.plan.limit if hub else count


def _wanted(judges: tuple[str, ...], task: str) -> str:
    """The prompt that all judges want, "" when they want none or not the same."""
    wanted = {default_prompt(judge) for judge in judges}
    name = wanted.pop() if len(wanted) == 1 else ""
    if name and f"{task}/{name}" not in {template.name for template in list_templates(task)}:
        raise ConfigError(f"{judges[0]} has not learnt the task '{task}': name a real model, or force a --prompt")
    return name


def constitution_entry(constitution: Constitution | None, clamp: Clamp | None = None) -> dict[str, Any] | None:
    """How a manifest names a constitution."""
    if constitution is None:
        return None
    return {"name": constitution.name, "hash": constitution.hash, "clamp": clamp}


def _has_text(record: Record) -> bool:
    match record:
        case Pair():
            return bool(record.first and record.second)
        case Response():
            return bool(record.response)
        case Solution():
            return bool(record.steps)
        case Ranking():
            return all(record.responses) and bool(record.responses)


def row_of(record: Record, judgement: Judgement) -> dict[str, Any]:
    """The row of labels.jsonl and failures.jsonl."""
    return to_row(record) | {"judgement": judgement_to_row(judgement)}


def judge_here(job: Work, journal: Journal, counts: Counts, watch: Watch, interrupt: Interrupt) -> None:
    """Judge in this process."""
    with KeptReplies(journal.directory) as replies:
        run(
            job.records(),
            job.program,
            job.engines,
            journal,
            row_of,
            counts=counts,
            window=job.plan.window,
            limit=job.plan.limit,
            watch=watch,
            shielded=interrupt.shielded,
            replies=replies,
        )


def label(
    job: W,
    watching: Callable[[int | None], AbstractContextManager[Watch]],
    *,
    interrupt: Interrupt | None = None,
    by: Callable[[W, Journal, Counts, Watch, Interrupt], None] = judge_here,
) -> Done:
    """Judge what the run directory does not hold yet.

    watching: makes what is called with the counts as they grow, given how many records there are. interrupt: when a
    signal may break in. by: who does it, this process or others (ray_runner.py).
    Raises RunChangedError before anything is written, InputError with the place of a bad row, RunError when the
    directory cannot be written; KeyboardInterrupt passes through once everything is on the disk.
    """
    plan = job.plan
    next(job.records(), None)  # a file that is not there or not known is named by its reader, not by its hash
    config, before = job.config(), read_manifest(plan.out)
    if before is not None:
        check_same(plan.out, before, _grown(before, config, plan))
    job.check_data()
    manifest: dict[str, Any] = {**(before or new_manifest(config)), "config": config, "finished": None}
    manifest["attempts"] += 1
    manifest["command"] = {
        "data": list(plan.data),
        "judges": list(plan.judges),
        "prompt": job.prompt,
        "constitution": plan.constitution,
        "limit": plan.limit,
    }
    counts, started = _counts_of(manifest), time.monotonic()
    spent = manifest["seconds"]

    def save() -> None:
        manifest.update(seconds=round(spent + time.monotonic() - started, 3), **_numbers(counts))
        write_manifest(plan.out, manifest)

    def seen(row: Mapping[str, Any], good: bool) -> None:
        counts.add_row(row, readable=good)
        counts.resumed += 1

    with Journal(plan.out, retry_failures=plan.retry_failures, seen=seen) as journal:
        clear_torn(plan.out)
        save()
        try:
            with watching(job.total) as watch:
                by(job, journal, counts, _saving(watch, save), interrupt or Interrupt())
            manifest["finished"] = now()
        except BaseException:
            with suppress(RunError):  # what broke the loop is the better message
                save()
            raise
        save()
    if counts.only_failure:
        raise EngineError(
            f"all {counts.unreadable} rows failed for one reason: {counts.only_failure} "
            f"(they are in {plan.out}; --retry-failures asks again)"
        )
    return Done(counts, time.monotonic() - started, manifest)


def _saving(watch: Watch, save: Callable[[], None]) -> Watch:
    """Watch, and save the manifest now and then, so that a killed run knows what it spent."""
    saved = time.monotonic()

    def both(counts: Counts) -> None:
        nonlocal saved
        watch(counts)
        if time.monotonic() - saved >= _MANIFEST_SECONDS:
            saved = time.monotonic()
            save()

    return both


def _grown(manifest: Mapping[str, Any], config: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The configuration, with data that only grew at its end shown as it was."""
    before = manifest["config"].get("data", [])
    data = list(config["data"])
    if len(before) == len(data):
        for index, (entry, path) in enumerate(zip(before, plan.data, strict=True)):
            if entry != data[index] and FileSource(path).begins_with(entry):
                data[index] = entry
    return {**config, "data": data}


def _numbers(counts: Counts) -> dict[str, Any]:
    return {
        "counts": {
            "rows": counts.rows,
            "labelled": counts.labelled,
            "unreadable": counts.unreadable,
            "duplicates": counts.duplicates,
            "both_orders": counts.both_orders,
            "flips": counts.flips,
            "verdicts": dict(sorted(counts.verdicts.items())),
        },
        "tokens": {
            "calls": counts.calls,
            "prompt": counts.prompt_tokens,
            "cached": counts.cached_tokens,
            "computed": counts.prompt_tokens - counts.cached_tokens,
            "output": counts.output_tokens,
        },
    }


def _counts_of(manifest: Mapping[str, Any]) -> Counts:
    """The counts a go begins with: what earlier ones spent. Rows are counted again from the journal."""
    spent = manifest["tokens"]
    return Counts(
        calls=spent.get("calls", 0),
        prompt_tokens=spent.get("prompt", 0),
        cached_tokens=spent.get("cached", 0),
        output_tokens=spent.get("output", 0),
    )
