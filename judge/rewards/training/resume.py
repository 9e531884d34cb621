"""Checkpoints: everything that the next step of a training depends on, written whole before the last is removed."""

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from judge.errors import RunError
from judge.rewards.training.shards import load_whole_state

STATE = "state"


@dataclass(slots=True)
class Position:
    """Where a training is: what a checkpoint holds beside weights, optimizers and random states.

    Attributes:
        step: optimizer steps that were taken.
        tokens: computed so far.
        seconds: of training so far.
        best: the lowest validation loss.
        best_step: where it was reached.
        stale: validations since then.
        history: rows of figures.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """What accelerate writes."""
        return {name: getattr(self, name) for name in Position.__slots__}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What accelerate reads."""
        for name in Position.__slots__:
            setattr(self, name, state[name])


class CheckpointClock:
    """Says when so much time has passed since the last checkpoint that another is due, in all processes alike.

    Args:
        accelerator: the first process's clock counts for all of them.
        minutes: between two checkpoints; 0 for never. No more than a tenth of the time goes into writing.
    """

    def __init__(self, accelerator: Any, minutes: float) -> None:
        self._accelerator, self._seconds = accelerator, 60.0 * minutes
        self._last, self._cost = time.monotonic(), 0.0

    def due(self) -> bool:
        """Whether it is time."""
        if not self._seconds:
            return False
        due = time.monotonic() - self._last >= max(self._seconds, 9 * self._cost)
        if self._accelerator.num_processes == 1:
            return due
        from accelerate.utils import broadcast

        return bool(broadcast(torch.tensor(int(due), device=self._accelerator.device)))

    def write(self, folder: Path, step: int) -> None:
        """Write a checkpoint now."""
        began = time.monotonic()
        checkpoint(self._accelerator, folder, step)
        self._last = time.monotonic()
        self._cost = self._last - began


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
        force_to_disk(fresh)
        os.replace(fresh, place / f"step-{step}")
        for old in place.glob("step-*"):
            if old.name != f"step-{step}":
                shutil.rmtree(old)
    accelerator.wait_for_everyone()


def resume(accelerator: Any, folder: Path) -> int:
    """Load the newest checkpoint.

    Returns:
        Its step, 0 when there is none.

    Raises:
        RunError: for a checkpoint that cannot be loaded.
    """
    checkpoints = {int(path.name.removeprefix("step-")): path for path in (folder / STATE).glob("step-*")}
    if not checkpoints:
        return 0
    newest = max(checkpoints)
    try:
        accelerator.load_state(str(checkpoints[newest]))
    except (OSError, RuntimeError, ValueError, KeyError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise RunError(f"{checkpoints[newest]}: cannot be taken up again: {reason}") from None
    return newest


def force_to_disk(folder: Path) -> None:
    """Return once all files of a folder are on the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def save_best(accelerator: Any, model: Any, folder: Path) -> None:
    """Keep the weights of the best validation so far."""
    state = accelerator.get_state_dict(model)
    if accelerator.is_main_process:
        (folder / STATE).mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / STATE / "best.new")
        os.replace(folder / STATE / "best.new", folder / STATE / "best.pt")
    accelerator.wait_for_everyone()


def load_best(accelerator: Any, model: Any, folder: Path) -> None:
    """Take the weights of the best validation again."""
    state = torch.load(folder / STATE / "best.pt", map_location="cpu", weights_only=True)
    load_whole_state(accelerator.unwrap_model(model), state)
