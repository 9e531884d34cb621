"""A head that reads what a causal backbone expected: a text is right when every token of it is one that could follow.

    M tokens of all responses or steps, N reads, H width, V vocabulary, C outputs.

A language model knows at each place what ought to come next, but only in its last layer, where no later place can
look it up any more: a linear head on the last token has to work all of it out again. This head compares there. What it
gives is no linear read-out, so a model with it is loaded by rmjudge alone. This module refuses to know batches.
"""

import torch
from torch import Tensor, nn

from judge.errors import ConfigError

LEAST = 1e-6  # of -log P(right), so that P(right) stays below 1
SLOPE, OFFSET = 2.0, 10.0  # α and β to begin with: a token of probability exp(-5) could as well follow as not


class Likelihood(nn.Module):
    """log P(right) = Σ_t log σ(α log p(x_t | x_<t) + β), over the tokens of a response or a step.

    A noisy AND of the tokens (Pearl 1988, §4.3), each of them judged by the backbone's own language model, as implicit
    process rewards are (Rafailov et al. 2024; Yuan et al. 2024, without their reference model); α and β, one each a
    member, and all of the backbone are learnt. With it goes what a linear head reads, W h.
    C = 1: log-odds; members: log-odds each; steps: log P(right), log P(wrong).
    """

    def __init__(self, width: int, outputs: int, dropout: float = 0.0, steps: bool = False) -> None:
        super().__init__()
        if steps and outputs != 2:
            raise ConfigError("head likelihood tells right from wrong; it takes classes 2")
        self.steps = steps
        members = 1 if steps else outputs
        self.dropout = nn.Dropout(dropout)
        self.slope = nn.Parameter(torch.linspace(SLOPE, SLOPE * (1 + 0.25 * (members > 1)), members))
        self.offset = nn.Parameter(torch.linspace(OFFSET, OFFSET * (1 - 0.25 * (members > 1)), members))
        self.linear = nn.Linear(width, members, bias=False)
        nn.init.normal_(self.linear.weight, std=0.1 * (width + 1) ** -0.5)

    def forward(self, features: Tensor, before: Tensor, tokens: Tensor, reads: Tensor, embeddings: Tensor) -> Tensor:
        """(N, C) fp32. features: (N, H) where a text ends; before: (M, H) states before each token; tokens, reads: (M,)
        the token itself and whose it is; embeddings: (V, H)."""
        with torch.autocast(features.device.type, enabled=False):
            features = self.dropout(features.float())
            logits = nn.functional.linear(before.float(), embeddings.float())
            said = -nn.functional.cross_entropy(logits, tokens, reduction="none")  # (M,) log p
            each = nn.functional.logsigmoid(self.slope * said[:, None] + self.offset)  # (M, members)
            right = each.new_zeros(len(features), each.shape[1]).index_add(0, reads, each).clamp(max=-LEAST)
            odds: Tensor = right - torch.log(-torch.expm1(right)) + self.linear(features)
            if not self.steps:
                return odds
            return torch.cat([nn.functional.logsigmoid(odds), nn.functional.logsigmoid(-odds)], -1)


def expectations(model: nn.Module) -> Tensor:
    """The matrix (V, H) by which a backbone's states become expectations; ConfigError where it has none."""
    config = getattr(model, "config", None)
    if not getattr(config, "tie_word_embeddings", False):
        raise ConfigError(
            "head likelihood needs a causal backbone whose input and output embeddings are one (tie_word_embeddings)"
        )
    weight: Tensor = model.get_input_embeddings().weight  # type: ignore[operator]
    return weight
