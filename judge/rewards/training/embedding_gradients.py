"""Gradients of embeddings added up in place: a step has a few hundred rows of a matrix (V, H) of many thousands.

    V tokens, H width.

PyTorch makes a matrix (V, H) of zeros in each backward pass and adds it to the gradient, which on a CPU takes longer
than a layer. Here the pass gives the rows that it has (`nn.Embedding.sparse`), and they are added to a gradient that
stays, so clipping and optimizers see what they always see.
"""

from typing import Any

import torch
from torch import nn


class EmbeddingGradients:
    """The gradients that stay, of a training's embeddings; of none on a GPU or with several processes."""

    def __init__(self, model: nn.Module, accelerator: Any) -> None:
        in_place = accelerator.num_processes == 1 and accelerator.device.type == "cpu"
        learns = (part for part in model.modules() if isinstance(part, nn.Embedding) and part.weight.requires_grad)
        self._embeddings = [part for part in learns if not part.sparse] if in_place else []
        self._kept = {part.weight: torch.zeros_like(part.weight) for part in self._embeddings}
        for part in self._embeddings:
            part.sparse = True
        self.reset()

    def reset(self) -> None:
        """Gradients of zero for the next step, after the optimizers have forgotten theirs."""
        for weight, gradient in self._kept.items():
            weight.grad = gradient.zero_()

    def end(self) -> None:
        """Leave the model as it was."""
        for part in self._embeddings:
            part.sparse = False
            part.weight.grad = None
        self._kept.clear()
