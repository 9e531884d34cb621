"""From the options of `rmjudge score` to a run directory like a judge's: resumed, refused and counted in the same way.

Nothing here computes a score.
"""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.cli.summary import show_run
from judge.engines.base import Engine
from judge.errors import ConfigError, InputError, unknown
from judge.files import file_hash
from judge.formats import read_records
from judge.judgements import Judgement, readable
from judge.records import Record
from judge.rewards.checkpoint.metadata import read_about
from judge.rewards.config import Settings
from judge.rewards.inference.judgements import Rule, task_of
from judge.run_files import LABELS
from judge.runs.counts import Counts
from judge.runs.data import data_entry
from judge.runs.interrupt import Interrupt
from judge.runs.journal import Journal
from judge.runs.progress import Watch, progress
from judge.runs.runner import Plan, label, row_of
from judge.runs.scheduler import distinct
from judge.secrets import mask
from judge.tasks import Program

if TYPE_CHECKING:
    from judge.rewards.inference.scoring import Scored


class ScoringJob:
    """A run of scores whose parts stand: the model's description is read, its weights are not loaded yet.

    total: how many records will be scored, None when the data is streamed from the hub.
    """

    prompt = ""
    engines: Sequence[Engine] = ()

    def __init__(
        self,
        plan: Plan,
        model: Path,
        rule: Rule,
        *,
        convention: str = "",
        batch_tokens: int = 16384,
        dtype: str = "",
        device: str = "",
    ) -> None:
        self.plan, self.model, self.rule, self.convention = plan, model, rule, convention
        self.batch_tokens, self.dtype, self.device = batch_tokens, dtype, device
        self.about = _foreign(model, convention) if convention else read_about(model)
        self.settings = Settings.from_dict(self.about["settings"])
        self.rule.check(self.settings)
        self.total: int | None = None
        self.cut = 0

    def records(self) -> Iterator[Record]:
        """The records in the order of the data; InputError for one that has no texts, or that is of another task."""
        task = ""
        for path in self.plan.data:
            for place, record in read_records(path, format=self.plan.format):
                own = task_of(record, self.settings, self.rule)
                if not own:
                    raise InputError(f"{place}: labels without the texts they are about; there is nothing to score")
                task = task or own
                if own != task:
                    raise InputError(f"{place}: a {record.kind}, whose task is {own}; the rows before are of {task}")
                yield record

    def program(self, record: Record) -> Program[Judgement]:
        """A reward model asks nothing."""
        raise NotImplementedError

    def check_data(self) -> None:
        """Read the data to its end or to the limit; hub data is only begun."""
        hub = any(path.startswith("hf://") for path in self.plan.data)
        count = sum(1 for _ in islice(distinct(self.records(), Counts()), 1 if hub else self.plan.limit))
        if not count:
            raise InputError(f"{', '.join(self.plan.data)}: holds nothing to score")
        self.total = self.plan.limit if hub else count

    def config(self) -> dict[str, Any]:
        """What decides every row of the run."""
        return {
            "task": self.task,
            "model": {"kind": self.settings.kind, "weights": self.about.get("weights", {}), "dtype": self.dtype},
            "convention": self.convention,
            "rule": self.rule.to_dict(),
            "calibration": self.about.get("calibration"),
            "format": self.plan.format,
            "data": [data_entry(path) for path in self.plan.data],
        }

    @property
    def task(self) -> str:
        """The task of the first record, which is every record's."""
        first = next(self.records(), None)
        return task_of(first, self.settings, self.rule) if first is not None else ""


def score_here(job: ScoringJob, journal: Journal, counts: Counts, watch: Watch, interrupt: Interrupt) -> None:
    """Score what the journal does not hold, batch by batch; the model is loaded when there is something to score."""
    once = islice(distinct(job.records(), counts), job.plan.limit)
    waiting = (record for content_id, record in once if content_id not in journal.done)
    first = next(waiting, None)
    if first is None:
        return

    def all_waiting() -> Iterator[Record]:
        yield first
        yield from waiting

    for batch in _scores(job, all_waiting()):
        with interrupt.shielded():
            for one in batch:
                _write(one, journal, counts)
                job.cut += one.cut
        journal.sync()
        watch(counts)


