"""Agreement on solutions (where is the first wrong step?) and on rankings (in which order?).

Refuses to know people apart (ceiling.py).
"""

from collections.abc import Sequence
from math import nan

import numpy as np

from judge.agreement import nominal
from judge.agreement.measure import Measure, ratio
from judge.agreement.report import Confusion, Figure
from judge.agreement.resample import Floats
from judge.agreement.verdicts import square


def steps(measure: Measure) -> tuple[Figure, ...]:
    """First wrong step, ProcessBench's F1, whether there is a mistake at all, and single steps."""
    truth, said, mask = measure.table.truth, measure.judge.verdict, measure.rows
    hit = truth == said
    wrong, right = mask & (truth >= 0), mask & (truth < 0)
    halves = measure.draw.by_block(np.column_stack([hit & wrong, wrong, hit & right, right]).astype(np.float64))
    found = measure.draw.cells(_mistakes(measure), 4)
    step_sums = measure.draw.by_block(step_terms(measure))
    judged = mask & np.isin(np.arange(len(mask)), list(measure.judge.detail))
    title = "Steps found wrong, up to the people's first wrong one: "
    return (
        measure.share("first_wrong", "First wrong step exactly right (or: no mistake)", hit, mask),
        measure.share("first_wrong_on_wrong", "… on solutions with a mistake", hit, wrong),
        measure.share("first_wrong_on_right", "… on solutions without one", hit, right),
        measure.figure("processbench_f1", "ProcessBench F1", halves, processbench_f1, mask),
        measure.share("first_wrong_within_one", "First wrong step at most one off", near(truth, said), mask),
        measure.share("mistake_found", "Right about whether there is a mistake", (truth >= 0) == (said >= 0), mask),
        measure.figure(
            "mistake_kappa", "Cohen's κ of that", found, square(nominal.cohen_kappa, 2), mask, unit="coefficient"
        ),
        measure.figure("step_precision", title + "precision", step_sums, precision, judged),
        measure.figure("step_recall", title + "recall", step_sums, recall, judged),
        measure.figure("step_f1", title + "F1", step_sums, f1, judged),
        measure.figure("step_accuracy", "Single steps judged right", step_sums, step_accuracy, judged),
    )


def near(truth: Floats, said: Floats) -> Floats:
    """Whether two first wrong steps are equal or neighbours; "no mistake" is near nothing else."""
    both = (truth >= 0) & (said >= 0)
    return np.asarray(np.where(both, np.abs(truth - said) <= 1, truth == said), dtype=np.float64)


def processbench_f1(sums: Floats) -> Floats:
    """The harmonic mean of the accuracies on wrong and on right solutions (Zheng et al. 2024, ProcessBench, §3; its
    code/run_eval.py). sums (…, 4): hits and number on each."""
    wrong, right = sums[..., 0] / sums[..., 1], sums[..., 2] / sums[..., 3]
    return np.where(wrong + right > 0, 2 * wrong * right / np.where(wrong + right > 0, wrong + right, 1.0), 0.0)


def precision(sums: Floats) -> Floats:
    """TP / (TP + FP) of sums (…, 4): TP, FP, FN, TN."""
    return np.asarray(sums[..., 0] / (sums[..., 0] + sums[..., 1]))


def recall(sums: Floats) -> Floats:
    """TP / (TP + FN) of sums (…, 4)."""
    return np.asarray(sums[..., 0] / (sums[..., 0] + sums[..., 2]))


def f1(sums: Floats) -> Floats:
    """2 TP / (2 TP + FP + FN) of sums (…, 4): TP, FP, FN, TN."""
    return np.asarray(2 * sums[..., 0] / (2 * sums[..., 0] + sums[..., 1] + sums[..., 2]))


def step_accuracy(sums: Floats) -> Floats:
    """(TP + TN) / all of sums (…, 4)."""
    return np.asarray((sums[..., 0] + sums[..., 3]) / sums.sum(axis=-1))


