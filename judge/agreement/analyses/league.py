"""Several judges on the same rows: a table with paired tests, and the triangle of people, a judge and its student."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.main_figure import MainFigure, centred
from judge.agreement.data.table import Mask
from judge.agreement.schema import Comparison, Figure, League, LeagueRow, Triangle
from judge.agreement.statistics.bootstrap import Floats
from judge.agreement.statistics.correlation import moments, pearson_of

LEVEL = 0.05


def league(measures: Sequence[Measure], by: Sequence[MainFigure], masks: Sequence[Mask]) -> League:
    """Judges by what they are compared by, on the rows that all of them judged readably; differences are tested
    pairwise by the cluster bootstrap, and all p-values corrected by Holm's method."""
    common = np.logical_and.reduce(list(masks))
    figures = [main.figure(measure, main.title, common) for measure, main in zip(measures, by, strict=True)]
    order = sorted(range(len(figures)), key=lambda index: (-(figures[index].value or 0.0), index))
    pairs = list(combinations(order, 2))
    comparisons = _corrected([_compare(measures, by, common, main, other) for main, other in pairs])
    tested = dict(zip(pairs, comparisons, strict=True))
    rows = []
    for place, index in enumerate(order):
        tied = False
        if place:
            p = tested[order[place - 1], index].p_value
            tied = p is None or p >= LEVEL
        rows.append(LeagueRow(rank=place + 1, name=measures[index].judge.name, figure=figures[index], tied=tied))
    return League(rows=tuple(rows), comparisons=comparisons, common=int(common.sum()))


def _compare(
    measures: Sequence[Measure], by: Sequence[MainFigure], common: Mask, first: int, second: int
) -> Comparison:
    measure, names = measures[first], [measures[index].judge.name for index in (first, second)]
    sums = np.concatenate([by[index].sums(measure, common) for index in (first, second)], axis=1)
    figure = measure.figure("difference", " minus ".join(names), sums, by[first].apart, common, unit=by[first].unit)
    p = None
    if measure.draw.resamples and figure.value is not None:
        p = measure.draw.p_value(measure.draw.replicates(sums, by[first].apart))
    return Comparison(
        first=names[0],
        second=names[1],
        difference=figure,
        p_value=p,
        only_first_right=int((common & (by[first].hit > by[second].hit)).sum()),
        only_second_right=int((common & (by[second].hit > by[first].hit)).sum()),
    )


def _corrected(comparisons: list[Comparison]) -> tuple[Comparison, ...]:
    from statsmodels.stats.multitest import multipletests

    tested = [index for index, comparison in enumerate(comparisons) if comparison.p_value is not None]
    if tested:
        p_values = multipletests([comparisons[index].p_value for index in tested], method="holm")[1]
        for index, p in zip(tested, p_values, strict=True):
            comparisons[index] = replace(comparisons[index], p_value=float(p))
    return tuple(comparisons)


def triangle(judge: Measure, model: Measure) -> Triangle:
    """People, a judge, and a model made from it, on the rows where all three have a verdict. A reward model knows no
    ties, so rows with a tie of people or judge count as they are: the model differs there."""
    table = judge.table
    common = judge.rows & model.judge.read
    if table.form == "scores":
        return _of_scores(judge, model, common)
    truth, judged, copied = table.truth, judge.judge.verdict, model.judge.verdict
    by_judge, by_model, alike = truth == judged, truth == copied, judged == copied
    parts = {
        "all_agree": common & by_judge & by_model,
        "model_alone": common & by_judge & ~by_model,
        "judge_alone": common & by_model & ~by_judge,
        "human_alone": common & alike & ~by_judge,
        "all_differ": common & ~by_judge & ~by_model & ~alike,
    }
    return Triangle(
        judge=judge.judge.name,
        model=model.judge.name,
        human_judge=judge.share("human_judge", _HUMAN_JUDGE, by_judge, common),
        judge_model=judge.share("judge_model", _JUDGE_MODEL, alike, common),
        human_model=model.share("human_model", _HUMAN_MODEL, by_model, common),
        parts={name: int(mask.sum()) for name, mask in parts.items()},
        inherited=model.share("inherited", "Of the judge's mistakes, the model repeats", alike, common & ~by_judge),
    )


_HUMAN_JUDGE, _JUDGE_MODEL, _HUMAN_MODEL = "People and judge", "Judge and model", "People and model"


def _of_scores(judge: Measure, model: Measure, common: Mask) -> Triangle:
    """The sides as Pearson's r, each criterion about its own mean; inherited: what judge and model share beyond what
    people's scores explain, (r_jm - r_hj r_hm) / sqrt((1 - r_hj²)(1 - r_hm²)), the partial correlation."""
    people, judged, copied = (
        centred(judge, values) for values in (judge.table.truth, judge.judge.verdict, model.judge.verdict)
    )
    hj, jm, hm = (moments(x, y, common) for x, y in ((people, judged), (judged, copied), (people, copied)))

    def side(name: str, title: str, terms: Floats) -> Figure:
        sums = judge.draw.by_block(terms)
        return judge.figure(name, f"{title}, Pearson's r", sums, pearson_of, common, unit="coefficient")

    def partial(sums: Floats) -> Floats:
        r_human_judge, r_human_model, r_judge_model = (pearson_of(sums[..., start : start + 6]) for start in (0, 6, 12))
        return np.asarray(
            (r_judge_model - r_human_judge * r_human_model) / np.sqrt((1 - r_human_judge**2) * (1 - r_human_model**2))
        )

    sums = judge.draw.by_block(np.column_stack([hj, hm, jm]))
    title = "Judge and model, people's scores held (partial correlation)"
    return Triangle(
        judge=judge.judge.name,
        model=model.judge.name,
        human_judge=side("human_judge", _HUMAN_JUDGE, hj),
        judge_model=side("judge_model", _JUDGE_MODEL, jm),
        human_model=side("human_model", _HUMAN_MODEL, hm),
        parts={},
        inherited=judge.figure("inherited", title, sums, partial, common, unit="coefficient"),
    )
