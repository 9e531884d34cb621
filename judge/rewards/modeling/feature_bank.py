"""A memory of features that were seen in training: how far a new text lies from them, and what its neighbours got.

    S places, N reads, H width of the features, C outputs.

The memory lives in buffers, so it is saved, resumed and moved with the model. This module refuses to know backbones
and losses.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from judge.errors import unknown

BANKS = ("fifo", "reservoir")


class Neighbours(NamedTuple):
    """distance: (N,) 1 − mean cosine of the nearest features, 0 (known) to 2; rewards: (N, C) theirs, weighed."""

    distance: Tensor
    rewards: Tensor


class FeatureBank(nn.Module):
    """The last S features (fifo) or an even sample of all (reservoir; Vitter 1985, algorithm R), with their rewards.

    neighbours: how many nearest ones speak. temperature: of their softmax by cosine. share: how much of a reward is
    its neighbours' when they lie at cosine 1; it fades to nothing at cosine 0.
    """

    features: Tensor
    rewards: Tensor
    seen: Tensor

    def __init__(
        self,
        size: int,
        width: int,
        outputs: int,
        kind: str = "fifo",
        *,
        neighbours: int = 8,
        temperature: float = 0.1,
        share: float = 0.1,
        seed: int = 0,
    ) -> None:
        if kind not in BANKS:
            raise unknown("bank", kind, BANKS)
        super().__init__()
        self.size, self.kind, self.seed = size, kind, seed
        self.neighbours, self.temperature, self.share = neighbours, temperature, share
        self.register_buffer("features", torch.zeros(size, width))
        self.register_buffer("rewards", torch.zeros(size, outputs))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @property
    def filled(self) -> int:
        """How many places hold a feature."""
        return min(self.size, int(self.seen))

    @torch.no_grad()
    def add(self, features: Tensor, rewards: Tensor) -> None:
        """Remember (N, H) features, which are made unit vectors, with their rewards (N, C)."""
        unit = nn.functional.normalize(features.detach().float(), dim=-1)
        for row, reward in zip(unit, rewards.detach().float(), strict=True):
            place = self._place(int(self.seen))
            if place < self.size:
                self.features[place], self.rewards[place] = row, reward
            self.seen += 1

    def _place(self, number: int) -> int:
        """Where the number-th feature goes, `size` or more for nowhere; its number seeds the draw."""
        if self.kind == "fifo":
            return number % self.size
        if number < self.size:
            return number
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        return int(torch.randint(0, number + 1, (), generator=generator))

    @torch.no_grad()
    def near(self, features: Tensor) -> Neighbours:
        """The nearest of the memory by cosine, for (N, H) features; each row by itself, whatever the batch.

        d = 1 − (1/k) Σ cos_i,  r = Σ softmax(cos / τ)_i r_i over the k nearest. An empty memory knows nothing: d is 1
        and r is 0.
        """
        count = self.filled
        if not count:
            return Neighbours(features.new_ones(len(features)).float(), self.rewards.new_zeros(len(features), 1))
        unit = nn.functional.normalize(features.float(), dim=-1)
        cosines, which = (unit @ self.features[:count].T).topk(min(self.neighbours, count), dim=-1)
        weights = torch.softmax(cosines / self.temperature, -1)
        return Neighbours(1 - cosines.mean(-1), (weights[..., None] * self.rewards[which]).sum(1))

    def adjust(self, rewards: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Rewards (N, C) drawn towards the neighbours', and the distance (N,).

        r' = (1 − w) r + w r_near with w = share · max(0, 1 − d): far from all that is known nothing is changed.
        """
        near = self.near(features)
        weight = (self.share * (1 - near.distance).clamp(min=0))[:, None]
        return (1 - weight) * rewards + weight * near.rewards, near.distance
