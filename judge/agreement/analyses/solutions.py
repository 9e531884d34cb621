"""Agreement on solutions (where is the first wrong step?) and on rankings (in which order?)."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import nan, sqrt

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure, ratio
from judge.agreement.analyses.verdicts import square
from judge.agreement.data.columns import Order
from judge.agreement.schema import Confusion, Figure, Unit
from judge.agreement.statistics import nominal
from judge.agreement.statistics.bootstrap import Floats


def steps(measure: Measure) -> tuple[Figure, ...]:
    """First wrong step, ProcessBench's F1, whether there is a mistake at all, and single steps."""
    truth, judged, mask = measure.table.truth, measure.judge.verdict, measure.rows
    hit = truth == judged
    wrong, right = mask & (truth >= 0), mask & (truth < 0)
    halves = measure.draw.by_block(np.column_stack([hit & wrong, wrong, hit & right, right]).astype(np.float64))
    counts = measure.draw.cells(_mistakes(measure), 4)
    step_sums = measure.draw.by_block(step_terms(measure))
    with_steps = mask & np.isin(np.arange(len(mask)), list(measure.judge.detail))
    title = "Steps found wrong, up to the people's first wrong one: "
    return (
        measure.share("first_wrong", "First wrong step exactly right (or: no mistake)", hit, mask),
        measure.share("first_wrong_on_wrong", "… on solutions with a mistake", hit, wrong),
        measure.share("first_wrong_on_right", "… on solutions without one", hit, right),
        measure.figure("processbench_f1", "ProcessBench F1", halves, processbench_f1, mask),
        measure.share("first_wrong_within_one", "First wrong step at most one off", near(truth, judged), mask),
        measure.share("mistake_found", "Right about whether there is a mistake", (truth >= 0) == (judged >= 0), mask),
        measure.figure(
            "mistake_kappa", "Cohen's κ of that", counts, square(nominal.cohen_kappa, 2), mask, unit="coefficient"
        ),
        measure.figure("step_precision", title + "precision", step_sums, precision, with_steps),
        measure.figure("step_recall", title + "recall", step_sums, recall, with_steps),
        measure.figure("step_f1", title + "F1", step_sums, f1, with_steps),
        measure.figure("step_accuracy", "Single steps judged right", step_sums, step_accuracy, with_steps),
    )


def near(truth: Floats, judged: Floats) -> Floats:
    """Whether two first wrong steps are equal or neighbours; "no mistake" is near nothing else."""
    both = (truth >= 0) & (judged >= 0)
    return np.asarray(np.where(both, np.abs(truth - judged) <= 1, truth == judged), dtype=np.float64)


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
    for row, (verdicts, _) in measure.judge.detail.items():
        first = table.truth[row]
        if np.isnan(first):
            continue
        known = verdicts if first < 0 else verdicts[: int(first) + 1]
        for step, verdict in enumerate(known):
            if verdict is not None:
                true, given = step == first, verdict == "wrong"
                terms[row, 0 if true and given else 1 if given else 2 if true else 3] += 1
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
    """Against each person's order, the mean over people: best response, pairs in the same order, τ and ρ. Where people
    only said which responses are right, a pair is a right one and a wrong one, and ρ is not defined."""
    terms = _order_terms(measure)
    figures = []
    for column, (name, title) in enumerate(_ORDERS):
        mask = ~np.isnan(terms[:, column])
        unit: Unit = "share" if column < 2 else "coefficient"
        sums = measure.draw.by_block(np.column_stack([np.nan_to_num(terms[:, column]), mask]).astype(np.float64))
        figures.append(measure.figure(name, title, sums, ratio, mask, unit=unit))
    return tuple(figures)


_ORDERS = (
    ("pairs_in_order", "Pairs put in the same order"),
    ("best_response", "Same best response"),
    ("kendall", "Kendall's τ, mean over rows"),
    ("spearman", "Spearman's ρ, mean over rows"),
)


def _order_terms(measure: Measure) -> Floats:
    """(N, 4): the four figures of a row, each the mean over its votes, nan where there is none."""
    table = measure.table
    sums, counts = np.zeros((len(table), 4)), np.zeros((len(table), 4))
    for vote, order_of_person in table.votes.orders.items():
        row = int(table.votes.row[vote])
        if measure.judge.read[row]:
            order, strengths = measure.judge.detail[row]
            values = np.array(compare_orders(order_of_person, places(order, strengths)))
            sums[row] += np.nan_to_num(values)
            counts[row] += ~np.isnan(values)
    with np.errstate(all="ignore"):
        return np.asarray(sums / counts)


def places(order: Sequence[int], strengths: Sequence[float]) -> dict[int, float]:
    """The place of each response, smaller is better: by strengths, where equal ones share a place, else by order."""
    if strengths:
        return {response: -strength for response, strength in enumerate(strengths)}
    return {response: float(place) for place, response in enumerate(order)}


def compare_orders(people: Order, judge: Mapping[int, float]) -> tuple[float, float, float, float]:
    """Share of pairs in the same order (½ where the judge has both level), the same best (1/k where k share it),
    τ = 2 share - 1, and ρ, Pearson's r of mid-ranks; over the responses that both name."""
    both = [response for response in people if response in judge]
    if isinstance(people, frozenset):
        pairs = [(good, bad) for good in both for bad in judge if bad not in people]
        best = people
    else:
        pairs, best = list(combinations(both, 2)), frozenset(both[:1])
    if not pairs:
        return nan, nan, nan, nan
    same = sum(0.5 * (judge[better] <= judge[worse]) + 0.5 * (judge[better] < judge[worse]) for better, worse in pairs)
    share = same / len(pairs)
    named = judge if isinstance(people, frozenset) else both
    highest = min(judge[response] for response in named)
    leaders = [response for response in named if judge[response] == highest]
    hit = sum(response in best for response in leaders) / len(leaders)
    return share, hit, 2 * share - 1, nan if isinstance(people, frozenset) else _rho([judge[better] for better in both])


def _rho(values: Sequence[float]) -> float:
    """Pearson's r of the mid-ranks of these places with 1, 2, 3, …; 0 where all are level."""
    middle = (len(values) - 1) / 2
    places_of_people = [place - middle for place in range(len(values))]
    ranks = [sum(other < value for other in values) + (values.count(value) - 1) / 2 - middle for value in values]
    product = sum(rank**2 for rank in ranks) * sum(place**2 for place in places_of_people)
    return (
        sum(rank * place for rank, place in zip(ranks, places_of_people, strict=True)) / sqrt(product)
        if product
        else 0.0
    )


def order_hits(measure: Measure) -> Floats:
    """(N,) the share of pairs in the same order as people's, nan where nobody ordered."""
    return np.asarray(_order_terms(measure)[:, 0])
