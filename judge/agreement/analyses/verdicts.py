"""Agreement of named verdicts: preferences (first, second, tie) and outcomes (right, wrong)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.data.table import TIE, Mask
from judge.agreement.schema import Confusion, Figure
from judge.agreement.statistics import nominal
from judge.agreement.statistics.bootstrap import Floats, Ints
from judge.agreement.statistics.correlation import auc
from judge.agreement.statistics.nominal import Weights

ORDERED: Mapping[int, tuple[int, ...]] = {2: (0, 1), 3: (0, 2, 1)}
"""The labels on a scale, for weighted figures, by how many there are: the good one, neither, its opposite."""


def cells(truth: Any, verdict: Any, mask: Mask, size: int) -> Ints:
    """(N,) the cell of each row in a flat confusion matrix, -1 outside `mask`."""
    flat = np.full(len(truth), -1, dtype=np.int64)
    flat[mask] = truth[mask].astype(np.int64) * size + verdict[mask].astype(np.int64)
    return flat


def square(formula: Callable[[Floats], Floats], size: int, order: tuple[int, ...] = ()) -> Callable[[Floats], Floats]:
    """A formula of (…, L, L) as one of flat cells (…, L·L), with the classes put in order."""

    def flat(sums: Floats) -> Floats:
        confusion = sums.reshape(*sums.shape[:-1], size, size)
        if order:
            confusion = confusion[..., order, :][..., :, order]
        return formula(confusion)

    return flat


def agreement(measure: Measure) -> tuple[Figure, ...]:
    """Every figure of agreement with the people's verdict together; the first is the main one."""
    table, judge, mask = measure.table, measure.judge, measure.rows
    size = len(table.labels)
    sums = measure.draw.cells(cells(table.truth, judge.verdict, mask, size), size * size)
    order = () if table.shape.nominal else ORDERED.get(size, ())

    def whole(name: str, title: str, formula: Callable[[Floats], Floats], *, share: bool = False) -> Figure:
        unit = "share" if share else "coefficient"
        return measure.figure(name, title, sums, square(formula, size, order), mask, unit=unit)  # type: ignore[arg-type]

    pairs = table.paired
    figures = [whole("accuracy", "Accuracy, a tie is a verdict" if pairs else "Accuracy", nominal.accuracy, share=True)]
    if pairs:
        figures += _without_ties(measure, mask) + _forced(measure, mask) + _by_order(measure)
    figures += [
        _votes(measure),
        whole("macro_precision", "Macro precision", nominal.macro_precision, share=True),
        whole("macro_recall", "Macro recall", nominal.macro_recall, share=True),
        whole("macro_f1", "Macro F1", nominal.macro_f1, share=True),
        whole("cohen_kappa", "Cohen's κ", nominal.cohen_kappa),
        *(() if table.shape.nominal else _weighted_kappas(whole)),
        whole("alpha_nominal", "Krippendorff's α, nominal", lambda c: nominal.alpha(nominal.coincidences(c))),
        *(() if table.shape.nominal else _scaled_alphas(whole)),
        whole("gwet_ac1", "Gwet's AC1", nominal.gwet_ac1),
    ]
    return tuple(figures + _probabilities(measure, mask))


def _weighted_kappas(whole: Callable[..., Figure]) -> list[Figure]:
    """κ that weighs a disagreement by how far apart two verdicts lie on their scale."""
    return [
        whole("cohen_kappa_linear", "Cohen's κ, linear weights", _weighted("linear")),
        whole("cohen_kappa_quadratic", "Cohen's κ, quadratic weights", _weighted("quadratic")),
    ]


def _scaled_alphas(whole: Callable[..., Figure]) -> list[Figure]:
    """α of verdicts on a scale."""
    return [
        whole("alpha_ordinal", "Krippendorff's α, ordinal", alpha_ordinal),
        whole("alpha_interval", "Krippendorff's α, interval", alpha_interval),
    ]


def _weighted(weights: Weights) -> Callable[[Floats], Floats]:
    return lambda confusion: nominal.cohen_kappa(confusion, weights)


def alpha_ordinal(confusion: Floats) -> Floats:
    """α of a confusion matrix whose classes are in order."""
    coincidence = nominal.coincidences(confusion)
    return nominal.alpha(coincidence, nominal.ordinal_delta(coincidence))


def alpha_interval(confusion: Floats) -> Floats:
    """α of a confusion matrix whose classes are equally far apart."""
    values = np.arange(confusion.shape[-1], dtype=np.float64)
    return nominal.alpha(nominal.coincidences(confusion), nominal.interval_delta(values))


def _without_ties(measure: Measure, mask: Mask) -> list[Figure]:
    truth, verdict = measure.table.truth, measure.judge.verdict
    decided = mask & (truth != TIE)
    both = decided & (verdict != TIE)
    hit = truth == verdict
    return [
        measure.share("accuracy_decided", "Accuracy where people decide (a judge's tie is wrong)", hit, decided),
        measure.share("accuracy_without_ties", "Accuracy where neither says tie", hit, both),
    ]