def _mistakes(measure: Measure) -> Floats:
    """The cell of each row in the matrix of "there is a mistake"."""
    flat = 2 * (measure.table.truth >= 0) + (measure.judge.verdict >= 0)
    return np.where(measure.rows, flat, -1)


def step_terms(measure: Measure) -> Floats:
    """(N, 4) TP, FP, FN, TN of "this step is wrong", over the steps that people's label speaks of: all before the first
    wrong one are right, that one is wrong, nothing is known of later ones. Unjudged steps are left out; neutral is
    not wrong."""
    table = measure.table
    terms = np.zeros((len(table), 4))
    for at, (verdicts, _) in measure.judge.detail.items():
        first = table.truth[at]
        if np.isnan(first):
            continue
        known = verdicts if first < 0 else verdicts[: int(first) + 1]
        for step, verdict in enumerate(known):
            if verdict is not None:
                true, given = step == first, verdict == "wrong"
                terms[at, 0 if true and given else 1 if given else 2 if true else 3] += 1
    return terms


def mistakes(measure: Measure) -> Confusion:
    """Whether there is a mistake: people against judge."""
    flat = _mistakes(measure)
    counts = np.bincount(flat[flat >= 0].astype(np.int64), minlength=4).reshape(2, 2)
    lost = ~np.isnan(measure.table.truth) & measure.judge.unreadable
    unread = np.bincount((measure.table.truth[lost] >= 0).astype(np.int64), minlength=2)
    return Confusion(
        labels=("no mistake", "a mistake"),
        counts=tuple(tuple(int(count) for count in row) for row in counts),
        unreadable=tuple(int(count) for count in unread),
    )


def rankings(measure: Measure) -> tuple[Figure, ...]:
    """Against each person's order, the mean over people: best response, pairs in the same order, τ and ρ."""
    terms = _order_terms(measure)
    mask = terms[:, 0] > 0
    sums = [measure.draw.by_block(np.column_stack([terms[:, at], terms[:, 0]])) for at in range(1, 5)]
    return (
        measure.figure("pairs_in_order", "Pairs put in the same order", sums[0], ratio, mask),
        measure.figure("best_response", "Same best response", sums[1], ratio, mask),
        measure.figure("kendall", "Kendall's τ, mean over rows", sums[2], ratio, mask, unit="coefficient"),
        measure.figure("spearman", "Spearman's ρ, mean over rows", sums[3], ratio, mask, unit="coefficient"),
    )


def _order_terms(measure: Measure) -> Floats:
    """(N, 5): votes on the row, then the sums over them of the four figures."""
    table = measure.table
    terms = np.zeros((len(table), 5))
    for vote, order in table.votes.orders.items():
        at = int(table.votes.row[vote])
        if measure.judge.read[at]:
            terms[at] += (1.0, *compare_orders(order, measure.judge.detail[at][0]))
    terms[terms[:, 0] > 0, 1:] /= terms[terms[:, 0] > 0, :1]
    terms[:, 0] = terms[:, 0] > 0
    return terms


def compare_orders(one: Sequence[int], other: Sequence[int]) -> tuple[float, float, float, float]:
    """Share of pairs in the same order, same best, τ = 2 share - 1, ρ = 1 - 6 Σ d² / (n (n² - 1)), over the responses
    that both orders name."""
    both = [item for item in one if item in set(other)]
    if len(both) < 2:
        return nan, nan, nan, nan
    place = {item: at for at, item in enumerate(item for item in other if item in set(both))}
    ranks = [place[item] for item in both]
    count = len(ranks)
    pairs = count * (count - 1) / 2
    same = sum(ranks[i] < ranks[j] for i in range(count) for j in range(i + 1, count)) / pairs
    apart = sum((at - rank) ** 2 for at, rank in enumerate(ranks))
    return same, float(ranks[0] == 0), 2 * same - 1, 1 - 6 * apart / (count * (count**2 - 1))


def order_hits(measure: Measure) -> Floats:
    """(N,) the share of pairs in the same order as people's, nan where nobody ordered."""
    terms = _order_terms(measure)
    return np.where(terms[:, 0] > 0, terms[:, 1], nan)
