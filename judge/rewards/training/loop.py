"""One visible loop over `accelerate`: batch, forward, loss, backward, step, log.

    N reads, C outputs (see modeling/reward_model.py).

The order of the work follows from the seed and the examples alone, and everything that a step depends on lies in the
checkpoint, so a training that was killed and started again ends in the same weights. On several devices
(`accelerate launch`) each takes its own batches of a step.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from judge.errors import ConfigError, EngineError, MissingExtraError
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import BatchMaker, batches
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.metrics import figures
from judge.rewards.losses.pairwise import Loss
from judge.rewards.modeling.backbone import mixed_precision
from judge.rewards.training.optimizers import lr_factor, make_optimizers, set_learning_rate
from judge.rewards.training.parts import Part, parts_of
from judge.rewards.training.resume import CheckpointClock, Position, load_best, resume, save_best
from judge.rewards.training.selection import EVAL, VALIDATION, best_figure, check_best_by, is_better, keeps_best
from judge.rewards.training.shards import (
    is_sharded,
    open_shards,
    prepare_shards,
    shard_on_cpu,
    shared,
)
from judge.rewards.training.training_log import NoCallback, RecentBatches, TrainingCallback, tell_start
from judge.rewards.training.updates import Updates

LOGS = "logs"
MAX_HISTORY_ROWS = 200  # of training steps, however long the training

Evaluator = Callable[["TrainingJob", nn.Module, Any], Mapping[str, float]]
"""Figures on evaluation data, the main one first, of a job's model in evaluation, on a device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A finished training.

    Attributes:
        steps: optimizer steps that were taken.
        planned_steps: that would have been taken without early stopping.
        best_step: whose weights the model has.
        tokens: computed in training.
        seconds: of training, over all its runs.
        history: rows in the order of steps; those of a validation have `validation_…` figures.
        state: of a model sharded by FSDP 1 or DeepSpeed the whole weights, on the CPU of the first process; else None,
            and the model has them.
        resumed_from: the step of the checkpoint that this training went on from, 0 where it began anew.
    """

    steps: int
    planned_steps: int
    best_step: int
    tokens: int
    seconds: float
    history: list[dict[str, Any]]
    state: dict[str, Tensor] | None = None
    resumed_from: int = 0


def make_accelerator(config: RewardConfig, folder: Path) -> Any:
    """Devices from the environment (`accelerate launch`), precision and trackers from the settings."""
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    check_trackers(config.training.report_to)
    precision = mixed_precision(config)
    _forget_precision(precision)
    unused = config.model.kind == "hierarchical" or config.model.feature_bank != ""
    accelerator = Accelerator(
        mixed_precision=precision,
        log_with=list(config.training.report_to) or None,
        project_dir=str(folder / LOGS),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=unused)],
    )
    shard_on_cpu(accelerator)
    return accelerator


def _forget_precision(precision: str) -> None:
    """Let this process train in another precision than before: accelerate keeps the first one for all its objects."""
    from accelerate.state import AcceleratorState

    shared = AcceleratorState._shared_state
    if shared and str(shared.get("_mixed_precision", precision)) != precision:
        AcceleratorState._reset_state()


def check_trackers(names: Sequence[str]) -> None:
    """Raise MissingExtraError for a tracker whose package is not there."""
    from accelerate.tracking import get_available_trackers

    installed = {str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()}
    for name in names:
        if name not in installed:
            raise MissingExtraError(f"tracker {name} is not installed: pip install {name}")


def count_steps(examples: Sequence[Example], config: RewardConfig, lengths: Sequence[int], world: int = 1) -> int:
    """How many optimizer steps a training takes: every example is seen `epochs` times.

    Args:
        examples: of the training.
        config: of the reward model.
        lengths: of the examples, in tokens.
        world: how many devices share a step.
    """
    count = sum(1 for _ in batches(examples, config.training.batch_size, config.training.seed, 0, lengths=lengths))
    return max(1, math.ceil(config.training.epochs * count / (config.training.gradient_accumulation_steps * world)))


def stream(examples: Sequence[Example], config: RewardConfig, lengths: Sequence[int]) -> Iterator[list[Example]]:
    """Batches, epoch after epoch, without end."""
    epoch = 0
    while True:
        yield from batches(examples, config.training.batch_size, config.training.seed, epoch, lengths=lengths)
        epoch += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """What a training needs: the model and its collator, the loss, and examples that fit the collator.

    Attributes:
        model: trained in place.
        collate: of examples into a batch.
        loss: what training minimises, with its penalties.
        examples: of the training.
        validation: held out; may be none.
        config: of the reward model.
        targets: labels of examples, with an ensemble's bootstrap weights.
        plain_loss: the loss without penalties, for validation; None takes `loss`.
        feature_loss: a term of the features that the model made last, for their targets; None for none.
        evaluators: further evaluation data by name, beside `validation`.
    """

    model: nn.Module
    collate: BatchMaker
    loss: Loss
    examples: Sequence[Example]
    validation: Sequence[Example]
    config: RewardConfig
    targets: Callable[[Sequence[Example]], Targets]
    plain_loss: Loss | None = None
    feature_loss: Callable[[Targets], Tensor] | None = None
    evaluators: Mapping[str, Evaluator] = field(default_factory=dict)

    def validation_loss(self, rewards: Tensor, targets: Targets) -> float:
        """The plain loss of rewards (N, C): no penalties, and no bootstrap weights, which say nothing of the model."""
        loss = self.plain_loss or self.loss
        return float(loss(rewards, replace(targets, member_weight=None)))

    def parts(self, examples: Sequence[Example]) -> list[Part]:
        """A batch in parts of at most `batch_tokens` tokens."""
        most = self.config.training.batch_tokens
        lengths = self.collate.lengths(examples) if most else []
        return parts_of(examples, lengths, most, self.targets, self.loss, self.config.model.outputs, self.reads)

    def reads(self, example: Example) -> int:
        """At how many places an example is read."""
        return len(example.steps) if self.config.model.kind == "process" else len(example.responses)


def train(job: TrainingJob, folder: Path, accelerator: Any, callback: TrainingCallback | None = None) -> Trained:
    """Train `job.model` in place, going on from the newest checkpoint.

    Args:
        job: the model, its loss and its examples.
        folder: of the model; checkpoints lie in its `state`.
        accelerator: of `make_accelerator`.
        callback: is told of each row of the history.

    Returns:
        Counts and history; the model has the weights of the last step, or of the best one where it stopped early.

    Raises:
        RunError: for a checkpoint that does not fit.
        EngineError: when the loss is not a number, naming the step and its rows.
        ConfigError: for a `best_by` that no evaluation gives.
    """
    _check_evaluation(job, accelerator)
    config, callback, position = job.config, callback or NoCallback(), Position()
    lengths = job.collate.lengths(job.examples)
    world, rank = accelerator.num_processes, accelerator.process_index
    if config.training.batch_tokens and _is_sharded(accelerator):
        raise ConfigError("batch_tokens: sharded processes must take the same number of passes (accepted: batch_size)")
    steps = count_steps(job.examples, config, lengths, world)
    model, optimizers = _prepared(job, accelerator)
    updates = Updates(model, optimizers, accelerator, config)
    accelerator.register_for_checkpointing(position)
    resumed_from = resume(accelerator, folder)
    tell_start(callback, position.step, steps)
    chunk = config.training.gradient_accumulation_steps * world
    remaining = islice(stream(job.examples, config, lengths), position.step * chunk, None)
    every = max(1, steps // MAX_HISTORY_ROWS)
    evaluate_at = evaluation_steps(steps, config)
    _start_trackers(accelerator, config)
    recent, checkpoints = RecentBatches(), CheckpointClock(accelerator, config.training.save_minutes)
    model.train()
    began = time.monotonic() - position.seconds
    while position.step < steps:
        step_batches = list(islice(remaining, chunk))[rank::world]
        learning_rate = set_learning_rate(optimizers, lr_factor(position.step, steps, config))
        _backward(job, model, accelerator, step_batches, position, recent)
        norm = updates.apply()
        position.step += 1
        position.seconds = time.monotonic() - began
        if position.step % every == 0 or position.step == steps:
            if world > 1:
                recent.gather()
            row = recent.row(position, steps, learning_rate, norm)
            position.history.append(row)
            accelerator.log(row, step=position.step)
            callback.on_step(row)
            recent = RecentBatches()
        if position.step in evaluate_at and (job.validation or job.evaluators):
            _evaluate(job, model, accelerator, position, folder, callback)
        if checkpoints.due() or position.step in evaluate_at or _is_multiple(position.step, config.training.save_steps):
            checkpoints.write(folder, position.step)
        if config.training.early_stopping_patience and position.stale >= config.training.early_stopping_patience:
            break
    updates.end()
    trained = _finished(model, position, config, accelerator, folder, steps)
    return replace(trained, resumed_from=resumed_from)


def _prepared(job: TrainingJob, accelerator: Any) -> tuple[Any, list[Any]]:
    """The job's model, copied or sharded among the processes, and the optimizers of its weights."""
    optimizers = make_optimizers(job.model, job.config)
    prepare_shards(accelerator, job.model, job.config)
    model, *optimizers = accelerator.prepare(job.model, *optimizers)
    open_shards(model)
    return model, optimizers


