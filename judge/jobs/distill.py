"""`judge.distill`: train a reward model on labels, of judges or of people."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from judge.jobs.reward_model import RewardModel
from judge.rewards.settings import RewardSettings
from judge.runs.data import Data

if TYPE_CHECKING:
    from judge.jobs.training.evaluation import EvalData
    from judge.rewards.preparation import PreparedTraining


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training would do: a dry run of `judge.distill`.

    Attributes:
        counts: examples, tokens, steps, and what was dropped, as plain values; `memory_gib` is the memory that the
            training needs, `total` and by part, None where the backbone cannot be built without weights.
    """

    counts: Mapping[str, Any]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.counts.items())
        return f"TrainingPlan({shown})"


@overload
def distill(
    data: Data,
    *,
    out: str | Path | None = ...,
    labels: str | None = ...,
    format: str | None = ...,
    skip_bad: bool = ...,
    validation_data: Data | None = ...,
    eval: "EvalData | None" = ...,
    settings: Mapping[str, Any] | Iterable[str] | None = ...,
    progress: bool = ...,
    dry_run: Literal[False] = ...,
    **named: Unpack[RewardSettings],
) -> RewardModel: ...


@overload
def distill(
    data: Data,
    *,
    out: str | Path | None = ...,
    labels: str | None = ...,
    format: str | None = ...,
    skip_bad: bool = ...,
    validation_data: Data | None = ...,
    eval: "EvalData | None" = ...,
    settings: Mapping[str, Any] | Iterable[str] | None = ...,
    progress: bool = ...,
    dry_run: bool,
    **named: Unpack[RewardSettings],
) -> RewardModel | TrainingPlan: ...


def distill(
    data: Data,
    *,
    out: str | Path | None = None,
    labels: str | None = None,
    format: str | None = None,
    skip_bad: bool = False,
    validation_data: Data | None = None,
    eval: "EvalData | None" = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    progress: bool = True,
    dry_run: bool = False,
    **named: Unpack[RewardSettings],
) -> RewardModel | TrainingPlan:
    """Train a reward model on labels. The same call again takes up an interrupted training.

    judge.distill("runs/pairs", kind="ensemble", backbone="Qwen/Qwen3-0.6B", out="models/pairs", learning_rate=1e-5)

    `judge.RewardTrainer` is the same in two steps, for callbacks and evaluation of one's own.

    Args:
        data: runs of `judge.label`, or labelled data: paths, globs, a hub name, runs, rows as dicts, a Dataset.
        out: the model directory.
        labels: "judge" takes the verdicts of runs, "human" people's labels; by default what the data has.
        format: force a family of formats instead of recognising it.
        skip_bad: rows that cannot be read are dropped and counted with the others that are; else they end it.
        validation_data: labelled data to validate on, instead of a part of `data`.
        eval: further data to evaluate on while the model is trained: benchmarks, counted by their protocols, and
            labelled data; a source, several, or a mapping of names to sources. A path may be `NAME=PATH`.
        settings: further settings by name; a mapping, or texts NAME=VALUE (`loss.NAME` is an argument of the loss).
        progress: whether a bar is shown.
        dry_run: read, drop, split and tokenize, estimate the memory, and train nothing.
        named: kind, backbone, loss, learning_rate, batch_size, epochs, … as `RewardSettings` lists them. The
            backbone "tiny" is the embedded judge's reader. The loss is a name, or a function of rewards and targets.

    Returns:
        The model, its `training` the figures of this training; a `TrainingPlan` of a dry run. Under `accelerate launch`
        the model directory is written by the first process, and `training` is None in the others.

    Raises:
        ConfigError: for settings that are wrong or do not fit together, before anything is trained.
        InputError: for data that cannot be read or holds nothing to learn.
        RunError: where `out` holds something else.
    """
    from judge.jobs.training.trainer import RewardTrainer

    trainer = RewardTrainer(
        data,
        out=out,
        labels=labels,
        format=format,
        skip_bad=skip_bad,
        validation_data=validation_data,
        eval=eval,
        settings=settings,
        progress=progress,
        dry_run=dry_run,
        **named,
    )
    return _plan(trainer.prepared) if dry_run else trainer.train()


def _plan(prepared: "PreparedTraining") -> TrainingPlan:
    from judge.rewards.training.memory import estimate_memory

    memory = estimate_memory(prepared.config, prepared.collate, prepared.examples, prepared.validation)
    return TrainingPlan({**prepared.to_dict(), "memory_gib": None if memory is None else memory.to_dict()})
