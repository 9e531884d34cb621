"""From rewards to calibrated probabilities: temperature, isotonic regression, and the calibration error.

    N reads, C outputs, S statements (a pair, an outcome or a judged step each).

Fitted on examples that training never saw; errors are measured out of fold, folds by prompt. A pair is taken in both
orders, so that P(first) of a swapped pair is one minus that of the pair.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from judge.errors import InputError, unknown
from judge.rewards.config import CALIBRATION_METHODS, RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.statements import Statements, combined, statements_of

Floats = NDArray[np.float64]
BINS, FOLDS, RESAMPLES, MIN_STATEMENTS = 15, 5, 1000, 20
DECILES = tuple(place / 10 for place in range(1, 10))
_TEMPERED_SHARE = (
    1e-3  # of the tempered curve in an isotonic one, so that no two rewards fall together and none is sure
)


class CalibrationError(NamedTuple):
    """Expected calibration error with its 95 % interval, of `n` statements."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How a model's numbers become probabilities; `temperature` 1 and no `knots` is the plain sigmoid or softmax.

    Attributes:
        about: what was fitted, "pair", "outcome" or "step".
        method: temperature, isotonic or none.
        temperature: the divisor of logits (Guo et al. 2017).
        knots: of the isotonic curve over logits, empty where it was not taken.
        values: of the curve at its knots.
        mean: of the rewards.
        scale: of the rewards, so that (r - mean) / scale has mean 0 and deviation 1.
        deciles: of the rewards, nine, ascending; what served rewards are compared with. Empty for a process model,
            whose rewards are made of its steps', and for models of earlier versions.
        n: statements it was fitted on.
        before: calibration error of the plain probabilities.
        after: calibration error out of fold.
        losses: log loss by method, out of fold.
    """

    about: str = "pair"
    method: str = "none"
    temperature: float = 1.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    mean: float = 0.0
    scale: float = 1.0
    deciles: tuple[float, ...] = ()
    n: int = 0
    before: CalibrationError | None = None
    after: CalibrationError | None = None
    losses: Mapping[str, float] = field(default_factory=dict)

    def pair(self, difference: float) -> float:
        """The chance that the first is better, of a difference of rewards; that of -d is one minus it."""
        return self._probability(difference, "pair")

    def outcome(self, logit: float) -> float:
        """P(correct) of a logit."""
        return self._probability(logit, "outcome")

    def step(self, logits: Sequence[float]) -> list[float]:
        """Probabilities of (right, wrong[, neutral]); the isotonic curve sets P(wrong), the others keep their ratio."""
        highest = max(logits)
        shares = [math.exp((value - highest) / self.temperature) for value in logits]
        shares = [share / sum(shares) for share in shares]
        if not self.knots or self.about != "step":
            return shares
        rest = [value for index, value in enumerate(logits) if index != 1]
        top = max(rest)
        wrong = self._probability(logits[1] - top - math.log(sum(math.exp(value - top) for value in rest)), "step")
        other = max(1 - shares[1], 1e-300)
        return [wrong if index == 1 else share * (1 - wrong) / other for index, share in enumerate(shares)]

    def standardized(self, reward: float) -> float:
        """A reward with mean 0 and deviation 1 over the data."""
        return (reward - self.mean) / self.scale

    def _probability(self, logit: float, about: str) -> float:
        plain = _sigmoid(logit / self.temperature)
        if not self.knots or about != self.about:
            return plain
        curve = _interpolated(self.knots, self.values, logit)
        if about == "pair":  # exactly its own mirror image
            curve = (curve + 1 - _interpolated(self.knots, self.values, -logit)) / 2
        return (1 - _TEMPERED_SHARE) * curve + _TEMPERED_SHARE * plain

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        row = {name: getattr(self, name) for name in Calibration.__slots__}
        row |= {name: list(row[name]) for name in ("knots", "values", "deciles")}
        row |= {name: row[name] and row[name]._asdict() for name in ("before", "after")}
        return row | {"losses": dict(self.losses)}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Calibration":
        """Back from plain values; fields that are not known are left out."""
        known = {name: row[name] for name in cls.__slots__ if name in row}
        for name in ("knots", "values", "deciles"):
            known[name] = tuple(float(value) for value in known.get(name, ()))
        for name in ("before", "after"):
            known[name] = CalibrationError(**known[name]) if known.get(name) else None
        calibration = cls(**known)
        if not calibration.temperature > 0 or len(calibration.knots) != len(calibration.values):
            raise InputError(
                f"calibration: found temperature {calibration.temperature} and {len(calibration.knots)} knots"
            )
        return calibration


def calibrate(
    rewards: Tensor,
    targets: Targets,
    examples: Sequence[Example],
    config: RewardConfig,
    *,
    method: str = "auto",
    reward: Tensor | None = None,
) -> Calibration:
    """Fit a calibration.

    Args:
        rewards: (N, C) of examples that training never saw.
        targets: of the same N reads.
        examples: whose reads they are.
        config: of the reward model.
        method: temperature, isotonic, none; auto is the temperature, unless an isotonic curve has a lower log loss out
            of fold by more than one standard error.
        reward: (N,) the one reward that scoring makes of them, where it is another than `combined`'s (a gate's).

    Returns:
        The calibration; fewer than 20 statements change nothing: temperature 1, and its method is none.

    Raises:
        UnknownNameError: for a method that is none.
    """
    if method not in CALIBRATION_METHODS:
        raise unknown("method", method, CALIBRATION_METHODS)
    values = combined(rewards, config, reward).numpy()
    spread = _spread(values, config) if values.size else Calibration()
    statements = statements_of(rewards, targets, examples, config, reward)
    if statements is None:
        return spread
    plain = replace(spread, about=statements.about, n=len(statements))
    prompts = statements.prompts
    if method == "none" or len(statements) < MIN_STATEMENTS or len(np.unique(prompts)) < FOLDS:
        return replace(plain, before=ece(probabilities(plain, statements), statements, prompts))
    return fitted(statements, plain, method)[0]


def _spread(values: Floats, config: RewardConfig) -> Calibration:
    """Where rewards lie."""
    deciles = () if config.model.kind == "process" else tuple(map(float, np.quantile(values, DECILES)))
    return Calibration(mean=float(values.mean()), scale=float(values.std()) or 1.0, deciles=deciles)


def fitted(statements: Statements, plain: Calibration, method: str = "auto") -> tuple[Calibration, Floats]:
    """Fit statements that are enough.

    Args:
        statements: that training never saw.
        plain: what they are about, and the mean and scale of the rewards.
        method: temperature, isotonic or auto, as `calibrate` has it.

    Returns:
        The calibration, and (S,) the probability of each statement's side by a fit that did not see its prompt.
    """
    fold = folds(statements.prompts)
    by_fold = {name: out_of_fold(statements, fold, name) for name in ("temperature", "isotonic")}
    loss = {name: log_loss(p, statements) for name, p in by_fold.items()} | {
        "none": log_loss(probabilities(plain, statements), statements)
    }
    chosen = method
    if method == "auto":
        gain = loss["temperature"] - loss["isotonic"]
        chosen = "isotonic" if gain.mean() > _standard_error(gain, statements.prompts) else "temperature"
    temperature, (knots, values) = (
        temperature_of(statements),
        isotonic_of(statements) if chosen == "isotonic" else ((), ()),
    )
    calibration = replace(
        plain,
        method=chosen,
        temperature=temperature,
        knots=knots,
        values=values,
        before=ece(probabilities(plain, statements), statements, statements.prompts),
        after=ece(by_fold[chosen], statements, statements.prompts),
        losses={name: float(values.mean()) for name, values in loss.items()},
    )
    return calibration, by_fold[chosen]


# ---- fits ------------------------------------------------------------------------------------------------------------


def temperature_of(statements: Statements) -> float:
    """T > 0 of the lowest cross-entropy of softmax(z / T) with the labels: Guo et al. 2017, §4.2, by Brent's method.

    Labels are drawn a little towards even (Platt 1999): (n p + 1) / (n + C), so that a few statements that are all told
    right do not make the model sure of everything.
    """
    from scipy.optimize import minimize_scalar

    labels = statements.smoothed()

    def loss(log_t: float) -> float:
        return float(-(labels * _log_softmax(statements.logits * math.exp(-log_t))).sum(-1).mean())

    return float(math.exp(minimize_scalar(loss, bounds=(-5, 8), method="bounded", options={"xatol": 1e-4}).x))


def isotonic_of(statements: Statements) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots and values of the non-decreasing curve that fits the labels best over the logit of the statement's side
    (Zadrozny & Elkan 2002), straight between its knots; a pair's curve is its own mirror image."""
    from sklearn.isotonic import IsotonicRegression

    logit, label = statements.logit(), statements.smoothed()[:, statements.side]
    if statements.about == "pair":
        logit, label = np.concatenate([logit, -logit]), np.concatenate([label, 1 - label])
    fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(logit, label)
    return tuple(map(float, fit.X_thresholds_)), tuple(map(float, fit.y_thresholds_))


