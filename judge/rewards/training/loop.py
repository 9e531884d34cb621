"""One visible loop over `accelerate`: batch, forward, loss, backward, step, log.

    N reads, C outputs (see model.py).

The order of the work follows from the seed and the examples alone, and everything that a step depends on lies in the
checkpoint, so a training that was killed and started again ends in the same weights. On several devices
(`accelerate launch`) each takes its own batches of a step. This module refuses to know files of data, calibration and
how a finished model is saved.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from judge.errors import EngineError, MissingExtraError
from judge.rewards.config import Settings
from judge.rewards.data.collate import Collator, batches
from judge.rewards.data.examples import Example
from judge.rewards.evaluation.metrics import figures
from judge.rewards.losses.registry import Loss, Targets
from judge.rewards.modeling.backbone import precision
from judge.rewards.training.optimizers import factor, optimizers_for, set_rate
from judge.rewards.training.resume import Position, checkpoint, load_best, resume, save_best
from judge.rewards.training.training_log import Recent, Silent, Watch

LOGS = "logs"
WINDOW = 200  # at most so many rows of history an evaluation-free stretch gets, however long the training


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training came to. history: rows in the order of steps; those of a validation have `validation_…` figures.

    steps: done; planned: at most; best_step: whose weights the model has, where it stopped early or was told to.
    state: of a sharded model the whole weights, on the CPU of the first process; else None, and the model has them.
    """

    steps: int
    planned: int
    best_step: int
    tokens: int
    seconds: float
    history: list[dict[str, Any]]
    state: dict[str, Tensor] | None = None


def accelerator_for(settings: Settings, folder: Path) -> Any:
    """Devices from the environment (`accelerate launch`), precision and trackers from the settings."""
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    _check_trackers(settings.trackers)
    unused = settings.kind == "hierarchical" or settings.bank != ""
    return Accelerator(
        mixed_precision=precision(settings, "cuda" if torch.cuda.is_available() else "cpu"),
        log_with=list(settings.trackers) or None,
        project_dir=str(folder / LOGS),
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=unused)],
    )


def _check_trackers(names: Sequence[str]) -> None:
    """Raise MissingExtraError for a tracker whose package is not there."""
    from accelerate.tracking import get_available_trackers

    there = {str(one.value if hasattr(one, "value") else one) for one in get_available_trackers()}
    for name in names:
        if name not in there:
            raise MissingExtraError(f"tracker {name} is not installed: pip install {name}")


def plan(examples: Sequence[Example], settings: Settings, lengths: Sequence[int], world: int = 1) -> int:
    """How many optimizer steps a training takes: every example is seen `epochs` times."""
    count = sum(1 for _ in batches(examples, settings.batch, settings.seed, 0, lengths=lengths))
    return max(1, math.ceil(settings.epochs * count / (settings.accumulate * world)))


