"""The one figure by which judges (league.py) and parts of the rows (slices.py) are compared with each other.

Verdicts go by how often they are right, rankings by pairs put in order, scores by Pearson's r: people and a judge may
score on different scales.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure, ratio
from judge.agreement.analyses.solutions import order_hits
from judge.agreement.data.table import Mask
from judge.agreement.schema import Figure, Unit
from judge.agreement.statistics.bootstrap import Floats, Formula
from judge.agreement.statistics.correlation import moments, pearson_of


class MainFigure(NamedTuple):
    """What is compared. hit: (N,) how right the judge is on each row, 0…1; columns: of the rows of a mask, the terms
    (N, K) whose sums the formula takes."""

    name: str
    title: str
    unit: Unit
    hit: Floats
    columns: Callable[[Mask], Floats]
    formula: Formula

    def sums(self, measure: Measure, mask: Mask) -> Floats:
        """(G, K) by block of prompts."""
        return measure.draw.by_block(self.columns(mask))

    def figure(self, measure: Measure, title: str, mask: Mask) -> Figure:
        """The figure itself on the rows of a mask."""
        return measure.figure(self.name, title, self.sums(measure, mask), self.formula, mask, unit=self.unit)

    def apart(self, sums: Floats) -> Floats:
        """The figure of the first half of the sums (…, 2K) minus that of the second."""
        half = sums.shape[-1] // 2
        return np.asarray(self.formula(sums[..., :half]) - self.formula(sums[..., half:]))


def main_figure(measure: Measure) -> MainFigure:
    """What the judge is compared by, as its task has it."""
    hit = hits(measure)
    match measure.table.form:
        case "scores":
            return MainFigure("pearson", "Pearson's r", "coefficient", hit, _scored(measure), pearson_of)
        case "order":
            return MainFigure("pairs_in_order", "Pairs put in the same order", "share", hit, _counted(hit), ratio)
        case "steps":
            return MainFigure("first_wrong", "First wrong step exactly right", "share", hit, _counted(hit), ratio)
        case _:
            return MainFigure("accuracy", "Accuracy", "share", hit, _counted(hit), ratio)


def hits(measure: Measure) -> Floats:
    """How right the judge is on each row, 0…1: equal verdicts; the share of pairs in order for rankings; for scores the
    same whole number, or within half a point of the people's mean."""
    truth, judged = measure.table.truth, measure.judge.verdict
    match measure.table.form:
        case "scores":
            return np.asarray(np.abs(judged - truth) <= 0.5, dtype=np.float64)
        case "order":
            return order_hits(measure)
        case _:
            return np.asarray(judged == truth, dtype=np.float64)


def _counted(hit: Floats) -> Callable[[Mask], Floats]:
    return lambda mask: np.column_stack([np.where(mask, hit, 0.0), mask]).astype(np.float64)


def centred(measure: Measure, values: Floats) -> Floats:
    """Scores about the mean of their criterion, so that criteria that differ in height do not look like agreement."""
    rows, criterion = measure.rows & ~np.isnan(values), measure.table.criterion
    size = len(measure.table.criteria)
    many = np.maximum(np.bincount(criterion[rows], minlength=size), 1)
    means = np.bincount(criterion[rows], weights=values[rows], minlength=size) / many
    return np.asarray(values - means[criterion])


def _scored(measure: Measure) -> Callable[[Mask], Floats]:
    judged, truth = centred(measure, measure.judge.verdict), centred(measure, measure.table.truth)
    return lambda mask: moments(judged, truth, mask)
