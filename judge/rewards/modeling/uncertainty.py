"""What a reward model does not know: σ of a reward, and σ of the difference of two responses to one prompt.

    N reads, F width of the features, C outputs, S statements (pairs, outcomes or scores), R directions, D deviations.

Every method gives a read a vector of D deviations. Its length is σ of the reward, and the length of the difference of
two vectors is σ of the difference of the two rewards: what two responses have in common cancels.

    members  what the trained members of an ensemble say
    refit    last layers refitted to convergence on the final features, each by a bootstrap over prompts
    laplace  the Gaussian posterior of the last layer, in closed form
    dropout  the head under fixed masks of its features

σ speaks of the head on the features that the backbone gives. Where the backbone reads two texts as one, it is blind.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from judge.errors import ConfigError

REFITS, MASKS = 16, 32
MIN_DROPOUT = 0.1  # of the masks, where the head itself was trained without
MAX_DIRECTIONS = 512
PRECISIONS = tuple(10.0**power for power in range(3, -5, -1))  # of the prior, times the mean curvature
_NEWTON_STEPS, _TOLERANCE = 100, 1e-12


class Statements(NamedTuple):
    """What a last layer w learns from: P(y) = σ(wᵀx), or with `noise` a score y = wᵀx + ε.

    Attributes:
        inputs: (S, F) a text's features, or the difference of two texts'.
        labels: (S,) in [0, 1], or scores.
        weights: (S,).
        member_weights: (S, K) of a bootstrap.
        center: (F,) the features whose reward has no deviation: the mean of the data where only differences were
            learnt, else 0.
        noise: variance of the scores; None for statements that are true or not.
    """

    inputs: Tensor
    labels: Tensor
    weights: Tensor
    member_weights: Tensor
    center: Tensor
    noise: float | None = None


class Uncertainty(nn.Module):
    """A method of uncertainty, fitted."""

    name = ""

    def deviations(self, features: Tensor, values: Tensor, head: nn.Module) -> Tensor:
        """(N, D) of features (N, F), values (N, C) of trained members, and the head that made them."""
        raise NotImplementedError


class Members(Uncertainty):
    """σ² = (1/C) Σ_k (r_k − r̄)² of the trained members (Lakshminarayanan et al. 2017), their levels taken out."""

    name = "members"

    def deviations(self, features: Tensor, values: Tensor, head: nn.Module) -> Tensor:
        """(N, C)."""
        return _spread(values)


class Refit(Uncertainty):
    """σ² = (1/K) Σ_k (w_kᵀx − mean)² of K last layers, each at the optimum of its own bootstrap (Rubin 1981).

    An optimum of a convex loss depends on no start, so what the members differ in is what the data leave open.
    """

    name = "refit"
    center: Tensor
    weight: Tensor

    def __init__(self, center: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center.float())
        self.register_buffer("weight", weight.float())

    def deviations(self, features: Tensor, values: Tensor, head: nn.Module) -> Tensor:
        """(N, K)."""
        return _spread((features.float() - self.center) @ self.weight.T)


class Laplace(Uncertainty):
    """σ² = xᵀ Λ⁻¹ x with Λ = λ I + Σ_s weight_s p_s (1 − p_s) x_s x_sᵀ: MacKay 1992; Daxberger et al. 2021, §2.

    Along R directions `basis` the posterior has the deviations `scales`; in all others it is still the prior, 1/√λ. So
    a text unlike everything that was compared in training has the highest σ.
    """

    name = "laplace"
    center: Tensor
    basis: Tensor
    scales: Tensor
    prior: Tensor

    def __init__(self, center: Tensor, basis: Tensor, scales: Tensor, prior: Tensor) -> None:
        super().__init__()
        for name, value in (("center", center), ("basis", basis), ("scales", scales), ("prior", prior)):
            self.register_buffer(name, value.float())

    def deviations(self, features: Tensor, values: Tensor, head: nn.Module) -> Tensor:
        """(N, F): Λ^(−1/2) x."""
        inputs = features.float() - self.center
        return inputs * self.prior + (inputs @ self.basis.T) * (self.scales - self.prior) @ self.basis


class Dropout(Uncertainty):
    """The head under T masks of its features (Gal & Ghahramani 2016), the same for all texts, so that σ of a difference
    means something, and a score never depends on its batch.
    """

    name = "dropout"
    masks: Tensor
    levels: Tensor

    def __init__(self, masks: Tensor, levels: Tensor) -> None:
        super().__init__()
        self.register_buffer("masks", masks.float())
        self.register_buffer("levels", levels.float())

    def deviations(self, features: Tensor, values: Tensor, head: nn.Module) -> Tensor:
        """(N, T)."""
        return _spread(masked_rewards(features, self.masks, head) - self.levels)


METHODS: dict[str, type[Uncertainty]] = {kind.name: kind for kind in (Members, Refit, Laplace, Dropout)}


def from_state(name: str, state: Mapping[str, Tensor]) -> Uncertainty:
    """A saved method by its name and its buffers.

    Raises:
        ConfigError: for buffers that are not those of the method.
    """
    try:
        return METHODS[name](**state)
    except (KeyError, TypeError):
        found = f"uncertainty {name} with the weights {', '.join(state) or 'none'}"
        raise ConfigError(f"{found} (accepted: {', '.join(METHODS)}, as they were saved)") from None


def fit_laplace(statements: Statements) -> Laplace:
    """The posterior of the last layer under the prior precision λ of the highest evidence (MacKay 1992, eq. 4.10)."""
    basis, inputs = _reduced(statements)
    weight, precision = _most_evident(statements, inputs)
    curvature, vectors = torch.linalg.eigh(_curvature(statements, inputs, weight, statements.weights))
    scales = (curvature.clamp(min=0) + precision).rsqrt()
    prior = torch.as_tensor(precision, dtype=torch.float64).rsqrt()
    return Laplace(statements.center, vectors.T @ basis, scales, prior)


def fit_refit(statements: Statements) -> Refit:
    """K last layers, each fitted to its own weights of the statements, under the prior of `fit_laplace`."""
    basis, inputs = _reduced(statements)
    start, precision = _most_evident(statements, inputs)
    layers = [
        _optimum(statements, inputs, statements.weights * member, precision, start)
        for member in statements.member_weights.double().unbind(-1)
    ]
    return Refit(statements.center, torch.stack(layers) @ basis)


def fit_dropout(features: Tensor, head: nn.Module, share: float, seed: int) -> Dropout:
    """Masks that leave out a share of the features, and the level that each of them gives the data (N, F)."""
    share = share or MIN_DROPOUT
    generator = torch.Generator().manual_seed(seed)
    kept = torch.rand(MASKS, features.shape[1], generator=generator) >= share
    masks = (kept.float() / (1 - share)).to(features.device)
    return Dropout(masks, masked_rewards(features, masks, head).mean(0))


@torch.no_grad()
def masked_rewards(features: Tensor, masks: Tensor, head: nn.Module) -> Tensor:
    """(N, T): the head's reward (of members their mean) under each mask (T, F)."""
    rewards: list[Tensor] = [head(features * mask).mean(-1) for mask in masks]
    return torch.stack(rewards, -1)