def probabilities(calibration: Calibration, statements: Statements) -> Floats:
    """(S,) the probability of each statement's side."""
    logit = statements.logit()
    plain = np.exp(_log_softmax(statements.logits / calibration.temperature))[:, statements.side]
    if not calibration.knots or calibration.about != statements.about:
        return np.asarray(plain)
    # The plain part of `step` mixes in the tempered odds of its own side, as `_probability` does.
    tempered = 1 / (1 + np.exp(-np.clip(logit / calibration.temperature, -500, 500)))
    return np.asarray(
        (1 - _TEMPERED_SHARE) * np.interp(logit, calibration.knots, calibration.values) + _TEMPERED_SHARE * tempered
    )


def folds(prompts: NDArray[np.int64], count: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """(S,) the fold of each statement; statements of one prompt share theirs."""
    _, code = np.unique(prompts, return_inverse=True)
    return np.asarray((np.random.default_rng(seed).permutation(int(code.max()) + 1) % count)[code])


def out_of_fold(statements: Statements, fold: NDArray[np.int64], method: str) -> Floats:
    """(S,) each statement's probability by a fit that did not see its prompt."""
    p = np.zeros(len(statements))
    for number in np.unique(fold):
        rest, held = statements.subset(fold != number), statements.subset(fold == number)
        knots, values = isotonic_of(rest) if method == "isotonic" else ((), ())
        fit = Calibration(about=statements.about, temperature=temperature_of(rest), knots=knots, values=values)
        p[fold == number] = probabilities(fit, held)
    return p


# ---- figures ---------------------------------------------------------------------------------------------------------


def log_loss(p: Floats, statements: Statements) -> Floats:
    """(S,) -[y log p + (1 - y) log(1 - p)], p kept 1e-6 away from 0 and 1."""
    p, label = np.clip(p, 1e-6, 1 - 1e-6), statements.labels[:, statements.side]
    return np.asarray(-(label * np.log(p) + (1 - label) * np.log1p(-p)))


def ece(p: Floats, statements: Statements, prompts: NDArray[np.int64]) -> CalibrationError:
    """Expected calibration error of probabilities (S,) with its interval; a pair is taken in both orders."""
    label = statements.labels[:, statements.side]
    if statements.about == "pair":
        p, label, prompts = np.concatenate([p, 1 - p]), np.concatenate([label, 1 - label]), np.tile(prompts, 2)
    return expected_calibration_error(p, label, prompts)._replace(n=len(statements))


def expected_calibration_error(
    p: Floats, label: Floats, groups: NDArray[np.int64] | None = None, *, bins: int = BINS, seed: int = 0
) -> CalibrationError:
    """Σ_b (n_b / n) |mean label_b - mean p_b| over bins of equal width: Naeini et al. 2015; Guo et al. 2017, eq. 3.

    Its interval is the percentile bootstrap over groups. It leans upwards: resampling adds noise, and noise is error.
    """
    bin_number = np.minimum((p * bins).astype(np.int64), bins - 1)
    _, code = np.unique(np.arange(len(p)) if groups is None else groups, return_inverse=True)
    count = int(code.max()) + 1
    sums = np.zeros((count, bins))
    np.add.at(sums, (code, bin_number), label - p)
    sizes = np.bincount(code, minlength=count).astype(np.float64)
    value = float(np.abs(sums.sum(0)).sum() / sizes.sum())
    draw = np.random.default_rng(seed)
    drawn = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 100):
        weights = draw.multinomial(count, np.full(count, 1 / count), size=100).astype(np.float64)
        drawn[start : start + 100] = np.abs(weights @ sums).sum(-1) / (weights @ sizes)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return CalibrationError(value, min(float(low), value), max(float(high), value), len(p))


