"""Intervals: the cluster bootstrap by prompt, seeded, for any figure that is a function of sums over rows.

Rows of one prompt are not independent, so prompts are drawn, not rows (Davison & Hinkley 1997, §2.4, §3.8). A figure
that is a formula of sums needs its rows only once: with W (B, G) the number of times each prompt is drawn in each of B
resamples and S (G, K) the sums of each prompt, W @ S gives the sums of all resamples, and the formula runs over axis 0.

More than 4,000 prompts are first put into 4,000 blocks at random. Blocks of equal size are independent and alike, so
drawing blocks estimates the same variance, with a relative error of 1/sqrt(2 · 4,000), about 1 %, in its root.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from judge.agreement.schema import Figure, Unit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Formula = Callable[[Floats], Floats]

BLOCKS = 4_000
ENOUGH = 5
TOO_FEW = "too few prompts to say how sure this is"


class Interval(NamedTuple):
    """Both ends, or None twice."""

    low: float | None
    high: float | None


NO_INTERVAL = Interval(None, None)


class Resampler:
    """Draws of the prompts of a table of rows.

    group: (N,) a number for the prompt of each row. resamples: B; 0 gives figures without intervals.
    """

    def __init__(self, group: Any, *, resamples: int, seed: int, confidence: float = 0.95) -> None:
        _, code = np.unique(np.asarray(group), return_inverse=True)
        self.code: Ints = code.astype(np.int64)
        self.clusters = int(code.max()) + 1 if len(code) else 0
        self.resamples, self.confidence, self.seed = resamples, confidence, seed
        generator = np.random.default_rng(seed)
        if self.clusters > BLOCKS:
            block = generator.permutation(self.clusters) % BLOCKS
            self.block: Ints = block[self.code]
        else:
            self.block = self.code
        self.blocks = min(self.clusters, BLOCKS)
        self._weights: NDArray[np.float32] | None = None
        self._generator = generator

    @property
    def weights(self) -> NDArray[np.float32]:
        """W (B, G): how often each block is drawn in each resample."""
        if self._weights is None:
            self._weights = np.empty((self.resamples, self.blocks), dtype=np.float32)
            for row in self._weights:
                drawn = self._generator.integers(0, self.blocks, self.blocks)
                row[:] = np.bincount(drawn, minlength=self.blocks)
        return self._weights

    def by_block(self, columns: Floats) -> Floats:
        """(N, K) columns as sums of each block, (G, K); rows that are nan in any column add nothing."""
        columns = columns[:, None] if columns.ndim == 1 else columns
        return np.stack(
            [np.bincount(self.block, weights=column, minlength=self.blocks) for column in columns.T], axis=-1
        )

    def cells(self, cell: Any, size: int, weight: Any = None) -> Floats:
        """Counts of integer cells (N,), -1 for none, by block: (G, size)."""
        cell = np.asarray(cell)
        kept = cell >= 0
        flat = np.bincount(
            self.block[kept] * size + cell[kept],
            weights=None if weight is None else np.asarray(weight)[kept],
            minlength=self.blocks * size,
        )
        return flat.reshape(self.blocks, size).astype(np.float64)

    def replicates(self, sums: Floats, formula: Formula) -> Floats:
        """The formula on every resample's sums: (B,)."""
        with np.errstate(all="ignore"):
            return formula(self.weights @ sums)

    def interval(self, values: Floats, clusters: int) -> Interval:
        """The expanded percentile interval of replicates.

        A percentile interval is too narrow for few clusters C, by sqrt((C-1)/C) and by the normal in t's place; its
        levels are set to Φ(-sqrt(C/(C-1)) · t(1-α/2; C-1)) instead of α/2 (Hesterberg 2015, "What Teachers Should Know
        About the Bootstrap", §5.3 "expanded percentile").
        """
        values = values[np.isfinite(values)]
        if clusters < ENOUGH or len(values) < 0.9 * self.resamples or not len(values):
            return NO_INTERVAL
        tail = expanded_tail(clusters, self.confidence)
        low, high = np.quantile(values, [tail, 1 - tail])
        return Interval(float(low), float(high))

    def figure(
        self,
        name: str,
        title: str,
        sums: Floats,
        formula: Formula,
        *,
        rows: int,
        clusters: int,
        unit: Unit = "share",
        note: str = "",
        of: str = "",
    ) -> Figure:
        """A figure of sums (G, K) with its interval. A share whose resamples are all equal (every row right) gets the
        exact binomial interval on its prompts instead (Clopper & Pearson 1934)."""
        with np.errstate(all="ignore"):
            value = float(formula(sums.sum(axis=0)[None, :])[0]) if rows else float("nan")
        if not np.isfinite(value):
            note = note or ("no rows" if not rows else "not defined on these rows")
            return Figure(name=name, title=title, value=None, n=rows, clusters=clusters, unit=unit, note=note, of=of)
        low = high = None
        if self.resamples:
            values = self.replicates(sums, formula)
            low, high = self.interval(values, clusters)
            if low is not None and low == high and unit == "share":
                low, high = exact_interval(value, clusters, self.confidence)
            if low is None:
                note = note or TOO_FEW
        return Figure(
            name=name,
            title=title,
            value=value,
            low=low,
            high=high,
            n=rows,
            clusters=clusters,
            unit=unit,
            note=note,
            of=of,
        )

    def p_value(self, values: Floats, null: float = 0.0) -> float | None:
        """Two-sided p of a difference from its replicates: twice the smaller share on either side of `null`, with one
        added to both (Davison & Hinkley 1997, §4.2.3)."""
        values = values[np.isfinite(values)]
        if not len(values):
            return None
        below, above = (values <= null).sum(), (values >= null).sum()
        return float(min(1.0, 2 * (min(below, above) + 1) / (len(values) + 1)))


