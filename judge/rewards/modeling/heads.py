"""Heads: from hidden states at the places where a model reads to its numbers, (N, H) -> (N, C) in fp32.

    N reads, H width of the backbone, C outputs: 1, objectives, members or step classes.

Every linear head is one bias-free matrix `score.weight` of shape (C, H), which is what
AutoModelForSequenceClassification and AutoModelForTokenClassification call by the same name; an ensemble of K is K rows
of it.
"""

import torch
from torch import Tensor, nn

from judge.rewards.registry import HEADS


class LinearHead(nn.Module):
    """r = W h (Christiano et al. 2017), W of shape (C, H); rows are drawn apart, so members differ from the start."""

    def __init__(self, width: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(width, outputs, bias=False)
        nn.init.normal_(self.score.weight, std=(width + 1) ** -0.5)  # Stiennon et al. 2020

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, H) -> (N, C) fp32."""
        with torch.autocast(hidden.device.type, enabled=False):
            return nn.functional.linear(self.dropout(hidden.float()), self.score.weight.float())


class MlpHead(nn.Module):
    """C small networks on shared features: LayerNorm, a layer of `inner` GELU units, one number each.

    r_c = w_cᵀ gelu(W_c LN_c(h) + b_c). Each network has weights of its own from its own draw, with spreads that differ
    (Lakshminarayanan et al. 2017: what ensembles gain comes from different beginnings). All are computed by two batched
    products.
    """

    def __init__(self, width: int, outputs: int, dropout: float = 0.0, inner: int = 0) -> None:
        super().__init__()
        inner = inner or max(32, width // 2)
        self.dropout = nn.Dropout(dropout)
        self.gain = nn.Parameter(torch.ones(outputs, 1, width))
        self.shift = nn.Parameter(torch.zeros(outputs, 1, width))
        self.first = nn.Parameter(torch.empty(outputs, width, inner))
        self.bias = nn.Parameter(torch.zeros(outputs, 1, inner))
        self.second = nn.Parameter(torch.empty(outputs, inner, 1))
        for member in range(outputs):
            spread = 1.0 + 0.5 * member / max(1, outputs - 1)
            nn.init.normal_(self.first[member], std=spread * width**-0.5)
            nn.init.normal_(self.second[member], std=spread * inner**-0.5)

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, H) -> (N, C) fp32."""
        with torch.autocast(hidden.device.type, enabled=False):
            features = nn.functional.layer_norm(self.dropout(hidden.float()), hidden.shape[-1:])
            members = features[None] * self.gain + self.shift  # (C, N, H)
            inner = nn.functional.gelu(torch.baddbmm(self.bias, members, self.first))
            return torch.bmm(self.dropout(inner), self.second)[..., 0].T


class Gate(nn.Module):
    """Weights of the objectives by what was asked (Wang et al. 2024, ArmoRM): softmax of a small network.

    It reads the response's features with the gradient stopped, so that objectives keep their own meaning.
    """

    def __init__(self, width: int, objectives: int, inner: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, inner), nn.SiLU(), nn.Linear(inner, objectives)
        )
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)  # equal weights at the start
        nn.init.zeros_(last.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, H) -> (N, M) fp32, each row summing to 1."""
        with torch.autocast(hidden.device.type, enabled=False):
            return torch.softmax(self.layers(hidden.detach().float()), -1)


class LevelsHead(nn.Module):
    """Token, segment and response level rewards with learnt shares: r = Σ_level share_level · mean over its units.

    A segment (sentence or line) is the mean of its tokens' states; the response is its last token's state. Token and
    segment rewards: Wu et al. 2023 (fine-grained feedback), Yang et al. 2024 (sequence reward as a mean of token
    rewards).
    """

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.token = LinearHead(width, 1)
        self.segment = LinearHead(width, 1)
        self.response = LinearHead(width, 1)
        self.shares = nn.Parameter(torch.zeros(3))  # equal shares at the start

    def forward(self, last: Tensor, tokens: Tensor, reads: Tensor, ends: Tensor) -> Tensor:
        """Rewards of each level; `combine` makes one of them.

        Args:
            last: (N, H) states of the last tokens.
            tokens: (M, H) states of all response tokens, in order.
            reads: (M,) the read that a token belongs to.
            ends: (M,) bool, where a segment ends.

        Returns:
            (N, 3) fp32: token, segment and response level.
        """
        last, tokens = self.dropout(last.float()), self.dropout(tokens.float())
        count = len(last)
        segments = torch.cat([ends.new_zeros(1), ends[:-1]]).cumsum(0)  # (M,) a segment's number
        states = _means(tokens, segments, int(segments[-1]) + 1)
        owner = reads[ends]
        return torch.cat(
            [
                _means(self.token(tokens), reads, count),
                _means(self.segment(states), owner, count),
                self.response(last),
            ],
            -1,
        )

    def combine(self, levels: Tensor) -> Tensor:
        """(N, 3) -> (N, 1)."""
        return (levels * torch.softmax(self.shares, -1)).sum(-1, keepdim=True)


def _means(rows: Tensor, group: Tensor, count: int) -> Tensor:
    """(count, X): means of the rows (M, X) by their group (M,)."""
    sums = rows.new_zeros(count, rows.shape[-1]).index_add(0, group, rows)
    sizes = rows.new_zeros(count).index_add(0, group, rows.new_ones(len(rows)))
    return sums / sizes[:, None]


def make_head(name: str, width: int, outputs: int, dropout: float = 0.0, *, steps: bool = False) -> nn.Module:
    """A head by name.

    Args:
        name: of `HEADS`.
        width: H of the backbone.
        outputs: C.
        dropout: of the features.
        steps: whether it tells steps right from wrong, which a likelihood head must know.

    Raises:
        UnknownNameError: for a name that is none.
    """
    made: nn.Module = HEADS.load(name)(width, outputs, dropout, **({"steps": steps} if name == "likelihood" else {}))
    return made
