"""Agreement of numbers: correlations of scores, AUC of probabilities, as functions of row weights.

Each maker takes the rows once and returns a statistic of weights (N,), which the bootstrap calls with how often each
row was drawn; weight 0 leaves a row out.
"""

import numpy as np
from numpy.typing import NDArray

from judge.agreement.statistics.bootstrap import Floats, Ints, Statistic


def pearson_of(sums: Floats) -> Floats:
    """r from sums (…, 6) of 1, x, y, x², y², xy."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    across = (n * xx - x * x) * (n * yy - y * y)
    with np.errstate(all="ignore"):
        return np.where(across > 1e-12 * (n * xx) * (n * yy), (n * xy - x * y) / np.sqrt(across), np.nan)


def moments(x: Floats, y: Floats, mask: NDArray[np.bool_]) -> Floats:
    """(N, 6) the terms of `pearson_of`, 0 outside the mask; centred first, so that squares keep their digits."""
    inside = mask.astype(np.float64)
    if mask.any():
        x, y = np.where(mask, x - x[mask].mean(), 0.0), np.where(mask, y - y[mask].mean(), 0.0)
    return np.column_stack([inside, x, y, x * x, y * y, x * y])


def alpha_interval_of(sums: Floats) -> Floats:
    """Krippendorff's α on an interval scale for two lists, from sums (…, 6) of 1, x, y, x², y², xy taken about one
    common centre: with n = 2N values v, Σ o δ = 2 Σ (x - y)² and Σ n_c n_k δ = 2 (n Σ v² - (Σ v)²)."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    distance, spread = xx + yy - 2 * xy, 2 * n * (xx + yy) - (x + y) ** 2
    return np.asarray(1 - (2 * n - 1) * distance / spread)


def spearman(x: Floats, y: Floats) -> Statistic:
    """Pearson's r of mid-ranks; a row of weight w counts as w equal rows."""
    codes = [np.unique(values, return_inverse=True)[1] for values in (x, y)]

    def statistic(weight: Floats) -> float:
        ranks = []
        for code in codes:
            weights_of_level = np.bincount(code, weights=weight)
            ranks.append((np.cumsum(weights_of_level) - weights_of_level / 2)[code])
        first, second = ranks
        total = weight.sum()
        first = first - (weight @ first) / total
        second = second - (weight @ second) / total
        across = (weight @ first**2) * (weight @ second**2)
        return float(weight @ (first * second) / np.sqrt(across)) if across > 0 else float("nan")

    return statistic


def coarse(code: Ints, levels: int) -> Ints:
    """Ranks cut into at most so many levels of about equal size."""
    most = int(code.max(initial=0)) + 1
    return code if most <= levels else np.asarray(code * levels // most)


def kendall(x: Floats, y: Floats) -> Statistic:
    """τ-b (Kendall 1945): (concordant - discordant) / sqrt(pairs not tied in x · pairs not tied in y)."""
    from scipy.stats import kendalltau

    def statistic(weight: Floats) -> float:
        drawn = np.repeat(np.arange(len(x)), weight.astype(np.int64))
        return float(kendalltau(x[drawn], y[drawn]).statistic)

    return statistic


def auc(score: Floats, positive: Floats, levels: int = 0) -> Statistic:
    """P(a positive row scores above a negative one), ties half (Hanley & McNeil 1982).

    levels: tell apart only so many; the jackknife of a million rows asks for few, which changes its width by nothing
    that shows and keeps its counts in the processor's cache."""
    code = np.unique(score, return_inverse=True)[1]
    if levels:
        code = coarse(code, levels)

    def statistic(weight: Floats) -> float:
        above = np.bincount(code, weights=weight * positive)
        below = np.bincount(code, weights=weight * (1 - positive))
        total = above.sum() * below.sum()
        return float(above @ (np.cumsum(below) - below / 2) / total) if total > 0 else float("nan")

    return statistic