def stream(examples: Sequence[Example], settings: Settings, lengths: Sequence[int]) -> Iterator[list[Example]]:
    """Batches, epoch after epoch, without end."""
    epoch = 0
    while True:
        yield from batches(examples, settings.batch, settings.seed, epoch, lengths=lengths)
        epoch += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that a training needs: the model and its collator, the loss, and examples that fit the collator."""

    model: nn.Module
    collate: Collator
    loss: Loss
    examples: Sequence[Example]
    validation: Sequence[Example]
    settings: Settings
    targets: Callable[[Sequence[Example]], Targets]


def train(job: Job, folder: Path, accelerator: Any, watch: Watch | None = None) -> Trained:
    """Train `job.model` in place, going on from the newest checkpoint in `folder`; RunError where it does not fit.

    Raises EngineError, naming the step and its rows, when the loss is not a number.
    """
    settings, watch, position = job.settings, watch or Silent(), Position()
    lengths = job.collate.lengths(job.examples)
    world, rank = accelerator.num_processes, accelerator.process_index
    steps = plan(job.examples, settings, lengths, world)
    opts = optimizers_for(job.model, settings)
    model, *opts = accelerator.prepare(job.model, *opts)
    accelerator.register_for_checkpointing(position)
    resume(accelerator, folder)
    chunk = settings.accumulate * world
    coming = islice(stream(job.examples, settings, lengths), position.step * chunk, None)
    every = max(1, steps // WINDOW)
    evaluate_at = evaluations(steps, settings)
    _start_trackers(accelerator, settings)
    recent = Recent()
    model.train()
    began = time.monotonic() - position.seconds
    while position.step < steps:
        mine = list(islice(coming, chunk))[rank::world]
        rate = set_rate(opts, factor(position.step, steps, settings))
        for place, examples in enumerate(mine, 1):
            with nullcontext() if place == len(mine) else accelerator.no_sync(model):
                batch, targets = job.collate(examples).to(accelerator.device), job.targets(examples)
                rewards = model(batch)
                loss = job.loss(rewards, targets.to(accelerator.device))
                _check(loss, position.step + 1, examples)
                accelerator.backward(loss / len(mine))
            recent.add(loss, rewards, targets, batch.size, len(examples), settings)
            position.tokens += batch.size * world
        norm = accelerator.clip_grad_norm_(model.parameters(), settings.clip or math.inf)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        position.step += 1
        position.seconds = time.monotonic() - began
        if position.step % every == 0 or position.step == steps:
            row = recent.row(position, steps, rate, float(norm), world)
            position.history.append(row)
            accelerator.log(row, step=position.step)
            watch.step(row)
            recent = Recent()
        if position.step in evaluate_at and job.validation:
            _evaluate(job, model, accelerator, position, folder, watch)
        if position.step in evaluate_at or (settings.save_every and position.step % settings.save_every == 0):
            checkpoint(accelerator, folder, position.step)
        if settings.patience and position.stale >= settings.patience:
            break
    return _finished(model, position, settings, accelerator, folder, steps)


def _finished(
    model: Any, position: Position, settings: Settings, accelerator: Any, folder: Path, steps: int
) -> Trained:
    """What a training came to, the best weights in place where it stopped early; sharded weights are gathered."""
    stopped = settings.patience and position.best_step
    if stopped and position.best_step != position.step:
        load_best(accelerator, model, folder)
    sharded = "FSDP" in str(accelerator.distributed_type) or "DEEPSPEED" in str(accelerator.distributed_type)
    state = accelerator.get_state_dict(model) if sharded else None
    if accelerator.num_processes > 1:
        accelerator.end_training()
    else:  # end_training would destroy a process group that is somebody else's, vLLM's for one
        for tracker in accelerator.trackers:
            tracker.finish()
    return Trained(
        state=state,
        steps=position.step,
        planned=steps,
        best_step=position.best_step if stopped else position.step,
        tokens=position.tokens,
        seconds=position.seconds,
        history=position.history,
    )


def evaluations(steps: int, settings: Settings) -> set[int]:
    """After which steps the validation part is looked at: so many times an epoch, and at the end."""
    count = max(1, round(settings.evaluations * settings.epochs))
    return {max(1, round(steps * place / count)) for place in range(1, count + 1)}


@torch.no_grad()
def predict(job: Job, model: nn.Module, examples: Sequence[Example], device: Any) -> tuple[Tensor, Targets]:
    """Rewards (N, C) in fp32 on the CPU, and targets, of examples in their order.

    On several devices every one computes all of them: sharded models need the same number of forwards on each.
    """
    training = model.training
    model.eval()
    size = max(1, job.settings.batch)
    lengths = job.collate.lengths(examples)
    order = sorted(range(len(examples)), key=lambda at: lengths[at])
    reads: dict[int, Tensor] = {}
    for start in range(0, len(order), size):
        places = order[start : start + size]
        some = [examples[at] for at in places]
        out = model(job.collate(some).to(device)).float().cpu()
        counts = [len(one.steps) if job.settings.kind == "process" else len(one.responses) for one in some]
        reads.update(zip(places, out.split(counts), strict=True))
    rewards = [reads[at] for at in range(len(examples))]
    model.train(training)
    return torch.cat(rewards), job.targets(examples)


def _evaluate(job: Job, model: Any, accelerator: Any, position: Position, folder: Path, watch: Watch) -> None:
    """Figures on the validation part, and whether they are the best so far; then the weights are kept."""
    rewards, targets = predict(job, model, job.validation, accelerator.device)
    found = {"loss": float(job.loss(rewards, targets)), **figures(rewards, targets, job.settings)}
    row = {"step": position.step} | {f"validation_{name}": value for name, value in found.items()}
    position.history.append(row)
    accelerator.log(row, step=position.step)
    watch.evaluated(row)
    if position.best is None or found["loss"] < position.best:
        position.best, position.best_step, position.stale = found["loss"], position.step, 0
        if job.settings.patience:
            save_best(accelerator, model, folder)
    else:
        position.stale += 1


def _check(loss: Tensor, step: int, examples: Sequence[Example]) -> None:
    value = float(loss.detach())
    if not math.isfinite(value):
        ids = ", ".join(one.id for one in examples[:8]) + (", …" if len(examples) > 8 else "")
        raise EngineError(
            f"step {step}: the loss is {value} (rows {ids}); a lower rate or --set dtype=float32 may help"
        )


def _start_trackers(accelerator: Any, settings: Settings) -> None:
    if not settings.trackers:
        return
    plain = {name: value for name, value in settings.to_dict().items() if isinstance(value, str | int | float)}
    accelerator.init_trackers("rmjudge", config=plain)