def _is_multiple(step: int, every: int) -> bool:
    """Whether a step is one of every so many; never of every 0."""
    return every > 0 and step % every == 0


def _backward(
    job: TrainingJob,
    model: Any,
    accelerator: Any,
    step_batches: Sequence[Sequence[Example]],
    position: Position,
    recent: RecentBatches,
) -> None:
    """Forward and backward of each batch of a step; gradients are shared between devices after the last."""
    for place, examples in enumerate(step_batches, 1):
        targets, rewards, size = job.targets(examples), [], 0
        parts = job.parts(examples)
        for number, part in enumerate(parts, 1):
            is_last = place == len(step_batches) and number == len(parts)
            with nullcontext() if is_last else accelerator.no_sync(model):
                batch = job.collate(part.examples).to(accelerator.device)
                rewards.append(model(batch))
                part_targets = part.targets.to(accelerator.device)
                loss = part.share * job.loss(rewards[-1], part_targets)
                if job.feature_loss is not None:
                    loss = loss + job.feature_loss(part_targets)
                _check_finite(loss, position.step + 1, examples)
                accelerator.backward(loss / len(step_batches))
            rewards[-1], size = rewards[-1].detach(), size + batch.size
        read = torch.cat(rewards)
        loss = job.loss(read, targets.to(accelerator.device)) if len(parts) > 1 else loss
        recent.add(loss, read, targets, size, len(examples), job.config)
        position.tokens += size * accelerator.num_processes


