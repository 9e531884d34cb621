"""A head that reads what a causal backbone expects: a text is right when each of its tokens is one that could follow.

    M tokens of all responses or steps, N reads, H width, V vocabulary, C outputs.

A language model knows at each place what ought to come next, but only in its last layer, where no later place can
look it up: a linear head on the last token has to work all of it out again. This head compares there. What it
gives is no linear read-out, so a model with it is loaded by rmjudge alone.
"""

import torch
from torch import Tensor, nn

from judge.errors import ConfigError

MIN_SURPRISE = 1e-6  # of -log P(right), so that P(right) stays below 1
SLOPE, OFFSET = 2.0, 10.0  # α and β at the start: a token of probability exp(-5) could as well follow as not


class LikelihoodHead(nn.Module):
    """log P(right) = Σ_t log σ(α log p(x_t | x_<t) + β), over the tokens of a response or a step.

    A noisy AND of the tokens (Pearl 1988, §4.3), each of them judged by the backbone's own language model, as implicit
    process rewards are (Rafailov et al. 2024; Yuan et al. 2024, without their reference model); α and β, one each a
    member, and all of the backbone are learnt. With it goes what a linear head reads, W h.
    C = 1: log-odds; members: log-odds each; steps: log P(right), log P(wrong).
    """

    def __init__(self, width: int, outputs: int, dropout: float = 0.0, steps: bool = False) -> None:
        super().__init__()
        if steps and outputs != 2:
            raise ConfigError("head likelihood tells right from wrong; it takes step_classes 2")
        self.steps = steps
        members = 1 if steps else outputs
        self.dropout = nn.Dropout(dropout)
        self.slope = nn.Parameter(torch.linspace(SLOPE, SLOPE * (1 + 0.25 * (members > 1)), members))
        self.offset = nn.Parameter(torch.linspace(OFFSET, OFFSET * (1 - 0.25 * (members > 1)), members))
        self.linear = nn.Linear(width, members, bias=False)
        nn.init.normal_(self.linear.weight, std=0.1 * (width + 1) ** -0.5)

    def forward(self, features: Tensor, before: Tensor, tokens: Tensor, reads: Tensor, embeddings: Tensor) -> Tensor:
        """Log-odds of each read.

        Args:
            features: (N, H) states where a text or step ends.
            before: (M, H) states before each token.
            tokens: (M,) the tokens themselves.
            reads: (M,) the read that a token belongs to.
            embeddings: (V, H) of the backbone, by which states become expectations.

        Returns:
            (N, C) fp32.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = self.dropout(features.float())
            logits = nn.functional.linear(before.float(), embeddings.float())
            log_p = -nn.functional.cross_entropy(logits, tokens, reduction="none")  # (M,)
            accepted = nn.functional.logsigmoid(self.slope * log_p[:, None] + self.offset)  # (M, members)
            right = (
                accepted.new_zeros(len(features), accepted.shape[1])
                .index_add(0, reads, accepted)
                .clamp(max=-MIN_SURPRISE)
            )
            odds: Tensor = right - torch.log(-torch.expm1(right)) + self.linear(features)
            if not self.steps:
                return odds
            return torch.cat([nn.functional.logsigmoid(odds), nn.functional.logsigmoid(-odds)], -1)
