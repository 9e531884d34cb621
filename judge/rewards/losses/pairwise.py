"""Losses of compared pairs: Bradley and Terry's model, what was made of it, and its rivals.

    P pairs, C outputs (members of an ensemble), d = r_first - r_second of shape (P, C), p = P(first is better).

Each function takes its arguments and returns a `Loss`: rewards (N, C) and targets to one number in fp32. Soft labels
are kept soft: a tie is p = 1/2 unless the loss has a word for ties of its own. Rankings are read as all of their pairs.
This module refuses to know models and how labels came about.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from judge.errors import ConfigError
from judge.rewards.data.targets import Pairs, Targets

Loss = Callable[[Tensor, Targets], Tensor]


def mean_of(losses: Tensor, weight: Tensor, member_weight: Tensor | None) -> Tensor:
    """The weighted mean of losses (P, C) under weight (P,), then the mean over members.

    A member's own weights (P, C) have the mean 1 over the data, and stand in the numerator alone: a batch in which a
    member has drawn little moves it little.
    """
    if not losses.numel():
        return losses.sum()  # nothing to learn here, but still a part of the graph
    weighed = losses if member_weight is None else losses * member_weight.to(losses.dtype)
    return ((weight[:, None] * weighed).sum(0) / weight.sum().clamp(min=1e-12)).mean()


def checked(name: str, value: float, low: float, high: float, accepted: str) -> None:
    """Raise ConfigError for an argument outside low <= value <= high."""
    if not low <= value <= high:
        raise ConfigError(f"{name}: found {value:g} (accepted: {accepted})")


def of_pairs(each: Callable[[Pairs], Tensor]) -> Loss:
    """A loss from what each pair costs, (P, C)."""

    def loss(rewards: Tensor, targets: Targets) -> Tensor:
        pairs = targets.pairs(rewards)
        return mean_of(each(pairs), pairs.weight, pairs.member_weight)

    return loss


def sides(pairs: Pairs, smoothing: float = 0.0, *, hard: bool = False) -> tuple[Tensor, Tensor]:
    """(P, 1) each: the label's probability of either side, after rounding and smoothing."""
    p = pairs.p_first
    if hard:
        p = 0.5 + 0.5 * torch.sign(p - 0.5)  # a tie stays a tie
    p = p * (1 - 2 * smoothing) + smoothing
    return p[:, None], (1 - p)[:, None]


def bradley_terry(*, smoothing: float = 0.0, hard: bool = False) -> Loss:
    """-[p log σ(d) + (1 - p) log σ(-d)]: Bradley & Terry 1952; Christiano et al. 2017, §2.2.3, with its soft label p.

    hard: labels are rounded to the likelier side (Ouyang et al. 2022). smoothing: p' = (1 - 2ε) p + ε, i.e. a hard
    label becomes 1 - ε (Szegedy et al. 2016; for preferences Mitchell 2023, "conservative DPO"; Wang et al. 2024,
    "Secrets of RLHF II").
    """
    checked("smoothing", smoothing, 0, 0.5, "0 to 0.5")

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs, smoothing, hard=hard)
        return -(first * logsigmoid(pairs.difference) + second * logsigmoid(-pairs.difference))

    return of_pairs(each)


def log1p_exp(*, smoothing: float = 0.0) -> Loss:
    """p log(1 + e^-d) + (1 - p) log(1 + e^d): RankNet's form (Burges et al. 2005), the same as bradley_terry
    since -log σ(d) = log(1 + e^-d)."""
    checked("smoothing", smoothing, 0, 0.5, "0 to 0.5")

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs, smoothing)
        return first * softplus(-pairs.difference) + second * softplus(pairs.difference)

    return of_pairs(each)


def margin(*, scale: float = 1.0, default: float = 0.0) -> Loss:
    """-[p log σ(d - m) + (1 - p) log σ(-d - m)]: Touvron et al. 2023 (Llama 2), eq. 2.

    m = scale · how much better the better one is, a label of its own; `default` where a pair has none. Llama 2 used 1,
    2/3, 1/3, 0 (small) or 3, 2, 1, 0 (large) for its four answers.
    """
    checked("scale", scale, 0, math.inf, "0 or more")

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs)
        m = _margins(pairs, scale, default)
        return -(first * logsigmoid(pairs.difference - m) + second * logsigmoid(-pairs.difference - m))

    return of_pairs(each)


def margin_scaled(*, scale: float = 1.0, default: float = 1.0) -> Loss:
    """-m [p log σ(d) + (1 - p) log σ(-d)]: Wang et al. 2024 (HelpSteer2-Preference), "scaled Bradley-Terry".

    m as in `margin`: 3 for "much better" is as if the pair stood in the data three times; 0 teaches nothing.
    """
    checked("scale", scale, 0, math.inf, "0 or more")

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs)
        m = _margins(pairs, scale, default)
        return -m * (first * logsigmoid(pairs.difference) + second * logsigmoid(-pairs.difference))

    return of_pairs(each)


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
    """
    checked("theta", theta, 1 + 1e-9, math.inf, "above 1")
    eta, between = math.log(theta), math.log(theta**2 - 1)

    def each(pairs: Pairs) -> Tensor:
        first, second, tie = three_way(pairs)
        wins, loses = logsigmoid(pairs.difference - eta), logsigmoid(-pairs.difference - eta)
        return -(first * wins + second * loses + tie * (between + wins + loses))

    return of_pairs(each)


def davidson(*, nu: float = 1.0) -> Loss:
    """Ties as a verdict of their own, by their strength ν > 0: Davidson 1970; with π = e^r:

        P(first) = π₁ / Z,  P(second) = π₂ / Z,  P(tie) = ν √(π₁ π₂) / Z,  Z = π₁ + π₂ + ν √(π₁ π₂)

    i.e. softmax(d/2, -d/2, log ν). Equal responses tie with ν / (2 + ν).
    """
    checked("nu", nu, 1e-12, math.inf, "above 0")

    def each(pairs: Pairs) -> Tensor:
        half = pairs.difference / 2
        logits = torch.stack([half, -half, torch.full_like(half, math.log(nu))])
        first, second, tie = (torch.stack(three_way(pairs)) * torch.log_softmax(logits, 0)).unbind(0)
        return -(first + second + tie)

    return of_pairs(each)


def focal(*, gamma: float = 2.0, smoothing: float = 0.0) -> Loss:
    """-[p (1 - σ(d))^γ log σ(d) + (1 - p) σ(d)^γ log σ(-d)]: Lin et al. 2017, eq. 4.

    Pairs that are told apart with ease count less; γ = 0 is bradley_terry.
    """
    checked("gamma", gamma, 0, math.inf, "0 or more")
    checked("smoothing", smoothing, 0, 0.5, "0 to 0.5")

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs, smoothing)
        wins, loses = logsigmoid(pairs.difference), logsigmoid(-pairs.difference)
        return -(first * (gamma * loses).exp() * wins + second * (gamma * wins).exp() * loses)

    return of_pairs(each)


def triplet(*, gap: float = 1.0) -> Loss:
    """p max(0, gap - d) + (1 - p) max(0, gap + d): Schroff et al. 2015 (FaceNet), the prompt as the anchor and
    -r as the distance; Herbrich et al. 2000 for ranking. A pair that is `gap` apart teaches nothing more."""
    checked("gap", gap, 0, math.inf, "0 or more")

    def each(pairs: Pairs) -> Tensor:
        first, second = sides(pairs)
        return first * (gap - pairs.difference).clamp(min=0) + second * (gap + pairs.difference).clamp(min=0)

    return of_pairs(each)