def _finished(
    model: Any, position: Position, config: RewardConfig, accelerator: Any, folder: Path, steps: int
) -> Trained:
    """What a training came to, the best weights in place where it stopped early; sharded weights are gathered."""
    stopped = keeps_best(config) and position.best_step
    if stopped and position.best_step != position.step:
        load_best(accelerator, model, folder)
    in_shards = is_sharded(model)  # then it is finished in shards, too
    state = accelerator.get_state_dict(model) if _is_sharded(accelerator) and not in_shards else None
    if accelerator.num_processes > 1 and not in_shards:
        accelerator.end_training()
    else:  # end_training would destroy a process group that is somebody else's, vLLM's for one
        for tracker in accelerator.trackers:
            tracker.finish()
    return Trained(
        state=state,
        steps=position.step,
        planned_steps=steps,
        best_step=position.best_step if stopped else position.step,
        tokens=position.tokens,
        seconds=position.seconds,
        history=position.history,
    )


def evaluation_steps(steps: int, config: RewardConfig) -> set[int]:
    """After which steps the validation part is looked at: so many times an epoch, and at the end."""
    count = max(1, round(config.training.evaluations_per_epoch * config.training.epochs))
    return {max(1, round(steps * place / count)) for place in range(1, count + 1)}


@torch.no_grad()
def predict(job: TrainingJob, model: nn.Module, examples: Sequence[Example], device: Any) -> tuple[Tensor, Targets]:
    """Rewards and targets of examples, in their order.

    Copies of a model on several devices compute all of them each; the processes of a sharded one take turns.

    Args:
        job: whose collator and targets are used.
        model: in training or evaluation; its mode is restored.
        examples: that fit the collator.
        device: of the model.

    Returns:
        Rewards (N, C) in fp32 on the CPU, and the targets of the same N reads.
    """
    training = model.training
    model.eval()
    size = max(1, job.config.training.batch_size)
    lengths = job.collate.lengths(examples)
    order = sorted(range(len(examples)), key=lambda place: lengths[place])
    batches_of_places = [order[start : start + size] for start in range(0, len(order), size)]

    def compute(places: Sequence[int]) -> Tensor:
        rewards: Tensor = model(job.collate([examples[place] for place in places]).to(device))
        return rewards.float().cpu()

    by_place: dict[int, Tensor] = {}
    for places, rewards in zip(batches_of_places, shared(job.model, batches_of_places, compute), strict=True):
        by_place.update(zip(places, rewards.split([job.reads(examples[place]) for place in places]), strict=True))
    in_order = [by_place[place] for place in range(len(examples))]
    model.train(training)
    return torch.cat(in_order), job.targets(examples)


