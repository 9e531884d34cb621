"""Losses of compared pairs: Bradley and Terry's model, what was made of it, and its rivals.

    P pairs, C outputs (members of an ensemble), d = r_first - r_second of shape (P, C), p = P(first is better).

Each function takes its arguments and returns a `Loss`: rewards (N, C) and targets to one number in fp32. Soft labels
are kept soft: a tie is p = 1/2 unless the loss has a word for ties of its own. Rankings are read as all of their pairs.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from judge.errors import ConfigError
from judge.rewards.data.targets import Pairs, Targets

Loss = Callable[[Tensor, Targets], Tensor]
"""Rewards (N, C) and the targets of the same N reads to one number in fp32."""


def reads(labels: str) -> Callable[[Callable[..., Loss]], Callable[..., Loss]]:
    """Declare that a loss reads "scores", "outcomes" or "steps"; without it a loss reads comparisons."""

    def declare(factory: Callable[..., Loss]) -> Callable[..., Loss]:
        factory.reads = labels  # type: ignore[attr-defined]
        return factory

    return declare


def mean_of(losses: Tensor, weight: Tensor, member_weight: Tensor | None) -> Tensor:
    """The weighted mean of losses over pairs, then the mean over members.

    A member's own weights have the mean 1 over the data, and stand in the numerator alone: a batch in which a member
    has drawn little moves it little.

    Args:
        losses: (P, C).
        weight: (P,).
        member_weight: (P, C), or None.

    Returns:
        () fp32; 0 with a gradient of 0 where there is no pair.
    """
    if not losses.numel():
        return losses.sum()  # nothing to learn, but a part of the graph
    weighted = losses if member_weight is None else losses * member_weight.to(losses.dtype)
    return ((weight[:, None] * weighted).sum(0) / weight.sum().clamp(min=1e-12)).mean()


def check_range(name: str, value: float, low: float, high: float, accepted: str) -> None:
    """Raise ConfigError for an argument outside low <= value <= high."""
    if not low <= value <= high:
        raise ConfigError(f"{name}: found {value:g} (accepted: {accepted})")


def pairwise_loss(pair_losses: Callable[[Pairs], Tensor]) -> Loss:
    """A loss from the loss of each pair, (P, C)."""

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        pairs = targets.pairs(rewards)
        return mean_of(pair_losses(pairs), pairs.weight, pairs.member_weight)

    return loss


def label_probabilities(pairs: Pairs, smoothing: float = 0.0, *, hard: bool = False) -> tuple[Tensor, Tensor]:
    """P(first) and P(second) by the label, (P, 1) each, after rounding (hard) and smoothing."""
    p = pairs.p_first
    if hard:
        p = 0.5 + 0.5 * torch.sign(p - 0.5)  # a tie stays a tie
    p = p * (1 - 2 * smoothing) + smoothing
    return p[:, None], (1 - p)[:, None]


def bradley_terry(*, smoothing: float = 0.0, hard: bool = False) -> Loss:
    """-[p log σ(d) + (1 - p) log σ(-d)]: Bradley & Terry 1952; Christiano et al. 2017, §2.2.3, with its soft label p.

    Args:
        smoothing: ε of p' = (1 - 2ε) p + ε, so a hard label becomes 1 - ε (Szegedy et al. 2016; for preferences
            Mitchell 2023, "conservative DPO"; Wang et al. 2024, "Secrets of RLHF II"). 0 to 0.5.
        hard: whether labels are rounded to the likelier side (Ouyang et al. 2022).

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("smoothing", smoothing, 0, 0.5, "0 to 0.5")

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs, smoothing, hard=hard)
        return -(first * logsigmoid(pairs.difference) + second * logsigmoid(-pairs.difference))

    return pairwise_loss(pair_losses)


def ranknet(*, smoothing: float = 0.0) -> Loss:
    """p log(1 + e^-d) + (1 - p) log(1 + e^d): RankNet (Burges et al. 2005, eq. 3).

    The same as bradley_terry, since -log σ(d) = log(1 + e^-d).

    Args:
        smoothing: as for bradley_terry.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("smoothing", smoothing, 0, 0.5, "0 to 0.5")

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs, smoothing)
        return first * softplus(-pairs.difference) + second * softplus(pairs.difference)

    return pairwise_loss(pair_losses)


def margin(*, scale: float = 1.0, default: float = 0.0) -> Loss:
    """-[p log σ(d - m) + (1 - p) log σ(-d - m)]: Touvron et al. 2023 (Llama 2), eq. 2.

    m = scale · how much better the better one is, a label of its own. Llama 2 used 1, 2/3, 1/3, 0 (small) or 3, 2, 1, 0
    (large) for its four answers.

    Args:
        scale: factor of the label's margin, 0 or more.
        default: m of a pair without a margin.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("scale", scale, 0, math.inf, "0 or more")

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs)
        m = _margins(pairs, scale, default)
        return -(first * logsigmoid(pairs.difference - m) + second * logsigmoid(-pairs.difference - m))

    return pairwise_loss(pair_losses)


