"""Terms added to a loss by a coefficient each. None looks at which response is better, but for the Brier score.

N reads, P pairs, C outputs (members of an ensemble). Each takes rewards (N, C) and targets and gives () fp32.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from judge.rewards.data.targets import Pairs, Targets, full
from judge.rewards.losses.pairwise import Loss, mean_of


def center_rewards(rewards: Tensor, targets: Targets) -> Tensor:
    """mean (r_first + r_second)²: Eisenstein et al. 2023, "reward centering"; TRL's center_rewards_coefficient.

    Bradley-Terry knows differences alone; this pins their middle to 0 without a pull on their distance. Single texts:
    mean r².
    """
    pairs = _pairs(rewards, targets)
    if pairs is None:
        return l2(rewards, targets)
    return mean_of((pairs.first + pairs.second).square(), pairs.weight, None)


def l2(rewards: Tensor, targets: Targets) -> Tensor:
    """mean r² over all rewards (N, C): keeps them small, so that none is extreme (Hou et al. 2024, ChatGLM-RLHF)."""
    return full(rewards).square().mean()


def diversity(rewards: Tensor, targets: Targets) -> Tensor:
    """-mean_k (q_k - q̄)², q_k = σ(d_k) the k-th member's probability: negative correlation learning (Liu & Yao 1999,
    its penalty summed over members).

    Members are paid for differing from their mean. Of probabilities, not of rewards, so it is bounded by -1/4 and
    cannot outgrow the loss. Without pairs: σ of each reward. 0 for a single output.
    """
    pairs = _pairs(rewards, targets)
    probabilities = torch.sigmoid(full(rewards) if pairs is None else pairs.difference)
    spread = (probabilities - probabilities.mean(-1, keepdim=True)).square()
    return -spread.mean() if pairs is None else -mean_of(spread, pairs.weight, None)


def brier(rewards: Tensor, targets: Targets) -> Tensor:
    """mean (σ(d) - p)²: Brier 1950. A proper score that is bounded, so it pulls σ(d) back where the cross-entropy makes
    it too sure (Hui & Belkin 2021). With P(correct) it looks at σ(r); 0 where there are neither pairs nor outcomes.
    """
    pairs = _pairs(rewards, targets)
    if pairs is not None:
        errors = torch.sigmoid(pairs.difference) - pairs.p_first[:, None]
        return mean_of(errors.square(), pairs.weight, None)
    values = full(rewards)
    if targets.p_correct is None:
        return values.sum() * 0
    p = targets.p_correct.to(values.dtype)[:, None]
    known = ~p.isnan()
    errors = torch.where(known, torch.sigmoid(values) - torch.where(known, p, 0.0), 0.0)
    return errors.square().sum() / (known.sum() * values.shape[-1]).clamp(min=1)


REGULARIZERS: dict[str, Callable[[Tensor, Targets], Tensor]] = {  # each has a setting NAME_coefficient in LossConfig
    "brier": brier,
    "center_rewards": center_rewards,
    "diversity": diversity,
    "l2": l2,
}


def with_regularizers(loss: Loss, **coefficients: float) -> Loss:
    """loss + Σ coefficient · term, by the names of REGULARIZERS; the loss itself when all are 0."""
    added = [(REGULARIZERS[name], value) for name, value in sorted(coefficients.items()) if value]
    if not added:
        return loss

    def total(rewards: Tensor, targets: Targets) -> Tensor:
        value = loss(rewards, targets)
        for term, coefficient in added:
            value = value + coefficient * term(rewards, targets)
        return value

    return total


def _pairs(rewards: Tensor, targets: Targets) -> Pairs | None:
    """The comparisons, where there are any."""
    if targets.groups.shape[1] < 2 or (targets.p_first is None and targets.ranks is None):
        return None
    return targets.pairs(rewards)
