"""`judge.score`: score the rows of data with a reward model, into a run like a judge's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from judge.engines.spec import read_settings
from judge.errors import ConfigError, unknown
from judge.files import write_rows
from judge.formats import OnBad
from judge.jobs.label import need
from judge.jobs.reward_source import open_scoring_model
from judge.jobs.scoring.published import Objectives
from judge.jobs.scoring.scoring_model import BATCH_TOKENS, ScoringModel
from judge.judgements import readable
from judge.records import Record, Response, as_steps, is_trajectory
from judge.rewards.inference.best_of_n import best_of as best_rows
from judge.rewards.inference.judgements import Rule, task_of
from judge.rewards.shaping import Shaping
from judge.runs.cluster.ray_job import Runner, on_runner
from judge.runs.cluster.worker import Feed, Recipe
from judge.runs.cluster.workers import Workers
from judge.runs.counts import Counts
from judge.runs.data import Data, DataSource, Shard, open_data, reject
from judge.runs.reader import Run
from judge.runs.runner import Answer, Attempt, ignore, resume, row_of
from judge.runs.scheduler import WINDOW

if TYPE_CHECKING:
    from judge.rewards.inference.scoring import Scored

BEST = "best.jsonl"


def score(
    model: str | Path | ScoringModel,
    data: Data | None = None,
    *,
    out: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    shard: Shard | str | None = None,
    skip_bad: bool = False,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    lower: float = 0.0,
    normalize: bool = False,
    shaping: Shaping | Mapping[str, Any] | None = None,
    aggregate: Literal["min", "product", "last", "mean"] | str | None = None,
    convention: str | None = None,
    objective: Objectives = (),
    chat_template: str | Path | None = None,
    max_length: int | None = None,
    calibration: str | Path | None = None,
    trust_remote_code: bool = False,
    engine: str = "transformers",
    best_of: bool = False,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    window: int = WINDOW,
    retry_failures: bool = False,
    runner: Runner = "here",
    workers: int | str | Workers = 1,
    progress: bool = True,
) -> Run:
    """Score the rows of data with a reward model. The same call again resumes an unfinished run.

    Args:
        model: a reward model's directory, ours or one that others trained; a name on the hub, OWNER/NAME[@REVISION]; or
            what `judge.open_reward` gave.
        data: a path, a glob, a hub name, a run, rows as dicts, a `datasets.Dataset`, or a sequence of paths.
        out: the run directory.
        shard: "2/8" scores the second of eight shares, which `judge.merge` joins.
        skip_bad: rows that cannot be scored go to failures.jsonl with their places and reasons, and are counted;
            else the first reading of the data names them and ends.
        settings: batch_tokens, dtype and device by name; a mapping, or texts NAME=VALUE.
        lower: a score is the reward minus so many of its standard deviations.
        normalize: scores have mean 0 and deviation 1 over the model's calibration data; verdicts stay as they are.
        shaping: these two and all other steps, a `Shaping` or its fields by name; shaped are the scores, of pairs,
            rankings and steps the verdicts stay as they are. Truth is that of people's labels in the data, a
            divergence `meta["kl"]`, or `meta["logprobs"]` and `meta["reference_logprobs"]`.
        aggregate: judge whole solutions by their steps: min, product, last or mean.
        convention: read someone else's process model as its makers do: trl, math-shepherd, rlhflow, qwen, skywork; some
            are recognised by their class or their name on the hub.
        objective: which output of a model with several is the reward: a name, NAME=WEIGHT texts, or weights by name;
            the reward is the weighted mean. By default all weigh the same where they are scores.
        chat_template: instead of the tokenizer's: a file of a Jinja template, or "plain" for prompt, response and
            end-of-text. max_length: tokens of both together; else as many as the model reads. trust_remote_code: run
            the code that lies in its directory. All three are for models that others trained.
        calibration: a file of `judge.calibrate`.
        engine: transformers, packed where the model can; or vllm, for one linear head on a decoder.
        best_of: also write the best response to each prompt, best.jsonl.
        batch_tokens: tokens computed at once. dtype, device: of the weights; else as saved, and a GPU if there is one.
        runner, workers: "ray" scores with so many workers on a Ray cluster, as `judge.label` does.

    Returns:
        The run; `manifest["cut_prompts"]` counts prompts that were cut on their left to the model's length.

    Raises:
        ConfigError: for what a model of this kind has not got. RunChangedError: where `out` holds another run.
        InputError: for a directory that is no reward model, and for data that cannot be read.
    """
    need("score", data=data is not None, out=out)
    assert data is not None and out is not None
    computing = _computing(settings, batch_tokens=batch_tokens, dtype=dtype, device=device)
    tokens = computing.pop("batch_tokens", BATCH_TOKENS)
    opened = open_scoring_model(
        model,
        convention=convention,
        objective=objective,
        chat_template=chat_template,
        max_length=max_length,
        calibration=calibration,
        trust_remote_code=trust_remote_code,
        engine=engine,
        **computing,
    )
    rule = _rule(aggregate or "", Shaping.of(shaping), lower=lower, normalize=normalize)
    reading: dict[str, Any] = {"format": format, "convention": convention or "", "window": window}
    job = ScoreJob(open_data(data, shard=shard), opened, rule, batch_tokens=tokens, **reading)
    named = model.name if isinstance(model, ScoringModel) else str(model)
    command = {"data": [source.name for source in job.data], "model": named}
    resuming: dict[str, Any] = {"limit": limit, "skip_bad": skip_bad, "retry_failures": retry_failures}
    run = resume(on_runner(job, runner, workers), out, command=command, progress=progress, **resuming)
    return replace(run, written={BEST: write_rows(run.directory / BEST, best_rows(run.rows()))}) if best_of else run


class ScoreJob:
    """A job of scoring whose parts stand: the model's description is read, its weights are not loaded yet."""

    def __init__(
        self,
        data: Sequence[DataSource],
        model: ScoringModel,
        rule: Rule,
        *,
        format: str | None = None,
        convention: str = "",
        batch_tokens: int = BATCH_TOKENS,
        window: int = WINDOW,
    ) -> None:
        self.data, self.model, self.rule, self.format, self.convention = data, model, rule, format, convention
        self.batch_tokens, self.window = batch_tokens, window
        self.place, self._places = "", dict[int, str]()  # of the record read last; of those in flight, by identity
        self.reward_config = model.config
        self.rule.check(self.reward_config, calibrated=model.calibration_row() is not None)

    def records(self, on_bad: OnBad | None = None) -> Iterator[Record]:
        """The records in the order of the data; bad are also those without texts, and those of another task."""
        task = ""
        for source in self.data:
            for place, read in source.records(self.format, on_bad):
                record = self._by_turns(read)
                this = task_of(record, self.reward_config, self.rule)
                task = task or this
                if not this:
                    reject(place, "labels without the texts they are about; there is nothing to score", on_bad)
                elif this != task:
                    reject(place, f"a {record.kind}, whose task is {this}; the rows before are of {task}", on_bad)
                else:
                    self.place = place
                    yield record

    def _by_turns(self, record: Record) -> Record:
        """The record; for a process model a trajectory as a solution, so that each turn has its reward."""
        whole = self.reward_config.model.kind != "process" or self.rule.whole
        if whole or not isinstance(record, Response) or not is_trajectory(record.response):
            return record
        return as_steps(record)

    def config(self) -> dict[str, Any]:
        """What decides every row of the run."""
        first = next(self.records(ignore), None)
        return {
            "task": task_of(first, self.reward_config, self.rule) if first is not None else "",
            "model": self.model.identity(),
            "convention": self.convention,
            "rule": self.rule.to_dict(),
            "calibration": self.model.calibration_row(),
            "format": self.format,
            "data": [source.entry() for source in self.data],
        }

    def recipe(self) -> Recipe:
        """How a worker is made that scores as this job does."""
        keywords: dict[str, Any] = {"convention": self.convention, "batch_tokens": self.batch_tokens}
        build = partial(ScoreJob, (), self.model, self.rule, window=self.window, **keywords)
        return Recipe(build, self.window, gpus=0 if self.model.device.startswith("cpu") else 1, computes=True)

    def execute(self, attempt: Attempt) -> None:
        """Score batch by batch; the model is loaded when there is something to score."""
        waiting = self._remembering_places(attempt.waiting(self.records(attempt.skip)))
        first = next(waiting, None)
        if first is None:
            return
        for batch in self._scores(chain([first], waiting)):
            with attempt.interrupt.shielded():
                for scored in batch:
                    attempt.write(_answer(scored, self._places.pop(id(scored.record), "")))
            attempt.journal.sync()
            attempt.watch(attempt.counts)

    def work(self, feed: Feed) -> None:
        """Score what a feed gives, window by window; see Work."""
        while items := feed.chunk(self.window):
            for batch in self._scores(item.record for item in items):
                for scored in batch:
                    feed.answer(_answer(scored, feed.item(scored.record.id).place))

    def close(self) -> None:
        """See Work; a model goes with its process."""

    def _remembering_places(self, waiting: Iterator[tuple[str, Record]]) -> Iterator[Record]:
        """The records, each one's place kept until its row is written."""
        for _, record in waiting:
            self._places[id(record)] = self.place
            yield record

    def _scores(self, records: Iterator[Record]) -> "Iterator[list[Scored]]":
        return self.model.score_records(records, rule=self.rule, batch_tokens=self.batch_tokens, window=self.window)


