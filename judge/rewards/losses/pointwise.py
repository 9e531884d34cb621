"""Losses of single texts: scores, outcomes, and a verdict after each step.

    E examples, N reads, C outputs, M objectives.

Where a label is NaN there is no loss and no gradient.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from judge.errors import ConfigError
from judge.rewards.data.targets import Targets, full
from judge.rewards.losses.pairwise import Loss, check_range, reads


@reads("scores")
def regression(*, delta: float = 0.0) -> Loss:
    """(r - y)² on scores y, the mean over what is known: Wang et al. 2023 (HelpSteer), ArmoRM's first stage.

    Outputs are the M objectives, or members of an ensemble that share one score.

    Args:
        delta: above 0 it is Huber's loss (1964), x²/2 within |x| = δ and δ (|x| - δ/2) beyond, so that a wild score
            does not rule.

    Returns:
        Rewards (N, C) and targets with scores (N, M) to the mean over what is known.
    """
    check_range("delta", delta, 0, math.inf, "0 or more")

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        if targets.scores is None:
            raise ConfigError("loss regression needs scores; these examples have none (for pairs: bradley_terry)")
        values = full(rewards)
        scores = targets.scores.to(values.dtype)
        if scores.shape[-1] not in (1, values.shape[-1]):
            raise ConfigError(f"{scores.shape[-1]} objectives are scored, but the model has {values.shape[-1]} outputs")
        known = ~scores.isnan()
        errors = values - torch.where(known, scores, 0.0)
        size = errors.abs()
        losses = errors.square() if not delta else torch.where(size < delta, size**2 / 2, delta * (size - delta / 2))
        return _mean(losses, known.expand_as(losses), targets)

    return loss


@reads("outcomes")
def outcome_cross_entropy(*, smoothing: float = 0.0, q: float = 0.0) -> Loss:
    """-[p log σ(r) + (1 - p) log σ(-r)], p = P(correct): Cobbe et al. 2021 (verifiers), Uesato et al. 2022;
    soft labels kept.

    Args:
        smoothing: as for bradley_terry.
        q: above 0 it is the robust form (1 - σ^q) / q of either side, see noise_robust.generalized_cross_entropy.

    Returns:
        Rewards (N, C) and targets with P(correct) (N,) to the mean over what is known.
    """
    check_range("smoothing", smoothing, 0, 0.5, "0 to 0.5")
    check_range("q", q, 0, 1, "0 to 1")

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        if targets.p_correct is None:
            raise ConfigError("loss outcome_cross_entropy needs P(correct) of each answer; these examples have none")
        values = full(rewards)
        p = targets.p_correct.to(values.dtype)[:, None]
        known = ~p.isnan()
        p = torch.where(known, p, 0.5) * (1 - 2 * smoothing) + smoothing
        right, wrong = generalized_nll(logsigmoid(values), q), generalized_nll(logsigmoid(-values), q)
        return _mean(p * right + (1 - p) * wrong, known.expand_as(values), targets)

    return loss


@reads("steps")
def step_cross_entropy(*, smoothing: float = 0.0, q: float = 0.0) -> Loss:
    """-Σ_c p_c log softmax(z)_c over right, wrong and neutral, the mean over judged steps: Lightman et al. 2023
    (PRM800K), soft labels as Wang et al. 2024 (Math-Shepherd, soft estimation).

    With two outputs neutral counts as right, as PRM800K's authors do.

    Args:
        smoothing: ε of (1 - ε) p + ε / C, 0 to 1.
        q: above 0 it is the robust form (1 - softmax^q) / q, see noise_robust.generalized_cross_entropy.

    Returns:
        Rewards (N, 2 or 3) and targets with classes (N, 3) to the mean over judged steps.
    """
    check_range("smoothing", smoothing, 0, 1, "0 to 1")
    check_range("q", q, 0, 1, "0 to 1")

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        if targets.classes is None:
            raise ConfigError("loss step_cross_entropy needs a verdict for each step; these examples have none")
        values = full(rewards)
        classes = targets.classes.to(values.dtype)
        known = ~classes.isnan().any(-1, keepdim=True)
        classes = torch.where(known, classes, 0.0)
        if values.shape[-1] == 2:
            classes = torch.stack([classes[:, 0] + classes[:, 2], classes[:, 1]], -1)
        elif values.shape[-1] != 3:
            raise ConfigError(
                f"loss step_cross_entropy reads 2 or 3 outputs, right, wrong, neutral; found {values.shape[-1]}"
            )
        classes = (1 - smoothing) * classes + smoothing / values.shape[-1]
        losses = (classes * generalized_nll(torch.log_softmax(values, -1), q)).sum(-1, keepdim=True)
        return _mean(losses, known, targets)

    return loss


def generalized_nll(log_p: Tensor, q: float) -> Tensor:
    """-log p for q = 0, else (1 - p^q) / q, of log-probabilities of any shape; expm1 keeps it exact near p = 1."""
    return -log_p if q == 0 else -torch.expm1(q * log_p) / q


def _mean(losses: Tensor, known: Tensor, targets: Targets) -> Tensor:
    """The mean of losses (N, X) where they are known (N, X), weighted by example, step and bootstrap."""
    weight = targets.weight_of_reads(len(losses)).to(losses.dtype)[:, None]
    weights = torch.where(known, weight.expand_as(losses), 0.0)
    total = weights.sum()
    if not bool(total > 0):
        return (losses * weights).sum()  # nothing to learn, but a part of the graph
    if targets.member_weight is not None and targets.member_weight.shape[1] == losses.shape[1]:
        losses = losses * targets.of_reads(targets.member_weight, len(losses)).to(losses.dtype)
    return torch.where(known, losses * weights, 0.0).sum() / total