def _forced(measure: Measure, mask: Mask) -> list[Figure]:
    """What the judge says where it has to choose: κ without ties, its probability against 1/2, its contradictory ties.

    A tie of the merged verdict is decided by the probability; exactly 1/2 is right half the time. Many ties of a weak
    judge are none: its two orders name opposite responses.
    """
    truth, judge = measure.table.truth, measure.judge
    figures = []
    both = mask & (truth != TIE) & (judge.verdict != TIE)
    if both.any():
        sums = measure.draw.cells(cells(truth, judge.verdict, both, 2), 4)
        title = "Cohen's κ where neither says tie"
        figures.append(
            measure.figure(
                "cohen_kappa_without_ties", title, sums, square(nominal.cohen_kappa, 2), both, unit="coefficient"
            )
        )
    stated = mask & (truth != TIE) & ~np.isnan(judge.probability)
    if stated.any():
        p = np.nan_to_num(judge.probability, nan=0.5)
        hit = np.where(p == 0.5, 0.5, (p > 0.5) == (truth == 0))
        title = "Accuracy of the likelier response, ties decided by its probability"
        figures.append(measure.mean("accuracy_forced", title, hit, stated, unit="share"))
    ties = mask & (judge.verdict == TIE) & ~np.isnan(judge.forward) & ~np.isnan(judge.swapped)
    if ties.any():
        title = "The judge's ties whose orders name opposite responses"
        opposite = (judge.forward != judge.swapped) & (judge.forward != TIE) & (judge.swapped != TIE)
        figures.append(measure.share("inconsistent_ties", title, opposite, ties))
    return figures


def _by_order(measure: Measure) -> list[Figure]:
    """Accuracy in each order and over both (LLMBar's "average accuracy" counts every reading once)."""
    truth, judge = measure.table.truth, measure.judge
    sides = []
    for name, side in (("forward", judge.forward), ("swapped", judge.swapped)):
        readings = ~np.isnan(truth) & ~np.isnan(side)
        if readings.any():
            title = "Accuracy, as given" if name == "forward" else "Accuracy, swapped"
            sides.append(measure.share(f"accuracy_{name}", title, truth == side, readings))
    if len(sides) == 2:
        first, second = ~np.isnan(truth) & ~np.isnan(judge.forward), ~np.isnan(truth) & ~np.isnan(judge.swapped)
        hits = (first & (truth == judge.forward)).astype(np.float64) + (second & (truth == judge.swapped))
        readings = first.astype(np.float64) + second
        sums = measure.draw.by_block(np.column_stack([hits, readings]))
        title = "Accuracy, mean of both orders"
        sides.append(measure.figure("accuracy_orders", title, sums, lambda s: s[..., 0] / s[..., 1], first | second))
    return sides


def _votes(measure: Measure) -> Figure:
    """The share of single votes that the judge agrees with: what a person drawn at random would say."""
    votes, judge = measure.table.votes, measure.judge
    read = judge.read[votes.row]
    size = len(measure.table)
    same = np.bincount(votes.row[read], weights=votes.value[read] == judge.verdict[votes.row[read]], minlength=size)
    count = np.bincount(votes.row[read], minlength=size)
    sums = measure.draw.by_block(np.column_stack([same, count]).astype(np.float64))
    title = f"Agreement with single votes ({int(count.sum()):,} of them)"
    return measure.figure("vote_agreement", title, sums, lambda s: s[..., 0] / s[..., 1], count > 0)


def _probabilities(measure: Measure, mask: Mask) -> list[Figure]:
    """AUC and Brier score of the stated probability, rows where people said tie left out."""
    stated = mask & ~np.isnan(measure.judge.probability) & (measure.table.truth < TIE)
    if not stated.any():
        return []
    right, p = (measure.table.truth == 0).astype(np.float64), np.nan_to_num(measure.judge.probability)
    return [
        measure.ranked("auc", "AUC of the stated probability", auc(p, right), stated, rough=auc(p, right, 2_000)),
        measure.mean("brier", "Brier score", (p - right) ** 2, stated, unit="loss"),
    ]


def confusion(measure: Measure) -> Confusion:
    """The counts themselves, with what could not be read beside them."""
    table, judge = measure.table, measure.judge
    size = len(table.labels)
    flat = cells(table.truth, judge.verdict, measure.rows, size)
    counts = np.bincount(flat[flat >= 0], minlength=size * size).reshape(size, size)
    lost = ~np.isnan(table.truth) & judge.unreadable
    unread = np.bincount(table.truth[lost].astype(np.int64), minlength=size)
    return Confusion(
        labels=table.labels,
        counts=tuple(tuple(int(count) for count in row) for row in counts),
        unreadable=tuple(int(count) for count in unread),
    )