def scaled_bradley_terry(*, scale: float = 1.0, default: float = 1.0) -> Loss:
    """-m [p log σ(d) + (1 - p) log σ(-d)]: Wang et al. 2024 (HelpSteer2-Preference), "scaled Bradley-Terry".

    m as in `margin`: 3 for "much better" is as if the pair stood in the data three times; 0 teaches nothing.

    Args:
        scale: factor of the label's margin, 0 or more.
        default: m of a pair without a margin.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("scale", scale, 0, math.inf, "0 or more")

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs)
        m = _margins(pairs, scale, default)
        return -m * (first * logsigmoid(pairs.difference) + second * logsigmoid(-pairs.difference))

    return pairwise_loss(pair_losses)


def _margins(pairs: Pairs, scale: float, default: float) -> Tensor:
    """(P, 1), 0 or more: a margin says how much, the label says which."""
    known = torch.where(pairs.margin.isnan(), torch.full_like(pairs.margin, default), pairs.margin.abs() * scale)
    return known.to(pairs.first.dtype)[:, None]


def three_way(pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    """(P, 1) each: P(first), P(second), P(tie) of the labels; p = P(first) + P(tie) / 2, no known tie is none."""
    tie = torch.nan_to_num(pairs.p_tie, nan=0.0).to(pairs.p_first.dtype)
    tie = torch.minimum(tie, 2 * torch.minimum(pairs.p_first, 1 - pairs.p_first))
    return (pairs.p_first - tie / 2)[:, None], (1 - pairs.p_first - tie / 2)[:, None], tie[:, None]


def rao_kupper(*, theta: float = 2.0) -> Loss:
    """Ties as a verdict of their own, by a threshold θ > 1: Rao & Kupper 1967, with η = log θ:

        P(first) = σ(d - η),  P(second) = σ(-d - η),  P(tie) = (θ² - 1) σ(d - η) σ(-d - η)

    and the loss is the cross-entropy with the label's three probabilities. Equal responses tie with (θ - 1) / (θ + 1).

    Args:
        theta: θ, above 1.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("theta", theta, 1 + 1e-9, math.inf, "above 1")
    eta, between = math.log(theta), math.log(theta**2 - 1)

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second, tie = three_way(pairs)
        wins, loses = logsigmoid(pairs.difference - eta), logsigmoid(-pairs.difference - eta)
        return -(first * wins + second * loses + tie * (between + wins + loses))

    return pairwise_loss(pair_losses)


def davidson(*, nu: float = 1.0) -> Loss:
    """Ties as a verdict of their own, by their strength ν > 0: Davidson 1970; with π = e^r:

        P(first) = π₁ / Z,  P(second) = π₂ / Z,  P(tie) = ν √(π₁ π₂) / Z,  Z = π₁ + π₂ + ν √(π₁ π₂)

    which is softmax(d/2, -d/2, log ν). Equal responses tie with ν / (2 + ν).

    Args:
        nu: ν, above 0.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("nu", nu, 1e-12, math.inf, "above 0")

    def pair_losses(pairs: Pairs) -> Tensor:
        half = pairs.difference / 2
        logits = torch.stack([half, -half, torch.full_like(half, math.log(nu))])
        first, second, tie = (torch.stack(three_way(pairs)) * torch.log_softmax(logits, 0)).unbind(0)
        return -(first + second + tie)

    return pairwise_loss(pair_losses)


def focal(*, gamma: float = 2.0, smoothing: float = 0.0) -> Loss:
    """-[p (1 - σ(d))^γ log σ(d) + (1 - p) σ(d)^γ log σ(-d)]: Lin et al. 2017, eq. 4.

    Pairs that are easily told apart count less; γ = 0 is bradley_terry.

    Args:
        gamma: γ, 0 or more.
        smoothing: as for bradley_terry.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("gamma", gamma, 0, math.inf, "0 or more")
    check_range("smoothing", smoothing, 0, 0.5, "0 to 0.5")

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs, smoothing)
        wins, loses = logsigmoid(pairs.difference), logsigmoid(-pairs.difference)
        return -(first * (gamma * loses).exp() * wins + second * (gamma * wins).exp() * loses)

    return pairwise_loss(pair_losses)


def triplet(*, gap: float = 1.0) -> Loss:
    """p max(0, gap - d) + (1 - p) max(0, gap + d): Schroff et al. 2015 (FaceNet), eq. 3, the prompt as the anchor and
    -r as the distance; Herbrich et al. 2000 for ranking (margin ranking loss, pairwise hinge).

    Args:
        gap: a pair that is so far apart teaches nothing more; 0 or more.

    Returns:
        Rewards (N, C) and targets to the mean over pairs and members.
    """
    check_range("gap", gap, 0, math.inf, "0 or more")

    def pair_losses(pairs: Pairs) -> Tensor:
        first, second = label_probabilities(pairs)
        return first * (gap - pairs.difference).clamp(min=0) + second * (gap + pairs.difference).clamp(min=0)

    return pairwise_loss(pair_losses)
