"""Formulas of agreement between two lists of verdicts, each a function of their confusion matrix.

Shapes: C (…, L, L) counts, rows the people's verdicts, columns the judge's; every function works over the leading axes
and returns (…,). So one formula gives a figure and all its resamples. What is not defined is nan.
"""

from typing import Literal

import numpy as np

from judge.agreement.statistics.bootstrap import Floats

Weights = Literal["none", "linear", "quadratic"]


def accuracy(confusion: Floats) -> Floats:
    """The share on the diagonal: Σ C_ii / Σ C_ij."""
    return np.asarray(np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1)))


def _by_class(confusion: Floats) -> tuple[Floats, Floats, Floats]:
    """Right, given and true counts of each class; a class that nobody named has nan, to be left out of the mean."""
    right = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    given, true = confusion.sum(axis=-2), confusion.sum(axis=-1)
    return np.where(given + true > 0, right, np.nan), given, true


def _ratio(above: Floats, below: Floats) -> Floats:
    """above / below, and 0 where below is 0 (scikit-learn's zero_division=0)."""
    with np.errstate(all="ignore"):
        return np.where(below > 0, above / below, np.where(np.isnan(above), np.nan, 0.0))


def _mean(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    return np.asarray(np.where(defined, values, 0.0).sum(axis=-1) / defined.sum(axis=-1))


def macro_precision(confusion: Floats) -> Floats:
    """The mean over classes of C_ii / Σ_j C_ji; a class never given counts 0."""
    right, given, _ = _by_class(confusion)
    return _mean(_ratio(right, given))


def macro_recall(confusion: Floats) -> Floats:
    """The mean over classes of C_ii / Σ_j C_ij; a class that is never true counts 0."""
    right, _, true = _by_class(confusion)
    return _mean(_ratio(right, true))


def macro_f1(confusion: Floats) -> Floats:
    """The mean over classes of 2 C_ii / (given + true)."""
    right, given, true = _by_class(confusion)
    return _mean(_ratio(2 * right, given + true))


def disagreement_weights(size: int, weights: Weights) -> Floats:
    """How bad each kind of disagreement is, (L, L): 1; |i - j|; (i - j)²."""
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    match weights:
        case "none":
            return np.asarray((distance > 0).astype(np.float64))
        case "linear":
            return np.asarray(distance)
        case "quadratic":
            return np.asarray(distance**2)


def cohen_kappa(confusion: Floats, weights: Weights = "none") -> Floats:
    """κ = 1 - Σ w C / Σ w E, with E_ij = (row i)(column j) / total (Cohen 1960; weighted: Cohen 1968)."""
    total = confusion.sum(axis=(-2, -1), keepdims=True)
    expected = confusion.sum(axis=-1, keepdims=True) * confusion.sum(axis=-2, keepdims=True) / total
    weight = disagreement_weights(confusion.shape[-1], weights)
    return np.asarray(1 - (weight * confusion).sum(axis=(-2, -1)) / (weight * expected).sum(axis=(-2, -1)))


def gwet_ac1(confusion: Floats) -> Floats:
    """AC1 = (p_a - p_e) / (1 - p_e), p_e = Σ π_k (1 - π_k) / (L - 1), π_k the mean share of class k of both (Gwet 2008,
    eq. 5). L counts every class on offer, named or not."""
    total = confusion.sum(axis=(-2, -1))
    share = (confusion.sum(axis=-1) + confusion.sum(axis=-2)) / (2 * total[..., None])
    return gwet(accuracy(confusion), share)


def gwet(agreed: Floats, share: Floats) -> Floats:
    """Gwet's correction of raw agreement (…,) by the classes' shares (…, L)."""
    chance = (share * (1 - share)).sum(axis=-1) / (share.shape[-1] - 1)
    return np.asarray((agreed - chance) / (1 - chance))


def coincidences(confusion: Floats) -> Floats:
    """Krippendorff's coincidence matrix of two complete lists: both orders of every pair of values."""
    return confusion + np.swapaxes(confusion, -1, -2)


def alpha(coincidence: Floats, delta: Floats | None = None) -> Floats:
    """Krippendorff's α = 1 - (n - 1) Σ o_ck δ_ck / Σ n_c n_k δ_ck (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability", p. 6). coincidence: (…, L, L); delta: (L, L) or (…, L, L) squared distances, nominal if None."""
    if delta is None:
        delta = 1 - np.eye(coincidence.shape[-1])
    values = coincidence.sum(axis=-1)
    total = values.sum(axis=-1)
    expected = (values[..., :, None] * values[..., None, :] * delta).sum(axis=(-2, -1))
    return np.asarray(1 - (total - 1) * (coincidence * delta).sum(axis=(-2, -1)) / expected)


def interval_delta(values: Floats) -> Floats:
    """δ_ck = (c - k)² for α on an interval scale."""
    return np.subtract.outer(values, values) ** 2


def ordinal_delta(coincidence: Floats) -> Floats:
    """δ_ck = (Σ_{g=c..k} n_g - (n_c + n_k)/2)² for α on an ordinal scale; classes must be in order."""
    values = coincidence.sum(axis=-1)
    middle = np.cumsum(values, axis=-1) - values / 2
    return np.asarray((middle[..., :, None] - middle[..., None, :]) ** 2)