def brier(p: Floats, statements: Statements) -> Floats:
    """(S,) (p - y)², y the share of people for the statement (Brier 1950)."""
    return np.asarray((p - statements.labels[:, statements.side]) ** 2)


def mean_by_prompt(
    values: Floats, prompts: NDArray[np.int64], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float, float]:
    """The mean of values (S,) with its 95 % percentile bootstrap over prompts: value, low, high."""
    _, code = np.unique(prompts, return_inverse=True)
    sums, sizes = np.bincount(code, weights=values), np.bincount(code).astype(np.float64)
    weights = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples)
    drawn = weights @ sums / (weights @ sizes)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def _standard_error(values: Floats, groups: NDArray[np.int64]) -> float:
    """Of a mean, rows of a group counting as one draw."""
    _, code = np.unique(groups, return_inverse=True)
    sums = np.bincount(code, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum()) / len(values))


def _log_softmax(logits: Floats) -> Floats:
    highest = logits.max(-1, keepdims=True)
    return np.asarray(logits - highest - np.log(np.exp(logits - highest).sum(-1, keepdims=True)))


def _sigmoid(value: float) -> float:
    grown = math.exp(-abs(value))
    return 1 / (1 + grown) if value >= 0 else grown / (1 + grown)


def _interpolated(knots: Sequence[float], values: Sequence[float], x: float) -> float:
    """The value of a piecewise linear curve, constant beyond its ends."""
    place = bisect_right(knots, x)
    if place == 0:
        return values[0]
    if place == len(knots):
        return values[-1]
    low, high = knots[place - 1], knots[place]
    share = (x - low) / (high - low)
    return values[place - 1] * (1 - share) + values[place] * share
