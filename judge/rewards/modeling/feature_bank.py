"""A memory of training features: how far a new text lies from them, the rewards of its neighbours, and a contrast of
good texts with bad ones.

    S places, N reads, H width of the features, C outputs.

The memory lives in buffers, so it is saved, resumed and moved with the model.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from judge.rewards.registry import FEATURE_BANKS

MIN_LABEL = 1e-6  # of a remembered text, so that no logarithm is of 0


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
        labelled: whether it remembers how good each text was, for `contrast`.
    """

    features: Tensor
    rewards: Tensor
    labels: Tensor
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
        labelled: bool = False,
    ) -> None:
        super().__init__()
        self.size, self.seed = size, seed
        self._place: Callable[[FeatureBank, float], int] = FEATURE_BANKS.load(kind)
        self._by_surprise = self._place is surprising
        self.neighbours, self.temperature, self.share = neighbours, temperature, share
        self.register_buffer("features", torch.zeros(size, width))
        self.register_buffer("rewards", torch.zeros(size, outputs))
        self.register_buffer("labels", torch.full((size,), math.nan), persistent=labelled)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("keys", torch.zeros(size), persistent=self._by_surprise)

    @property
    def filled(self) -> int:
        """How many places hold a feature."""
        return min(self.size, int(self.seen))

    @torch.no_grad()
    def add(self, features: Tensor, rewards: Tensor, labels: Tensor | None = None) -> None:
        """Remember (N, H) features, which are made unit vectors, with their rewards (N, C) and labels (N,)."""
        unit = nn.functional.normalize(features.detach().float(), dim=-1)
        surprises = self.nearest(unit).distance.tolist() if self._by_surprise else [1.0] * len(unit)
        known = torch.full_like(unit[:, 0], math.nan) if labels is None else labels
        for row, reward, label, surprise in zip(unit, rewards.detach().float(), known, surprises, strict=True):
            place = self._place(self, surprise)
            if place < self.size:
                self.features[place], self.rewards[place], self.labels[place] = row, reward, label
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

    def contrast(self, features: Tensor, labels: Tensor) -> Tensor:
        """() −(1/N) Σ_i [p_i log q_i + (1 − p_i) log(1 − q_i)], q_i = Σ_b softmax_b(cos_ib / τ) p_b over the memory.

        q is what the remembered texts say by their likeness, so features come near those of texts that are as good and
        away from the others: InfoNCE (van den Oord et al. 2018, eq. 4) with all texts of a class as positives, which is
        neighbourhood component analysis with a memory (Wu et al. 2018, eq. 5), its labels soft. What has no label
        counts 0; a memory without labels, or with equal ones, says nothing.

        Args:
            features: (N, H), with their gradient.
            labels: (N,) p, how good each is, 0 to 1; NaN where unknown.
        """
        unit = nn.functional.normalize(features.float(), dim=-1)
        usable, known = ~labels.isnan(), ~self.labels[: self.filled].isnan()
        p = self.labels[: self.filled][known].clamp(MIN_LABEL, 1 - MIN_LABEL)
        if not bool(usable.any()) or not len(p) or float(p.max() - p.min()) < MIN_LABEL:
            return unit.sum() * 0
        cosines = unit[usable] @ self.features[: self.filled][known].T / self.temperature
        total = cosines.logsumexp(-1)
        log_q, log_not_q = ((cosines + part.log()).logsumexp(-1) - total for part in (p, 1 - p))
        terms = labels[usable] * log_q + (1 - labels[usable]) * log_not_q
        return -terms.sum() / len(features)


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