def _evaluate(
    job: TrainingJob, model: Any, accelerator: Any, position: Position, folder: Path, callback: TrainingCallback
) -> None:
    """Figures on the evaluation data, and whether they are the best so far; then the weights are kept."""
    row: dict[str, Any] = {"step": position.step, **_validation(job, model, accelerator.device)}
    row |= evaluations(job, accelerator.unwrap_model(model), accelerator)
    position.history.append(row)
    accelerator.log(row, step=position.step)
    callback.on_evaluate(row)
    name = best_figure(row, job.config.training.best_by)
    if name is None:
        return
    if is_better(name, row[name], position.best):
        position.best, position.best_step, position.stale = row[name], position.step, 0
        if keeps_best(job.config):
            save_best(accelerator, model, folder)
    else:
        position.stale += 1


def _validation(job: TrainingJob, model: nn.Module, device: Any) -> dict[str, float]:
    """Figures on the validation part, `validation_NAME` each; none without one."""
    if not job.validation:
        return {}
    rewards, targets = predict(job, model, job.validation, device)
    metrics = {"loss": job.validation_loss(rewards, targets), **figures(rewards, targets, job.config)}
    return {f"{VALIDATION}{name}": value for name, value in metrics.items()}


def evaluations(job: TrainingJob, model: nn.Module, accelerator: Any) -> dict[str, float]:
    """Figures on the further evaluation data, `eval_DATA_NAME` each."""
    row: dict[str, float] = {}
    training = model.training
    model.eval()
    for data, evaluator in job.evaluators.items():
        with accelerator.autocast():
            metrics = evaluator(job, model, accelerator.device)
        row |= {f"{EVAL}{data}_{name}": value for name, value in metrics.items()}
    model.train(training)
    return row


def _check_evaluation(job: TrainingJob, accelerator: Any) -> None:
    check_best_by(job.config, validation=bool(job.validation), data=job.evaluators)
    if job.evaluators and _is_sharded(accelerator):
        raise ConfigError("evaluation data beside the validation part needs a whole model on each device, no shards")


def _is_sharded(accelerator: Any) -> bool:
    kind = str(accelerator.distributed_type)
    return "FSDP" in kind or "DEEPSPEED" in kind


def _check_finite(loss: Tensor, step: int, examples: Sequence[Example]) -> None:
    value = float(loss.detach())
    if not math.isfinite(value):
        ids = ", ".join(example.id for example in examples[:8]) + (", …" if len(examples) > 8 else "")
        raise EngineError(
            f"step {step}: the loss is {value} (rows {ids}); a lower learning_rate or --set dtype=float32 may help"
        )


def _start_trackers(accelerator: Any, config: RewardConfig) -> None:
    if not config.training.report_to:
        return
    plain = {name: value for name, value in config.flat().items() if isinstance(value, str | int | float)}
    accelerator.init_trackers("rmjudge", config=plain)
