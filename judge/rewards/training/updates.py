"""What is done to the weights once a step's gradients are there."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from judge.rewards.config import RewardConfig
from judge.rewards.training.embedding_gradients import EmbeddingGradients
from judge.rewards.training.optimizers import trained_weights
from judge.rewards.training.shards import share_buffers


class Updates:
    """Clipping, the optimizers' steps, and gradients of zero again.

    Args:
        model: that is trained, with the weights that it begins with.
        optimizers: of its weights.
        accelerator: of the training.
        config: of the reward model.
    """

    def __init__(self, model: Any, optimizers: Sequence[Any], accelerator: Any, config: RewardConfig) -> None:
        self._model, self._optimizers, self._accelerator = model, optimizers, accelerator
        self._max_norm = config.training.max_grad_norm or math.inf
        self._embeddings = EmbeddingGradients(model, accelerator)
        matrices, others, _ = trained_weights(model)
        self._start = PullToStart([*matrices, *others], config.training.l2_sp) if config.training.l2_sp else None

    def apply(self) -> float:
        """Take a step; the gradient's norm before it was clipped."""
        norm = self._accelerator.clip_grad_norm_(self._model.parameters(), self._max_norm)
        for optimizer in self._optimizers:
            optimizer.step()
            if self._start is not None:
                self._start.pull(optimizer.param_groups)
            optimizer.zero_grad()
        self._embeddings.reset()
        share_buffers(self._model)
        return float(norm)

    def end(self) -> None:
        """Leave the model as it was, but for its weights."""
        self._embeddings.end()


class PullToStart:
    """L2-SP (Li, Grandvalet & Davoine 2018): a backbone's weights are pulled to where they began, not to 0.

    Decoupled from the gradients, as AdamW's decay is: w ← w + rate · coefficient · (w_start − w).

    Args:
        weights: as they begin; they are copied.
        coefficient: of the pull, per unit of the learning rate.
    """

    def __init__(self, weights: Sequence[Tensor], coefficient: float) -> None:
        self.coefficient = coefficient
        self._start = {weight: weight.detach().clone() for weight in weights}

    @torch.no_grad()
    def pull(self, groups: Sequence[dict[str, Any]]) -> None:
        """Move the weights of an optimizer's groups, by their rates of this step."""
        for group in groups:
            for weight in group["params"]:
                if weight in self._start:
                    weight.lerp_(self._start[weight], min(1.0, group["lr"] * self.coefficient))
