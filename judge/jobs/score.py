"""`judge.score`: score the rows of data with a reward model, into a run like a judge's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from judge.engines.spec import read_settings
from judge.errors import ConfigError, InputError, unknown
from judge.files import file_hash, write_rows
from judge.formats import OnBad
from judge.jobs.label import need
from judge.judgements import readable
from judge.records import Record
from judge.rewards.checkpoint.metadata import read_metadata
from judge.rewards.config import RewardConfig
from judge.rewards.inference.best_of_n import best_of as best_rows
from judge.rewards.inference.judgements import Rule, task_of
from judge.rewards.registry import EXTERNAL_PRMS
from judge.rewards.shaping import Shaping
from judge.runs.data import Data, DataSource, open_data, reject
from judge.runs.reader import Run
from judge.runs.runner import Attempt, ignore, resume, row_of
from judge.runs.scheduler import WINDOW

if TYPE_CHECKING:
    from judge.rewards.inference.scoring import Scored

BEST = "best.jsonl"
BATCH_TOKENS = 16384


def score(
    model: str | Path,
    data: Data | None = None,
    *,
    out: str | Path | None = None,
    format: str | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    lower: float = 0.0,
    normalize: bool = False,
    shaping: Shaping | Mapping[str, Any] | None = None,
    aggregate: Literal["min", "product", "last", "mean"] | str | None = None,
    convention: str | None = None,
    best_of: bool = False,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    window: int = WINDOW,
    retry_failures: bool = False,
    progress: bool = True,
) -> Run:
    """Score the rows of data with a reward model. The same call again resumes an unfinished run.

    Args:
        model: a reward model's directory.
        data: a path, a glob, a hub name, a run, rows as dicts, a `datasets.Dataset`, or a sequence of paths.
        out: the run directory.
        skip_bad: rows that cannot be scored go to failures.jsonl with their places and reasons, and are counted;
            else the first reading of the data names them and ends.
        settings: batch_tokens, dtype and device by name; a mapping, or texts NAME=VALUE.
        lower: a score is the reward minus so many of its standard deviations.
        normalize: scores have mean 0 and deviation 1 over the model's calibration data; verdicts stay as they are.
        shaping: these two and all other steps, a `Shaping` or its fields by name; shaped are the scores, of pairs,
            rankings and steps the verdicts stay as they are. Truth is that of people's labels in the data, a
            divergence `meta["kl"]`, or `meta["logprobs"]` and `meta["reference_logprobs"]`.
        aggregate: judge whole solutions by their steps: min, product, last or mean.
        convention: read someone else's process model as its makers do: trl, math-shepherd, rlhflow, qwen, skywork.
        best_of: also write the best response to each prompt, best.jsonl.
        batch_tokens: tokens computed at once. dtype, device: of the weights; else as saved, and a GPU if there is one.

    Returns:
        The run; `manifest["cut_prompts"]` counts prompts that were cut on their left to the model's length.

    Raises:
        ConfigError: for what a model of this kind has not got. RunChangedError: where `out` holds another run.
        InputError: for a directory that is no reward model, and for data that cannot be read.
    """
    need("score", data=data is not None, out=out)
    assert data is not None and out is not None
    job = ScoreJob(
        open_data(data),
        Path(model),
        _rule(aggregate or "", Shaping.of(shaping), lower=lower, normalize=normalize),
        format=format,
        convention=convention or "",
        window=window,
        **_computing(settings, batch_tokens=batch_tokens, dtype=dtype, device=device),
    )
    command = {"data": [source.name for source in job.data], "model": str(model)}
    run = resume(
        job,
        out,
        command=command,
        limit=limit,
        skip_bad=skip_bad,
        retry_failures=retry_failures,
        progress=progress,
    )
    return replace(run, written={BEST: write_rows(run.directory / BEST, best_rows(run.rows()))}) if best_of else run


class ScoreJob:
    """A job of scoring whose parts stand: the model's description is read, its weights are not loaded yet."""

    def __init__(
        self,
        data: Sequence[DataSource],
        model: Path,
        rule: Rule,
        *,
        format: str | None = None,
        convention: str = "",
        batch_tokens: int = BATCH_TOKENS,
        dtype: str = "",
        device: str = "",
        window: int = WINDOW,
    ) -> None:
        self.data, self.model, self.rule, self.format, self.convention = data, model, rule, format, convention
        self.batch_tokens, self.dtype, self.device, self.window = batch_tokens, dtype, device, window
        self._place, self._places = "", dict[int, str]()  # of the record read last; of those in flight, by identity
        self.metadata = _foreign(model, convention) if convention else read_metadata(model)
        self.reward_config = RewardConfig.from_dict(self.metadata["config"])
        self.rule.check(self.reward_config, calibrated=self.metadata.get("calibration") is not None)

    def records(self, on_bad: OnBad | None = None) -> Iterator[Record]:
        """The records in the order of the data; bad are also those without texts, and those of another task."""
        task = ""
        for source in self.data:
            for place, record in source.records(self.format, on_bad):
                this = task_of(record, self.reward_config, self.rule)
                task = task or this
                if not this:
                    reject(place, "labels without the texts they are about; there is nothing to score", on_bad)
                elif this != task:
                    reject(place, f"a {record.kind}, whose task is {this}; the rows before are of {task}", on_bad)
                else:
                    self._place = place
                    yield record

    def config(self) -> dict[str, Any]:
        """What decides every row of the run."""
        first = next(self.records(ignore), None)
        return {
            "task": task_of(first, self.reward_config, self.rule) if first is not None else "",
            "model": {
                "kind": self.reward_config.model.kind,
                "weights": self.metadata.get("weights", {}),
                "dtype": self.dtype,
            },
            "convention": self.convention,
            "rule": self.rule.to_dict(),
            "calibration": self.metadata.get("calibration"),
            "format": self.format,
            "data": [source.entry() for source in self.data],
        }

    def execute(self, attempt: Attempt) -> None:
        """Score batch by batch; the model is loaded when there is something to score."""
        waiting = self._remembering_places(attempt.waiting(self.records(attempt.skip)))
        first = next(waiting, None)
        if first is None:
            return
        for batch in self._scores(chain([first], waiting)):
            with attempt.interrupt.shielded():
                for scored in batch:
                    _write(scored, self._places.pop(id(scored.record), ""), attempt)
            attempt.journal.sync()
            attempt.watch(attempt.counts)

    def _remembering_places(self, waiting: Iterator[Record]) -> Iterator[Record]:
        """The records, each one's place kept until its row is written."""
        for record in waiting:
            self._places[id(record)] = self._place
            yield record

    def _scores(self, records: Iterator[Record]) -> "Iterator[list[Scored]]":
        """By our own model, or by someone else's process model as its makers read it."""
        if self.convention:
            from judge.rewards.inference import external_prms

            external = external_prms.ExternalPrm(self.model, self.convention, dtype=self.dtype, device=self.device)
            return external_prms.score(
                external, records, rule=self.rule, batch_tokens=self.batch_tokens, window=self.window
            )
        from judge.rewards.checkpoint.save_load import load
        from judge.rewards.inference.scoring import score as score_records

        loaded = load(self.model, dtype=self.dtype, device=self.device)
        return score_records(loaded, records, rule=self.rule, batch_tokens=self.batch_tokens, window=self.window)


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


def _foreign(model: Path, convention: str) -> Mapping[str, Any]:
    """What is known of someone else's process model before it is loaded."""
    EXTERNAL_PRMS.canonical(convention)
    if not (model / "config.json").is_file():
        raise InputError(f"{model}: not a model directory (it has no config.json)")
    weights = {path.name: file_hash(path) for path in sorted(model.glob("*.safetensors"))}
    return {"config": RewardConfig.of(kind="process").to_dict(), "weights": weights}


def _write(scored: "Scored", place: str, attempt: Attempt) -> None:
    """Journal a row; one without a score says where in the data it stands."""
    row, is_readable = row_of(scored.record, scored.judgement), readable(scored.judgement)
    row["meta"] = {**row["meta"], "reward": scored.numbers} | ({} if is_readable else {"place": place})
    attempt.write(row, readable=is_readable)
    attempt.counts.calls += 1
    attempt.counts.prompt_tokens += scored.tokens
    attempt.counts.cached_tokens += scored.shared
    if scored.cut:
        attempt.manifest["cut_prompts"] = attempt.manifest.get("cut_prompts", 0) + scored.cut
