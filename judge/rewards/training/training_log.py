"""What a training tells of itself: rows of figures, and who looks on.

This module refuses to know what a step does and how a row is shown.
"""

import resource
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from judge.rewards.config import Settings
from judge.rewards.evaluation.metrics import figures
from judge.rewards.losses.registry import Targets
from judge.rewards.training.resume import Position


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


class Recent:
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
