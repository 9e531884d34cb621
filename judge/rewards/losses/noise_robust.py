"""Losses of compared pairs that bear wrong labels: what each believes about the noise stands in its docstring.

    P pairs, C outputs, d = r_first - r_second of shape (P, C), p = P(first is better) by the label.

Label smoothing ("conservative") is an argument of bradley_terry. This module refuses to know models and how labels
came about.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from judge.rewards.data.targets import Pairs, Targets
from judge.rewards.losses.pairwise import Loss, checked, mean_of, of_pairs, sides
from judge.rewards.losses.pointwise import surprise


def forward(*, flipped: float = 0.2) -> Loss:
    """-[p log((1 - ε) σ(d) + ε σ(-d)) + (1 - p) log((1 - ε) σ(-d) + ε σ(d))]: labels are flipped with probability ε
    (forward correction: Patrini et al. 2017, theorem 2; Christiano et al. 2017, §2.2.3: a tenth at random).

    The likelihood under that noise: rewards stay those of clean labels, a pair that is surely mislabelled stops
    pulling, and σ(d) keeps its meaning as a probability.
    """
    checked("flipped", flipped, 0, 0.4999, "0 to below 0.5")
    kept, turned = math.log1p(-flipped), math.log(flipped) if flipped else -math.inf

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs)
        wins, loses = logsigmoid(pairs.difference), logsigmoid(-pairs.difference)
        if not flipped:
            return -(first * wins + second * loses)
        seen_first = torch.logaddexp(kept + wins, turned + loses)
        seen_second = torch.logaddexp(kept + loses, turned + wins)
        return -(first * seen_first + second * seen_second)

    return of_pairs(each)


def unbiased(*, flipped: float = 0.2) -> Loss:
    """[(1 - ε) ℓ(d) - ε ℓ(-d)] / (1 - 2ε), ℓ the cross-entropy with the label: Natarajan et al. 2013, lemma 1; for
    preferences Chowdhury et al. 2024 (rDPO).

    In expectation over flips it is the loss of clean labels. It has no lower bound (its gradient never fades below
    ε / (1 - 2ε) of a pair that is told right), so it wants one epoch and a reward penalty.
    """
    checked("flipped", flipped, 0, 0.4999, "0 to below 0.5")

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs)
        wins, loses = logsigmoid(pairs.difference), logsigmoid(-pairs.difference)
        as_told, turned = -(first * wins + second * loses), -(first * loses + second * wins)
        return ((1 - flipped) * as_told - flipped * turned) / (1 - 2 * flipped)

    return of_pairs(each)


def generalized(*, q: float = 0.7) -> Loss:
    """p (1 - σ(d)^q) / q + (1 - p) (1 - σ(-d)^q) / q: Zhang & Sabuncu 2018, eq. 6.

    q → 0 is the cross-entropy, q = 1 the mean absolute error, which symmetric label noise leaves unmoved (Ghosh et al.
    2017) but which learns slowly.
    """
    checked("q", q, 1e-6, 1, "above 0 to 1")

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs)
        return first * surprise(logsigmoid(pairs.difference), q) + second * surprise(logsigmoid(-pairs.difference), q)

    return of_pairs(each)


def symmetric(*, alpha: float = 0.1, beta: float = 1.0, floor: float = -4.0) -> Loss:
    """α H(p, σ) + β H(σ, p): Wang et al. 2019 (symmetric cross-entropy), with log 0 taken as `floor`.

    The second term, -[σ(d) log p + σ(-d) log(1 - p)], is bounded: a wrong label that the model is sure of costs no more
    than -floor.
    """
    checked("alpha", alpha, 0, math.inf, "0 or more")
    checked("beta", beta, 0, math.inf, "0 or more")
    checked("floor", floor, -1e6, 0, "0 or less")

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs)
        d = pairs.difference
        there = -(first * logsigmoid(d) + second * logsigmoid(-d))
        lowest = math.exp(floor)
        back = -(torch.sigmoid(d) * first.clamp(min=lowest).log() + torch.sigmoid(-d) * second.clamp(min=lowest).log())
        return alpha * there + beta * back

    return of_pairs(each)


def trimmed(*, share: float = 0.2) -> Loss:
    """Bradley-Terry over the pairs of a batch that cost least; the costliest `share` of them is left out, by each
    member for itself: iterative trimmed loss (Shen & Sanghavi 2019), co-teaching's small losses (Han et al. 2018).

    A network learns what most labels agree on first, so what costs most is wrong more often than not. Wants batches of
    8 or more; of n pairs ⌈(1 - share) n⌉ stay.
    """
    checked("share", share, 0, 0.9, "0 to 0.9")

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        pairs = targets.pairs(rewards)
        first, second = sides(pairs)
        costs = -(first * logsigmoid(pairs.difference) + second * logsigmoid(-pairs.difference))
        kept = math.ceil(round((1 - share) * len(costs), 6))
        left_out = costs.detach().argsort(0).argsort(0) >= kept
        costs = torch.where(left_out, 0.0, costs)
        return mean_of(costs, pairs.weight, pairs.member_weight) * (len(costs) / max(kept, 1))

    return loss
