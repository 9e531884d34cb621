"""What a judge is worth for an estimate: win rates by the judge, by people, and by both together.

Prediction-powered inference (Angelopoulos et al. 2023, "Prediction-powered inference", Science; with the power tuning
of "PPI++", 2023, §6): θ = mean_N λ f + mean_n (Y - λ f), f the judge on all N rows, Y people on n of them.
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.data.table import TIE, Mask
from judge.agreement.schema import Figure, NextLabel, WinRate
from judge.agreement.statistics.bootstrap import Floats, Ints

PAIRS = 40
FEW = 10
_WORTH = np.array([1.0, 0.0, 0.5])


class Powered(NamedTuple):
    """An estimate and its standard error, and the weight λ of the judge."""

    value: float
    error: float
    weight: float


def mean_by_cluster(value: Floats, cluster: Ints) -> tuple[float, float]:
    """A mean and its standard error when rows come in clusters: sqrt(C/(C-1) Σ_c (Σ_i (v_i - v̄))²) / n."""
    mean = float(value.mean())
    _, code = np.unique(cluster, return_inverse=True)
    sums = np.bincount(code, weights=value - mean)
    if len(sums) < 2:
        return mean, float("nan")
    return mean, float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(value))


def powered(judged: Floats, labelled: Mask, people: Floats, cluster: Ints) -> Powered:
    """PPI++ of a mean. judged (N,): f on all rows; labelled (N,): where people's Y is known; people (N,).

    λ = Cov(Y, f) / ((1 + n/N') Var f), N' the rows without a label; labelled rows serve the correction, the others the
    judge's mean, so the two parts are independent (by prompt, as long as a prompt lies in one part)."""
    inside, outside = judged[labelled], judged[~labelled]
    truth = people[labelled]
    n, rest = len(inside), len(outside)
    if not rest or n < 2 or np.var(judged) == 0:
        value, error = mean_by_cluster(truth, cluster[labelled])
        return Powered(value, error, 0.0)
    covariance = float(np.cov(truth, inside)[0, 1])
    weight = float(np.clip(covariance / ((1 + n / rest) * np.var(judged)), 0.0, 1.0))
    correction, correction_variance = mean_by_cluster(truth - weight * inside, cluster[labelled])
    mean, other = mean_by_cluster(weight * outside, cluster[~labelled])
    return Powered(correction + mean, float(np.sqrt(correction_variance**2 + other**2)), weight)


def estimates(measure: Measure) -> tuple[WinRate, ...]:
    """The win rate of each two systems with enough rows, ties half; else of the first response over the second."""
    table = measure.table
    judged = measure.judge.read
    if not table.paired or not judged.any():
        return ()
    if not table.authors:
        return (_estimate(measure, "first", "second", np.flatnonzero(judged), np.ones(len(table))),)
    rows_of: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for row, (first, second) in table.authors.items():
        if judged[row] and first != second:
            rows_of[min(first, second), max(first, second)].append((row, 1.0 if first < second else -1.0))
    most = sorted((key for key in rows_of if len(rows_of[key]) >= FEW), key=lambda key: (-len(rows_of[key]), key))
    rates = []
    for key in most[:PAIRS]:
        side = np.ones(len(table))
        rows = np.array([row for row, _ in rows_of[key]], dtype=np.int64)
        side[rows] = [sign for _, sign in rows_of[key]]
        rates.append(_estimate(measure, *key, rows, side))
    return tuple(rates)


def _estimate(measure: Measure, system: str, over: str, rows: Ints, side: Floats) -> WinRate:
    table, draw = measure.table, measure.draw
    cluster = draw.code[rows]
    f = _wins(measure.judge.verdict[rows], side[rows])
    labelled = ~np.isnan(table.truth[rows])
    y = np.zeros(len(rows))
    y[labelled] = _wins(table.truth[rows][labelled], side[rows][labelled])
    n = int(labelled.sum())

    def told(name: str, title: str, value: float, error: float, values: Floats, among: Ints) -> Figure:
        return _told(name, title, value, error if draw.resamples else None, values, among)

    by_judge = told("judge", "By the judge alone", *mean_by_cluster(f, cluster), f, cluster)
    if not n:
        none = Figure(name="human", title="By people alone", value=None, note="no labelled rows")
        return WinRate(system=system, over=over, judge=by_judge, human=none, combined=none)
    human_mean, human_error = mean_by_cluster(y[labelled], cluster[labelled])
    both = powered(f, labelled, y, cluster)
    human = told("human", "By people alone", human_mean, human_error, y[labelled], cluster[labelled])
    combined = told("combined", "By both (prediction-powered)", both.value, both.error, f, cluster)
    saved = None
    if np.isfinite(both.error) and both.error > 0 and human_error > 0:
        saved = max(0, round(n * ((human_error / both.error) ** 2 - 1)))
    note = "every judged row has a human label: the judge adds nothing" if labelled.all() else ""
    return WinRate(system=system, over=over, judge=by_judge, human=human, combined=combined, saved=saved, note=note)


def _wins(verdict: Floats, side: Floats) -> Floats:
    worth = _WORTH[verdict.astype(np.int64)]
    return np.where(side > 0, worth, 1 - worth)


def _told(name: str, title: str, value: float, error: float | None, rows: Floats, cluster: Ints) -> Figure:
    """A mean with its interval by t; error: None where no interval is asked for."""
    clusters = len(np.unique(cluster))
    low = high = None
    if error is not None and np.isfinite(error) and clusters >= FEW:
        from scipy.stats import t

        reach = float(t.ppf(0.975, clusters - 1)) * error
        low, high = max(0.0, value - reach), min(1.0, value + reach)
    note = "too few prompts to say how sure this is" if low is None and error is not None else ""
    return Figure(name=name, title=title, value=value, low=low, high=high, n=len(rows), clusters=clusters, note=note)


def label_next(measure: Measure, many: int = 20) -> list[tuple[int, NextLabel]]:
    """The rows without a human label that tell most: the entropy of the judge's own verdict, -Σ p log2 p, plus one bit
    where its two orders differ. One row a prompt first, so that labels are not spent on one question."""
    table, judge = measure.table, measure.judge
    free = judge.read & ~table.labelled
    if not free.any() or table.form != "label":
        return []
    p = np.clip(np.nan_to_num(judge.probability, nan=0.5), 1e-9, 1 - 1e-9)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    stated = ~np.isnan(judge.probability)
    flipped = judge.consistent == 0
    tied = judge.verdict == TIE
    worth = np.where(stated, entropy, tied * 1.0) + flipped
    rows = np.flatnonzero(free)
    rows = rows[np.argsort(-worth[rows], kind="stable")]
    _, leaders = np.unique(table.group[rows], return_index=True)
    chosen = rows[np.sort(leaders)][:many]
    labels = []
    for row in chosen:
        why = ["both orders differ"] * bool(flipped[row]) + [f"P(first verdict) = {p[row]:.2f}"] * bool(stated[row])
        text = "; ".join(why) or "no probability stated"
        labels.append((int(row), NextLabel(id=table.ids[row], information=float(worth[row]), why=text)))
    return labels
