"""Agreement of scores on a scale, for each criterion by itself."""

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.verdicts import alpha_ordinal, cells, square
from judge.agreement.data.table import Mask
from judge.agreement.schema import Confusion, Figure
from judge.agreement.statistics import correlation as numbers
from judge.agreement.statistics import nominal
from judge.agreement.statistics.bootstrap import Floats

SCALE = 20
"""A scale of more steps than this has no confusion matrix."""


def agreement(measure: Measure) -> tuple[Figure, ...]:
    """Correlations, errors and, on a short scale of whole numbers, κ and α; criterion by criterion."""
    figures: list[Figure] = []
    for index, criterion in enumerate(measure.table.criteria):
        mask = measure.rows & (measure.table.criterion == index)
        if (measure.table.labelled & (measure.table.criterion == index)).any():
            figures += _one(measure, mask, criterion)
    return tuple(figures)


def _one(measure: Measure, mask: Mask, of: str) -> list[Figure]:
    x, y = measure.judge.verdict, measure.table.truth
    sums = measure.draw.by_block(numbers.moments(x, y, mask))
    figures = [
        measure.ranked("spearman", "Spearman's ρ", numbers.spearman(x, y), mask, of=of),
        measure.figure("pearson", "Pearson's r", sums, numbers.pearson_of, mask, unit="coefficient", of=of),
        measure.ranked("kendall", "Kendall's τ-b", numbers.kendall(x, y), mask, costly=True, of=of),
        measure.mean("mean_difference", "Judge's score minus the people's", x - y, mask, of=of),
        measure.mean("mean_absolute_error", "Mean absolute difference", np.abs(x - y), mask, unit="loss", of=of),
    ]
    stated = mask & ~np.isnan(measure.judge.probability)
    if stated.any():
        expected = measure.draw.by_block(numbers.moments(measure.judge.probability, y, stated))
        title = "Pearson's r of the expected score"
        figures.append(
            measure.figure("pearson_expected", title, expected, numbers.pearson_of, stated, unit="coefficient", of=of)
        )
    return figures + _alphas(measure, mask, of)


def _alphas(measure: Measure, mask: Mask, of: str) -> list[Figure]:
    """α on an interval scale for any numbers; exact agreement, κ and ordinal α for a short scale."""
    x, y = measure.judge.verdict, measure.table.truth
    centre = float(np.concatenate([x[mask], y[mask]]).mean()) if mask.any() else 0.0
    shifted = [np.where(mask, values - centre, 0.0) for values in (x, y)]
    human, judged = shifted
    terms = np.column_stack([mask.astype(np.float64), human, judged, human * human, judged * judged, human * judged])
    sums = measure.draw.by_block(terms)
    title = "Krippendorff's α, interval"
    figures = [
        measure.figure("alpha_interval", title, sums, numbers.alpha_interval_of, mask, unit="coefficient", of=of)
    ]
    scale = levels(measure, mask)
    if len(scale) > 1:
        size = len(scale)
        counts = measure.draw.cells(
            cells(np.searchsorted(scale, _whole(y)), np.searchsorted(scale, x), mask, size), size * size
        )
        for name, title, formula, share in (
            ("accuracy", "Same score (people's mean rounded)", nominal.accuracy, True),
            ("cohen_kappa", "Cohen's κ", nominal.cohen_kappa, False),
            ("cohen_kappa_quadratic", "Cohen's κ, quadratic weights", _quadratic, False),
            ("alpha_ordinal", "Krippendorff's α, ordinal", alpha_ordinal, False),
        ):
            unit = "share" if share else "coefficient"
            figures.append(
                measure.figure(name, title, counts, square(formula, size), mask, unit=unit, of=of)  # type: ignore[arg-type]
            )
    return figures


def _quadratic(confusion: Floats) -> Floats:
    return nominal.cohen_kappa(confusion, "quadratic")


def _whole(values: Floats) -> Floats:
    """The nearest whole number, a half up."""
    return np.floor(values + 0.5)


def levels(measure: Measure, mask: Mask) -> Floats:
    """The whole numbers from the lowest to the highest score given, or none where the scale is long or broken."""
    judge, people = measure.judge.verdict[mask], measure.table.truth[mask]
    if not mask.any() or (judge != np.round(judge)).any():
        return np.array([])
    low, high = min(judge.min(), _whole(people).min()), max(judge.max(), _whole(people).max())
    return np.arange(low, high + 1) if high - low < SCALE else np.array([])


def confusion(measure: Measure) -> tuple[Confusion, ...]:
    """One matrix a criterion, where the scale is short."""
    matrices = []
    for index, criterion in enumerate(measure.table.criteria):
        mask = measure.rows & (measure.table.criterion == index)
        scale = levels(measure, mask)
        if len(scale) < 2:
            continue
        size = len(scale)
        truth, verdict = _whole(measure.table.truth), measure.judge.verdict
        flat = cells(np.searchsorted(scale, truth), np.searchsorted(scale, verdict), mask, size)
        counts = np.bincount(flat[flat >= 0], minlength=size * size).reshape(size, size)
        matrices.append(
            Confusion(
                labels=tuple(str(int(level)) for level in scale),
                counts=tuple(tuple(int(count) for count in row) for row in counts),
                of=criterion,
            )
        )
    return tuple(matrices)