def expanded_tail(clusters: int, confidence: float) -> float:
    """The level of each tail of an expanded percentile interval."""
    from scipy.stats import norm, t

    quantile = t.ppf(0.5 + confidence / 2, clusters - 1)
    return float(norm.cdf(-np.sqrt(clusters / (clusters - 1)) * quantile))


def wilson_interval(share: Floats, n: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Wilson's (1927) interval of shares of n: (p + z²/2n ± z sqrt(p (1-p) / n + z²/4n²)) / (1 + z²/n).

    By hand, because the library's takes a second to import."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - reach, middle + reach


def exact_interval(share: float, n: int, confidence: float) -> Interval:
    """Clopper and Pearson's interval of a share of n."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(round(share * n), n, alpha=1 - confidence, method="beta")
    return Interval(float(low), float(high))


Statistic = Callable[[Floats], float]
LOOPED = 20_000
GROUPS = 100


def by_weights(draw: Resampler, statistic: Statistic, *, clusters: int) -> Interval:
    """The interval of a statistic of row weights (N,) that is no formula of sums (ranks): one call a resample, cheap up
    to LOOPED rows."""
    with np.errstate(all="ignore"):
        values = np.array([statistic(weight[draw.block].astype(np.float64)) for weight in draw.weights])
    return draw.interval(values, clusters)


def jackknife(draw: Resampler, statistic: Statistic, estimate: float, *, clusters: int) -> Interval:
    """Estimate ± t · s by the delete-a-group jackknife over at most 100 groups of prompts: s² = (G-1)/G Σ (θ_g - θ̄)²
    (Shao & Tu 1995, §2.3). For smooth statistics such as AUC and Kendall's τ it agrees with the bootstrap."""
    from scipy.stats import t

    if clusters < ENOUGH:
        return NO_INTERVAL
    groups = min(GROUPS, draw.blocks)
    member = draw.block % groups
    left = np.array([statistic((member != group).astype(np.float64)) for group in range(groups)])
    left = left[np.isfinite(left)]
    if len(left) < 2 or not np.isfinite(estimate):
        return NO_INTERVAL
    spread = float(np.sqrt((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum()))
    reach = float(t.ppf(0.5 + draw.confidence / 2, len(left) - 1)) * spread
    return Interval(estimate - reach, estimate + reach)