def _scores(job: ScoringJob, records: Iterator[Record]) -> "Iterator[list[Scored]]":
    """By our own model, or by someone else's process model as its makers read it."""
    if job.convention:
        from judge.rewards.inference import external_prms as conventions

        foreign = conventions.Foreign(job.model, job.convention, dtype=job.dtype, device=job.device)
        return conventions.score(foreign, records, rule=job.rule, batch_tokens=job.batch_tokens, window=job.plan.window)
    from judge.rewards.checkpoint.save_load import load
    from judge.rewards.inference.scoring import score

    loaded = load(job.model, dtype=job.dtype, device=job.device)
    return score(loaded, records, rule=job.rule, batch_tokens=job.batch_tokens, window=job.plan.window)


def _foreign(model: Path, convention: str) -> dict[str, Any]:
    """What is known of someone else's process model before it is loaded."""
    from judge.rewards.inference.external_prms import CONVENTIONS

    if convention not in CONVENTIONS:
        raise unknown("convention", convention, CONVENTIONS)
    if not (model / "config.json").is_file():
        raise InputError(f"{model}: not a model directory (it has no config.json)")
    weights = {path.name: file_hash(path) for path in sorted(model.glob("*.safetensors"))}
    return {"settings": Settings(kind="process").to_dict(), "weights": weights}


def _write(one: "Scored", journal: Journal, counts: Counts) -> None:
    row = row_of(one.record, one.judgement)
    row["meta"] = {**row["meta"], "reward": one.numbers}
    good = readable(one.judgement)
    journal.write(row, readable=good)
    counts.add_row(row, readable=good)
    counts.calls += 1
    counts.prompt_tokens += one.tokens
    counts.cached_tokens += one.shared


def plan_from(given: Mapping[str, Any]) -> Plan:
    """The plan that the options mean; ConfigError names what is missing."""
    missing = [name for name, value in {"DATA": given["data"], "--out": given["out"]}.items() if not value]
    if missing:
        raise ConfigError(f"rmjudge score needs {', '.join(missing)}; see `rmjudge score --help`")
    return Plan(
        data=tuple(given["data"]),
        task="",
        judges=(str(given["model"]),),
        out=given["out"],
        format=given["format"],
        limit=given["limit"],
        window=given["window"],
        retry_failures=given["retry_failures"],
    )


def run(given: Mapping[str, Any]) -> int:
    """Score, and show what came of it."""
    plan = plan_from(given)
    rule = Rule(aggregation=given["aggregate"] or "", whole=bool(given["aggregate"]), lower=given["lower"])
    chosen = {name: given[name] for name in ("batch_tokens", "dtype", "device")}
    job = ScoringJob(plan, given["model"], rule, convention=given["convention"] or "", **chosen)

    def watching(total: int | None) -> AbstractContextManager[Watch]:
        return progress(total, sys.stderr, quiet=given["quiet"])

    with Interrupt().listening() as interrupt:
        try:
            done = label(job, watching, interrupt=interrupt, by=score_here)
        except KeyboardInterrupt:
            again = mask(shlex.join(["rmjudge", *sys.argv[1:]]))
            print(f"interrupted; every score so far is in {plan.out}. To go on:\n  {again}", file=sys.stderr)
            return 130
    show_run(replace(plan, task=job.task), done, as_json=given["json"])
    if job.cut and not given["json"]:
        print(f"{job.cut:,} prompts were cut on their left to {job.settings.max_length:,} tokens")
    if given["best_of"]:
        from judge.files import read_rows, write_rows
        from judge.rewards.inference.best_of_n import best_of

        count = write_rows(plan.out / "best.jsonl", best_of(row for _, row in read_rows(plan.out / LABELS)))
        if not given["json"]:
            print(f"{count:,} best responses: {plan.out / 'best.jsonl'}")
    return 0
