"""A memory of training features: how far a new text lies from them, and the rewards of its neighbours.

    S places, N reads, H width of the features, C outputs.

The memory lives in buffers, so it is saved, resumed and moved with the model.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from judge.rewards.registry import FEATURE_BANKS


class Neighbours(NamedTuple):
    """The nearest features of each read.

    Attributes:
        distance: (N,) 1 − mean cosine, 0 (known) to 2.
        rewards: (N, C) of them, weighted by similarity.
    """

    distance: Tensor
    rewards: Tensor


class FeatureBank(nn.Module):
    """The last S features (fifo), an even sample of all (reservoir; Vitter 1985, algorithm R), or one in which a
    feature's chance grows with its distance to what was remembered before it (surprising), with their rewards.

    Args:
        size: S.
        width: H.
        outputs: C.
        kind: of `FEATURE_BANKS`.
        neighbours: how many of the nearest features count.
        temperature: of the softmax over their cosines.
        share: how much of a reward is its neighbours' at cosine 1; it fades to nothing at cosine 0.
        seed: of the draws of a reservoir.
    """

    features: Tensor
    rewards: Tensor
    seen: Tensor
    keys: Tensor

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
        super().__init__()
        self.size, self.seed = size, seed
        self._place: Callable[[FeatureBank, float], int] = FEATURE_BANKS.load(kind)
        self._by_surprise = self._place is surprising
        self.neighbours, self.temperature, self.share = neighbours, temperature, share
        self.register_buffer("features", torch.zeros(size, width))
        self.register_buffer("rewards", torch.zeros(size, outputs))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("keys", torch.zeros(size), persistent=self._by_surprise)

    @property
    def filled(self) -> int:
        """How many places hold a feature."""
        return min(self.size, int(self.seen))

    @torch.no_grad()
    def add(self, features: Tensor, rewards: Tensor) -> None:
        """Remember (N, H) features, which are made unit vectors, with their rewards (N, C)."""
        unit = nn.functional.normalize(features.detach().float(), dim=-1)
        surprises = self.nearest(unit).distance.tolist() if self._by_surprise else [1.0] * len(unit)
        for row, reward, surprise in zip(unit, rewards.detach().float(), surprises, strict=True):
            place = self._place(self, surprise)
            if place < self.size:
                self.features[place], self.rewards[place] = row, reward
            self.seen += 1

    @torch.no_grad()
    def nearest(self, features: Tensor) -> Neighbours:
        """The nearest features of the memory by cosine, for (N, H) features; each row by itself, whatever the batch.

        d = 1 − (1/k) Σ cos_i,  r = Σ softmax(cos / τ)_i r_i over the k nearest. An empty memory knows nothing: d is 1
        and r is 0.
        """
        count = self.filled
        if not count:
            return Neighbours(features.new_ones(len(features)).float(), self.rewards.new_zeros(len(features), 1))
        unit = nn.functional.normalize(features.float(), dim=-1)
        cosines, places = (unit @ self.features[:count].T).topk(min(self.neighbours, count), dim=-1)
        weights = torch.softmax(cosines / self.temperature, -1)
        return Neighbours(1 - cosines.mean(-1), (weights[..., None] * self.rewards[places]).sum(1))

    def adjust(self, rewards: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Rewards (N, C) drawn towards the neighbours', and the distance (N,).

        r' = (1 − w) r + w r_near with w = share · max(0, 1 − d): far from all that is known nothing is changed.
        """
        neighbours = self.nearest(features)
        weight = (self.share * (1 - neighbours.distance).clamp(min=0))[:, None]
        return (1 - weight) * rewards + weight * neighbours.rewards, neighbours.distance


def newest(bank: FeatureBank, surprise: float) -> int:
    """Where the next feature goes in a memory of the last ones: over the oldest."""
    return int(bank.seen) % bank.size


def even_sample(bank: FeatureBank, surprise: float) -> int:
    """Where the next feature goes in an even sample of all (`size` or more: nowhere)."""
    number = int(bank.seen)
    return number if number < bank.size else int(torch.randint(0, number + 1, (), generator=_generator(bank)))


def surprising(bank: FeatureBank, surprise: float) -> int:
    """Where the next feature goes in a sample weighed by surprise: Efraimidis & Spirakis 2006, algorithm A-Res.

    Each feature draws a key u^(1/surprise), here its logarithm, and the S highest keys stay. What is like the memory
    has a low one, so a text that comes a thousand times takes few places.
    """
    number, key = int(bank.seen), math.log(float(torch.rand((), generator=_generator(bank)).clamp(min=1e-12)))
    key /= max(surprise, 1e-6)
    place = number if number < bank.size else int(bank.keys.argmin())
    if number >= bank.size and key <= float(bank.keys[place]):
        return bank.size
    bank.keys[place] = key
    return place


def _generator(bank: FeatureBank) -> torch.Generator:
    """Of the next feature's draw; its number seeds it, so a resumed training draws the same."""
    return torch.Generator().manual_seed(bank.seed * 1_000_003 + int(bank.seen))