def _spread(values: Tensor) -> Tensor:
    """(N, K) deviations of values (N, K) from their mean, so that their length is the standard deviation."""
    centred: Tensor = (values - values.mean(-1, keepdim=True)) / float(values.shape[-1] ** 0.5)
    return centred


# ---- the last layer's fit, in fp64 ----------------------------------------------------------------------------------


def _reduced(statements: Statements) -> tuple[Tensor, Tensor]:
    """The R directions (R, F) in which the inputs vary most, and the inputs (S, R) along them."""
    inputs = statements.inputs.double()
    few = len(inputs) < inputs.shape[1]  # then the products of texts are the smaller matrix, with the same spectrum
    variances, vectors = torch.linalg.eigh(inputs @ inputs.T if few else inputs.T @ inputs)
    count = max(1, min(MAX_DIRECTIONS, int((variances > 1e-10 * variances[-1]).sum())))
    vectors = vectors[:, len(variances) - count :]
    if few:
        vectors = inputs.T @ vectors / variances[len(variances) - count :].clamp(min=1e-300).sqrt()
    return vectors.T, inputs @ vectors


def _most_evident(statements: Statements, inputs: Tensor) -> tuple[Tensor, float]:
    """The last layer (R,) and the prior precision λ that have the highest evidence.

    log evidence = −loss − λ/2 |w|² − ½ Σ_i log(1 + c_i / λ), c the curvature's eigenvalues.
    """
    weights = statements.weights.double()
    start = inputs.new_zeros(inputs.shape[1])
    scale = float((weights[:, None] * inputs.square()).sum() / max(1, inputs.shape[1])) / (statements.noise or 4.0)
    best, chosen = -torch.inf, (start, max(scale, 1e-12))
    for factor in PRECISIONS:  # from the strongest prior down, each fit beginning at the one before
        precision = max(scale * factor, 1e-12)
        start = _optimum(statements, inputs, weights, precision, start)
        curvature = torch.linalg.eigvalsh(_curvature(statements, inputs, start, weights)).clamp(min=0)
        evidence = -float(_loss(statements, inputs, start, weights, precision)) - 0.5 * float(
            torch.log1p(curvature / precision).sum()
        )
        if evidence > best:
            best, chosen = evidence, (start, precision)
    return chosen


