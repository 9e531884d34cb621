"""One visible loop over `accelerate`: batch, forward, loss, backward, step, log.

    N reads, C outputs (see model.py).

The order of the work follows from the seed and the examples alone, and everything that a step depends on lies in the
checkpoint, so a training that was killed and started again ends in the same weights. On several devices
(`accelerate launch`) each takes its own batches of a step. This module refuses to know files of data, calibration and
how a finished model is saved.
"""

import math
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from judge.errors import EngineError, MissingExtraError, RunError
from judge.rewards.backbone import precision
from judge.rewards.collate import Collator, batches
from judge.rewards.examples import Example
from judge.rewards.losses import Loss, Targets
from judge.rewards.measure import figures
from judge.rewards.optimizers import factor, optimizers_for, set_rate
from judge.rewards.settings import Settings

LOGS = "logs"
STATE = "state"
WINDOW = 200  # at most so many rows of history an evaluation-free stretch gets, however long the training


class Watch(Protocol):
    """Who looks on: the command line draws a bar from it, a test keeps the rows."""

    def step(self, row: dict[str, Any]) -> None:
        """A row of the history: step, steps, loss, accuracy, margin, rate, tokens/s, memory (GiB), seconds."""

    def evaluated(self, row: dict[str, Any]) -> None:
        """The validation's figures at a step."""


class Silent:
    """Nobody looks on."""

    def step(self, row: dict[str, Any]) -> None:
        pass

    def evaluated(self, row: dict[str, Any]) -> None:
        pass


@dataclass(slots=True)
class Position:
    """Where a training stands: all that a checkpoint holds beside weights, optimizers and random states."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Position.__slots__}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in Position.__slots__:
            setattr(self, name, state[name])


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

    unused = settings.kind == "hierarchical" or settings.bank != ""
    try:
        return Accelerator(
            mixed_precision=precision(settings, "cuda" if torch.cuda.is_available() else "cpu"),
            log_with=list(settings.trackers) or None,
            project_dir=str(folder / LOGS),
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=unused)],
        )
    except (ImportError, ValueError) as error:
        if settings.trackers:
            raise MissingExtraError(f"tracker {', '.join(settings.trackers)}: {error}") from None
        raise EngineError(f"accelerate: {error}") from None


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
    recent = _Recent()
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
            recent = _Recent()
        if position.step in evaluate_at and job.validation:
            _evaluate(job, model, accelerator, position, folder, watch)
        if position.step in evaluate_at or (settings.save_every and position.step % settings.save_every == 0):
            checkpoint(accelerator, folder, position.step)
        if settings.patience and position.stale >= settings.patience:
            break
    if settings.patience and position.best_step and position.best_step != position.step:
        _load_best(accelerator, model, folder)
    sharded = "FSDP" in str(accelerator.distributed_type) or "DEEPSPEED" in str(accelerator.distributed_type)
    state = accelerator.get_state_dict(model) if sharded else None
    accelerator.end_training()
    return Trained(
        state=state,
        steps=position.step,
        planned=steps,
        best_step=position.best_step if settings.patience and position.best_step else position.step,
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
            _save_best(accelerator, model, folder)
    else:
        position.stale += 1


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def checkpoint(accelerator: Any, folder: Path, step: int) -> None:
    """Write everything that the next step depends on, beside the last checkpoint; only then is that one removed."""
    place, fresh = folder / STATE, folder / STATE / "new"
    if accelerator.is_main_process:
        shutil.rmtree(fresh, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(fresh))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        _sync(fresh)
        os.replace(fresh, place / f"step-{step}")
        for old in place.glob("step-*"):
            if old.name != f"step-{step}":
                shutil.rmtree(old)
    accelerator.wait_for_everyone()


def resume(accelerator: Any, folder: Path) -> int:
    """Load the newest checkpoint; 0 when there is none, else its step."""
    found = {int(path.name.removeprefix("step-")): path for path in (folder / STATE).glob("step-*")}
    if not found:
        return 0
    newest = max(found)
    try:
        accelerator.load_state(str(found[newest]))
    except (OSError, RuntimeError, ValueError, KeyError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{found[newest]}: cannot be taken up again: {reason}") from None
    return newest


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _save_best(accelerator: Any, model: Any, folder: Path) -> None:
    """Weights alone, into memory-mapped files of every process's own."""
    state = accelerator.get_state_dict(model)
    if accelerator.is_main_process:
        (folder / STATE).mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / STATE / "best.new")
        os.replace(folder / STATE / "best.new", folder / STATE / "best.pt")
    accelerator.wait_for_everyone()


def _load_best(accelerator: Any, model: Any, folder: Path) -> None:
    state = torch.load(folder / STATE / "best.pt", map_location="cpu", weights_only=True)
    accelerator.unwrap_model(model).load_state_dict(state)


# ---- what is told ----------------------------------------------------------------------------------------------------


class _Recent:
    """The batches since the last row of history."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._figures: list[dict[str, float]] = []
        self._tokens = self._examples = 0
        self._since = time.monotonic()

    def add(self, loss: Tensor, rewards: Tensor, targets: Targets, tokens: int, count: int, settings: Settings) -> None:
        self._losses.append(loss.detach())
        self._figures.append(figures(rewards.detach().float().cpu(), targets, settings))
        self._tokens, self._examples = self._tokens + tokens, self._examples + count

    def row(self, position: Position, steps: int, rate: float, norm: float, world: int) -> dict[str, Any]:
        now = time.monotonic()
        past = max(now - self._since, 1e-9)
        names = dict.fromkeys(name for one in self._figures for name in one)
        return {
            "step": position.step,
            "steps": steps,
            "loss": float(torch.stack(self._losses).mean()),
            **{name: _mean([one[name] for one in self._figures if name in one]) for name in names},
            "rate": rate,
            "gradient": norm,
            "tokens/s": self._tokens * world / past,
            "examples/s": self._examples * world / past,
            "memory": memory(),
            "seconds": position.seconds,
        }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def memory() -> float:
    """The most memory that was in use so far, GiB: of the first CUDA device, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


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
    try:
        accelerator.init_trackers("rmjudge", config=plain)
    except ImportError as error:
        raise MissingExtraError(f"tracker {', '.join(settings.trackers)}: {error}") from None
