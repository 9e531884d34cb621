"""Losses of whole rankings: K responses to one prompt, read as one order and not as pairs.

    E examples, K responses, C outputs; r_(1) … r_(K) are the rewards of an example, best first by its label.

A pair is a ranking of two, and a soft one is both orders, weighed by their probabilities. This module refuses to know
models and how labels came about.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from judge.errors import ConfigError
from judge.rewards.data.targets import Targets, full
from judge.rewards.losses.pairwise import Loss, checked, mean_of

_LOW = -1e30  # stands for "not there" in a logsumexp; -inf would make gradients NaN where nobody is there


def plackett_luce(*, top: int = 0) -> Loss:
    """-Σ_k [r_(k) - log Σ_{j ≥ k} e^{r_(j)}]: Plackett 1975, Luce 1959; ListMLE (Xia et al. 2008); for reward
    models the K-wise likelihood of Zhu et al. 2023.

    The best is chosen among all, the second among the rest, and so on. top: only the first so many choices count, 0
    for all. For K = 2 it is bradley_terry.
    """
    checked("top", top, 0, math.inf, "0 or more")

    def each(ordered: Tensor, there: Tensor) -> Tensor:
        rest = torch.where(there[..., None], ordered, _LOW).flip(1).logcumsumexp(1).flip(1)
        choice = torch.arange(there.shape[1], device=there.device)
        counts = there & (choice + 1 < there.sum(1, keepdim=True)) & (choice < (top or there.shape[1]))
        return torch.where(counts[..., None], rest - ordered, 0.0).sum(1)

    return of_rankings(each)


def adjacent(*, smoothing: float = 0.0) -> Loss:
    """-1/(K - 1) Σ_k log σ(r_(k) - r_(k+1)): Bradley-Terry between neighbours in the order alone (Burges et al. 2005).

    K - 1 comparisons instead of K (K - 1) / 2: the order's other pairs follow from these. smoothing: as for pairs.
    """
    checked("smoothing", smoothing, 0, 0.5, "0 to 0.5")

    def each(ordered: Tensor, there: Tensor) -> Tensor:
        steps = ordered[:, :-1] - ordered[:, 1:]
        cost = -((1 - smoothing) * logsigmoid(steps) + smoothing * logsigmoid(-steps))
        both = (there[:, :-1] & there[:, 1:])[..., None]
        return torch.where(both, cost, 0.0).sum(1) / both.sum(1).clamp(min=1)

    return of_rankings(each)


def contrastive(*, temperature: float = 1.0) -> Loss:
    """-log [e^{r_(1)/τ} / Σ_j e^{r_(j)/τ}]: the best against all others (van den Oord et al. 2018, InfoNCE, eq. 4, with
    the reward as its score).

    A small τ looks at the hardest rival alone. Rivals are responses to the same prompt: rewards of different prompts
    share no scale.
    """
    checked("temperature", temperature, 1e-6, math.inf, "above 0")

    def each(ordered: Tensor, there: Tensor) -> Tensor:
        logits = torch.where(there[..., None], ordered / temperature, _LOW)
        return logits.logsumexp(1) - logits[:, 0]

    return of_rankings(each)


def of_rankings(each: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss from what an order costs: ordered rewards (E, K, C), and which of them are there (E, K), to (E, C)."""

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        if targets.groups.shape[1] < 2 or (targets.p_first is None and targets.ranks is None):
            raise ConfigError("these examples rank no responses (accepted: a loss of scores, outcomes or steps)")
        p_as_told, order = _orders(targets)
        groups = targets.groups.gather(1, order)
        there = groups >= 0
        ordered = full(rewards)[groups.clamp(min=0)]
        p = p_as_told.to(ordered.dtype)[:, None]
        costs = p * each(ordered, there)
        soft = p_as_told < 1
        if bool(soft.any()):  # only pairs are soft: the other order is the flipped one
            turned, both = ordered[:, :2].flip(1), there[:, :2]
            costs = costs + torch.where(soft[:, None], (1 - p) * each(turned, both), 0.0)
        enough = (there.sum(1) > 1).to(ordered.dtype) * targets.weight.to(ordered.dtype)
        return mean_of(costs, enough, targets.member_weight) if bool(enough.any()) else costs.sum() * 0

    return loss


def _orders(targets: Targets) -> tuple[Tensor, Tensor]:
    """(E,) the probability of the order that is told, and (E, K) that order, best first, what is not there last."""
    count, width = targets.groups.shape
    device = targets.groups.device
    p = torch.ones(count, device=device) if targets.p_first is None else targets.p_first.clone()
    pair = ~p.isnan() if targets.p_first is not None else torch.zeros(count, dtype=torch.bool, device=device)
    places = torch.arange(width, device=device).expand(count, width)
    ranks = places if targets.ranks is None else targets.ranks
    ranks = torch.where(pair[:, None], places, ranks)  # a pair is told as first before second, with its p
    ranks = torch.where(targets.groups >= 0, ranks, width)
    return torch.where(pair, p, torch.ones_like(p)), torch.argsort(ranks, dim=1, stable=True)
