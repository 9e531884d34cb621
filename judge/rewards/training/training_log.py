"""The log of a training: rows of figures, and who is told of them."""

import resource
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from judge.rewards.config import RewardConfig
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.metrics import figures
from judge.rewards.training.resume import Position


class TrainingCallback(Protocol):
    """Is told of a training while it runs: a progress bar, or a test that keeps the rows.

    One that has `on_start(step, steps)` is told, too, that the training begins, or goes on from a checkpoint of `step`
    steps; it takes `steps` in all.
    """

    def on_step(self, row: dict[str, Any]) -> None:
        """A row of the history: step, steps, loss, accuracy, margin, learning_rate, tokens_per_second, seconds, …"""

    def on_evaluate(self, row: dict[str, Any]) -> None:
        """The figures of the validation at a step: step, validation_loss, …"""


class NoCallback:
    """Is told and does nothing."""

    def on_start(self, step: int, steps: int) -> None:
        pass

    def on_step(self, row: dict[str, Any]) -> None:
        pass

    def on_evaluate(self, row: dict[str, Any]) -> None:
        pass


class Callbacks:
    """Tells several callbacks, in their order."""

    def __init__(self, callbacks: Sequence[TrainingCallback]) -> None:
        self._callbacks = callbacks

    def on_start(self, step: int, steps: int) -> None:
        for callback in self._callbacks:
            tell_start(callback, step, steps)

    def on_step(self, row: dict[str, Any]) -> None:
        for callback in self._callbacks:
            callback.on_step(row)

    def on_evaluate(self, row: dict[str, Any]) -> None:
        for callback in self._callbacks:
            callback.on_evaluate(row)


def tell_start(callback: TrainingCallback, step: int, steps: int) -> None:
    """Tell a callback that wants to know that a training begins."""
    on_start = getattr(callback, "on_start", None)
    if on_start is not None:
        on_start(step, steps)


class RecentBatches:
    """The batches since the last row of history."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._figures: list[dict[str, float]] = []
        self._tokens = self._examples = 0
        self._since = time.monotonic()

    def add(
        self, loss: Tensor, rewards: Tensor, targets: Targets, tokens: int, count: int, config: RewardConfig
    ) -> None:
        """Keep a batch's loss and figures; rewards: (N, C)."""
        self._losses.append(loss.detach())
        self._figures.append(figures(rewards.detach().float().cpu(), targets, config))
        self._tokens, self._examples = self._tokens + tokens, self._examples + count

    def gather(self) -> None:
        """Take in what the other processes computed, so that a row is of all of them; each process must ask."""
        from accelerate.utils import gather_object

        losses = torch.stack(self._losses).tolist()
        gathered = gather_object([(losses, self._figures, self._tokens, self._examples)])
        self._losses = [torch.tensor(loss) for losses, _, _, _ in gathered for loss in losses]
        self._figures = [metrics for _, all_metrics, _, _ in gathered for metrics in all_metrics]
        self._tokens, self._examples = (sum(part[place] for part in gathered) for place in (2, 3))

    def row(self, position: Position, steps: int, learning_rate: float, grad_norm: float) -> dict[str, Any]:
        """A row of the history."""
        elapsed = max(time.monotonic() - self._since, 1e-9)
        names = dict.fromkeys(name for metrics in self._figures for name in metrics)
        return {
            "step": position.step,
            "steps": steps,
            "loss": float(torch.stack(self._losses).mean()),
            **{name: _mean([metrics[name] for metrics in self._figures if name in metrics]) for name in names},
            "learning_rate": learning_rate,
            "grad_norm": grad_norm,
            "tokens_per_second": self._tokens / elapsed,
            "examples_per_second": self._examples / elapsed,
            "memory_gib": peak_memory(),
            "seconds": position.seconds,
        }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def peak_memory() -> float:
    """The most memory that was in use so far, GiB: of the first CUDA device, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
