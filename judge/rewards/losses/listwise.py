"""Losses of whole rankings: K responses to one prompt, read as one order and not as pairs.

    E examples, K responses, C outputs; r_(1) … r_(K) are the rewards of an example, best first by its label.

A pair is a ranking of two, and a soft one is both orders, weighed by their probabilities.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from judge.errors import ConfigError
from judge.rewards.data.targets import Targets, full
from judge.rewards.losses.pairwise import Loss, check_range, mean_of

_ABSENT = -1e30  # a missing response in a logsumexp; -inf would make gradients NaN where none is present


def plackett_luce(*, top: int = 0) -> Loss:
    """-Σ_k [r_(k) - log Σ_{j ≥ k} e^{r_(j)}]: Plackett 1975, Luce 1959; ListMLE (Xia et al. 2008); for reward
    models the K-wise likelihood of Zhu et al. 2023.

    The best is chosen among all, the second among the rest, and so on. For K = 2 it is bradley_terry.

    Args:
        top: how many of the first choices count, 0 for all.

    Returns:
        Rewards (N, C) and targets to the mean over rankings and members.
    """
    check_range("top", top, 0, math.inf, "0 or more")

    def ranking_losses(ordered: Tensor, present: Tensor) -> Tensor:
        rest = torch.where(present[..., None], ordered, _ABSENT).flip(1).logcumsumexp(1).flip(1)
        choice = torch.arange(present.shape[1], device=present.device)
        counts = present & (choice + 1 < present.sum(1, keepdim=True)) & (choice < (top or present.shape[1]))
        return torch.where(counts[..., None], rest - ordered, 0.0).sum(1)

    return listwise_loss(ranking_losses)


def adjacent_pairs(*, smoothing: float = 0.0) -> Loss:
    """-1/(K - 1) Σ_k log σ(r_(k) - r_(k+1)): Bradley-Terry between neighbours in the order alone (Burges et al. 2005).

    K - 1 comparisons instead of K (K - 1) / 2: the order's other pairs follow from these.

    Args:
        smoothing: as for bradley_terry.

    Returns:
        Rewards (N, C) and targets to the mean over rankings and members.
    """
    check_range("smoothing", smoothing, 0, 0.5, "0 to 0.5")

    def ranking_losses(ordered: Tensor, present: Tensor) -> Tensor:
        differences = ordered[:, :-1] - ordered[:, 1:]
        losses = -((1 - smoothing) * logsigmoid(differences) + smoothing * logsigmoid(-differences))
        both = (present[:, :-1] & present[:, 1:])[..., None]
        return torch.where(both, losses, 0.0).sum(1) / both.sum(1).clamp(min=1)

    return listwise_loss(ranking_losses)


def info_nce(*, temperature: float = 1.0) -> Loss:
    """-log [e^{r_(1)/τ} / Σ_j e^{r_(j)/τ}]: the best against all others (van den Oord et al. 2018, InfoNCE, eq. 4, with
    the reward as its score).

    Rivals are responses to the same prompt: rewards of different prompts share no scale.

    Args:
        temperature: τ, above 0; a small one looks at the hardest rival alone.

    Returns:
        Rewards (N, C) and targets to the mean over rankings and members.
    """
    check_range("temperature", temperature, 1e-6, math.inf, "above 0")

    def ranking_losses(ordered: Tensor, present: Tensor) -> Tensor:
        logits = torch.where(present[..., None], ordered / temperature, _ABSENT)
        return logits.logsumexp(1) - logits[:, 0]

    return listwise_loss(ranking_losses)


def listwise_loss(ranking_losses: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss from that of each order: ordered rewards (E, K, C) and which are present (E, K) to losses (E, C)."""

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        if targets.groups.shape[1] < 2 or (targets.p_first is None and targets.ranks is None):
            raise ConfigError("these examples rank no responses (accepted: a loss of scores, outcomes or steps)")
        p_labelled, order = _labelled_orders(targets)
        groups = targets.groups.gather(1, order)
        present = groups >= 0
        ordered = full(rewards)[groups.clamp(min=0)]
        p = p_labelled.to(ordered.dtype)[:, None]
        losses = p * ranking_losses(ordered, present)
        soft = p_labelled < 1
        if bool(soft.any()):  # only pairs are soft: the other order is the flipped one
            flipped, both = ordered[:, :2].flip(1), present[:, :2]
            losses = losses + torch.where(soft[:, None], (1 - p) * ranking_losses(flipped, both), 0.0)
        weight = (present.sum(1) > 1).to(ordered.dtype) * targets.weight.to(ordered.dtype)
        return mean_of(losses, weight, targets.member_weight) if bool(weight.any()) else losses.sum() * 0

    return loss


def _labelled_orders(targets: Targets) -> tuple[Tensor, Tensor]:
    """(E,) the probability of the labelled order, and (E, K) that order, best first, missing responses last."""
    count, width = targets.groups.shape
    device = targets.groups.device
    p = torch.ones(count, device=device) if targets.p_first is None else targets.p_first.clone()
    pair = ~p.isnan() if targets.p_first is not None else torch.zeros(count, dtype=torch.bool, device=device)
    places = torch.arange(width, device=device).expand(count, width)
    ranks = places if targets.ranks is None else targets.ranks
    ranks = torch.where(pair[:, None], places, ranks)  # a pair is labelled first before second, with its p
    ranks = torch.where(targets.groups >= 0, ranks, width)
    return torch.where(pair, p, torch.ones_like(p)), torch.argsort(ranks, dim=1, stable=True)
