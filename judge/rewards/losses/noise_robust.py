"""Losses of compared pairs that bear wrong labels: what each assumes about the noise stands in its docstring.

    P pairs, C outputs, d = r_first - r_second of shape (P, C), p = P(first is better) by the label.

Label smoothing ("conservative") is an argument of bradley_terry.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from judge.rewards.data.targets import Pairs, Targets
from judge.rewards.losses.pairwise import Loss, check_range, label_probabilities, mean_of, pairwise_loss
from judge.rewards.losses.pointwise import generalized_nll


def forward_correction(*, flipped: float = 0.2) -> Loss:
    """-[p log((1 - ε) σ(d) + ε σ(-d)) + (1 - p) log((1 - ε) σ(-d) + ε σ(d))]: labels are flipped with probability ε
    (forward correction: Patrini et al. 2017, theorem 2; Christiano et al. 2017, §2.2.3: a tenth at random).

    The likelihood under that noise: rewards stay those of clean labels, a pair that is surely mislabelled stops
    pulling, and σ(d) keeps its meaning as a probability.

    Args:
        flipped: ε, the share of labels that are wrong, 0 to below 0.5.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("flipped", flipped, 0, 0.4999, "0 to below 0.5")
    log_kept, log_flipped = math.log1p(-flipped), math.log(flipped) if flipped else -math.inf

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs)
        wins, loses = logsigmoid(pairs.difference), logsigmoid(-pairs.difference)
        if not flipped:
            return -(first * wins + second * loses)
        observed_first = torch.logaddexp(log_kept + wins, log_flipped + loses)
        observed_second = torch.logaddexp(log_kept + loses, log_flipped + wins)
        return -(first * observed_first + second * observed_second)

    return pairwise_loss(pair_losses)


def rdpo(*, flipped: float = 0.2) -> Loss:
    """[(1 - ε) ℓ(d) - ε ℓ(-d)] / (1 - 2ε), ℓ the cross-entropy with the label: Natarajan et al. 2013, lemma 1; for
    preferences Chowdhury et al. 2024 (rDPO).

    In expectation over flips it is the loss of clean labels. It has no lower bound (its gradient never fades below
    ε / (1 - 2ε) of a pair that is told right), so it wants one epoch and a penalty on the rewards.

    Args:
        flipped: ε, the share of labels that are wrong, 0 to below 0.5.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("flipped", flipped, 0, 0.4999, "0 to below 0.5")

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs)
        wins, loses = logsigmoid(pairs.difference), logsigmoid(-pairs.difference)
        labelled, opposite = -(first * wins + second * loses), -(first * loses + second * wins)
        return ((1 - flipped) * labelled - flipped * opposite) / (1 - 2 * flipped)

    return pairwise_loss(pair_losses)


def generalized_cross_entropy(*, q: float = 0.7) -> Loss:
    """p (1 - σ(d)^q) / q + (1 - p) (1 - σ(-d)^q) / q: Zhang & Sabuncu 2018, eq. 6.

    q → 0 is the cross-entropy, q = 1 the mean absolute error, which symmetric label noise leaves unmoved (Ghosh et al.
    2017) but which learns slowly.

    Args:
        q: above 0 to 1.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("q", q, 1e-6, 1, "above 0 to 1")

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs)
        return first * generalized_nll(logsigmoid(pairs.difference), q) + second * generalized_nll(
            logsigmoid(-pairs.difference), q
        )

    return pairwise_loss(pair_losses)


def symmetric_cross_entropy(*, alpha: float = 0.1, beta: float = 1.0, floor: float = -4.0) -> Loss:
    """α H(p, σ) + β H(σ, p): Wang et al. 2019, eq. 6, with log 0 taken as `floor`.

    The second term, -[σ(d) log p + σ(-d) log(1 - p)], is bounded: a wrong label that the model is sure of costs no more
    than -floor.

    Args:
        alpha: α, 0 or more.
        beta: β, 0 or more.
        floor: what log 0 is taken as, 0 or less.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("alpha", alpha, 0, math.inf, "0 or more")
    check_range("beta", beta, 0, math.inf, "0 or more")
    check_range("floor", floor, -1e6, 0, "0 or less")

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs)
        d = pairs.difference
        cross_entropy = -(first * logsigmoid(d) + second * logsigmoid(-d))
        lowest = math.exp(floor)
        reverse = -(
            torch.sigmoid(d) * first.clamp(min=lowest).log() + torch.sigmoid(-d) * second.clamp(min=lowest).log()
        )
        return alpha * cross_entropy + beta * reverse

    return pairwise_loss(pair_losses)


def trimmed(*, share: float = 0.2) -> Loss:
    """Bradley-Terry over the pairs of a batch that cost least; the costliest `share` of them is left out, by each
    member for itself: iterative trimmed loss (Shen & Sanghavi 2019), co-teaching's small losses (Han et al. 2018).

    A network learns what most labels agree on first, so what costs most is wrong more often than not. Wants batches of
    8 or more; of n pairs ⌈(1 - share) n⌉ stay.

    Args:
        share: of the pairs left out, 0 to 0.9.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("share", share, 0, 0.9, "0 to 0.9")

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        pairs = targets.pairs(rewards)
        first, second = label_probabilities(pairs)
        losses = -(first * logsigmoid(pairs.difference) + second * logsigmoid(-pairs.difference))
        kept = math.ceil(round((1 - share) * len(losses), 6))
        left_out = losses.detach().argsort(0).argsort(0) >= kept
        losses = torch.where(left_out, 0.0, losses)
        return mean_of(losses, pairs.weight, pairs.member_weight) * (len(losses) / max(kept, 1))

    return loss