def _rule(aggregation: str, shaping: Shaping, *, lower: float, normalize: bool) -> Rule:
    """How scores are made; caution and normalisation stand in the rule, as they ask something of the model."""
    if isinstance(shaping.normalize, Sequence):
        raise ConfigError("score normalizes by the model's own calibration data (accepted: normalize=True)")
    return Rule(
        aggregation=aggregation,
        whole=bool(aggregation),
        lower=lower or shaping.lower,
        normalize=normalize or bool(shaping.normalize),
        shaping=replace(shaping, lower=0.0, normalize=False),
    )


def _computing(settings: Mapping[str, Any] | Iterable[str] | None, **keywords: Any) -> dict[str, Any]:
    """How the model is run: what is given by an argument (not None) goes before what is given as a setting."""
    chosen = read_settings(settings)
    for name in chosen:
        if name not in keywords:
            raise unknown("setting", name, keywords)
    return chosen | {name: value for name, value in keywords.items() if value is not None}


def _answer(scored: "Scored", place: str) -> Answer:
    """What is written of a record; a row without a score says where in the data it stands."""
    row, is_readable = row_of(scored.record, scored.judgement), readable(scored.judgement)
    row["meta"] = {**row["meta"], "reward": scored.numbers} | ({} if is_readable else {"place": place})
    spent = Counts(calls=1, prompt_tokens=scored.tokens, cached_tokens=scored.shared)
    return Answer(id=row["id"], row=row, readable=is_readable, spent=spent, cut=scored.cut)