def _optimum(statements: Statements, inputs: Tensor, weights: Tensor, precision: float, start: Tensor) -> Tensor:
    """The layer (R,) of the lowest penalised loss, by Newton's method with halved steps."""
    layer = start.clone()
    identity = precision * torch.eye(len(layer), dtype=layer.dtype, device=layer.device)
    loss = _loss(statements, inputs, layer, weights, precision)
    for _ in range(_NEWTON_STEPS):
        logit = inputs @ layer
        error = torch.sigmoid(logit) - statements.labels if statements.noise is None else logit - statements.labels
        slope = inputs.T @ (weights * error / (statements.noise or 1.0)) + precision * layer
        step = torch.linalg.solve(_curvature(statements, inputs, layer, weights) + identity, slope)
        gain = float(slope @ step)
        if gain < _TOLERANCE:
            break
        size = 1.0
        while size > 1e-6 and _loss(statements, inputs, layer - size * step, weights, precision) > loss:
            size /= 2
        layer = layer - size * step
        loss = _loss(statements, inputs, layer, weights, precision)
    return layer


def _loss(statements: Statements, inputs: Tensor, layer: Tensor, weights: Tensor, precision: float) -> Tensor:
    """−Σ_s weight_s log p(y_s | x_s, w) + λ/2 |w|²."""
    logit, labels = inputs @ layer, statements.labels.double()
    if statements.noise is None:
        costs = nn.functional.softplus(logit) - labels * logit
    else:
        costs = (logit - labels).square() / (2 * statements.noise)
    return (weights * costs).sum() + 0.5 * precision * layer.square().sum()


def _curvature(statements: Statements, inputs: Tensor, layer: Tensor, weights: Tensor) -> Tensor:
    """(R, R) Σ_s weight_s p_s (1 − p_s) x_s x_sᵀ, of scores Σ_s weight_s x_s x_sᵀ / noise."""
    if statements.noise is None:
        p = torch.sigmoid(inputs @ layer)
        weights = weights * p * (1 - p)
    else:
        weights = weights / statements.noise
    return (inputs * weights[:, None]).T @ inputs
