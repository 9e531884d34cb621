"""Figures of one judge on the rows of a table: the bookkeeping that every figure shares.

A figure says how many rows it was made from, and how many labelled rows it could not use: those whose verdict could not
be read and those the judge never saw.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from judge.agreement.data.columns import MISSING
from judge.agreement.data.table import Judge, Mask, Table
from judge.agreement.schema import Coverage, Figure, Unit
from judge.agreement.statistics.bootstrap import (
    LOOPED,
    NO_INTERVAL,
    TOO_FEW,
    Floats,
    Formula,
    Resampler,
    Statistic,
    by_weights,
    jackknife,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A table, the draws of its prompts, and whose figures are made from it: a judge's, or people's alone (None)."""

    table: Table
    judge: Judge | None
    draw: Resampler

    def figure(
        self,
        name: str,
        title: str,
        sums: Floats,
        formula: Formula,
        mask: Mask,
        *,
        unit: Unit = "share",
        of: str = "",
        note: str = "",
    ) -> Figure:
        """A figure of block sums (G, K); `mask` are the rows in it."""
        rows, clusters = int(mask.sum()), self.clusters(mask)
        figure = self.draw.figure(name, title, sums, formula, rows=rows, clusters=clusters, unit=unit, of=of, note=note)
        return self.counted(figure)

    def share(self, name: str, title: str, hit: Any, mask: Mask, *, note: str = "", of: str = "") -> Figure:
        """The share of the rows of `mask` that are a hit: Σ hit / Σ 1."""
        columns = np.column_stack([np.where(mask, hit, 0.0), mask]).astype(np.float64)
        return self.figure(name, title, self.draw.by_block(columns), ratio, mask, note=note, of=of)

    def mean(self, name: str, title: str, value: Floats, mask: Mask, *, unit: Unit = "number", of: str = "") -> Figure:
        """The mean of a value over the rows of `mask`."""
        columns = np.column_stack([np.where(mask, value, 0.0), mask]).astype(np.float64)
        return self.figure(name, title, self.draw.by_block(columns), ratio, mask, unit=unit, of=of)

    def ranked(
        self,
        name: str,
        title: str,
        statistic: Statistic,
        mask: Mask,
        *,
        costly: bool = False,
        of: str = "",
        rough: Statistic | None = None,
    ) -> Figure:
        """A figure of row weights (N,), which are 0 outside `mask`. costly: one call a resample is too much; rough: a
        cheaper statistic of the same width, for the interval of many rows."""
        inside = mask.astype(np.float64)
        rows, clusters = int(mask.sum()), self.clusters(mask)
        value = statistic(inside) if rows else float("nan")
        if not np.isfinite(value):
            why = "no rows" if not rows else "not defined on these rows (all alike)"
            empty = Figure(name=name, title=title, value=None, n=rows, clusters=clusters, unit="coefficient", of=of)
            return self.counted(replace(empty, note=why))
        interval = NO_INTERVAL
        if self.draw.resamples:
            chosen = rough if rough is not None and rows > LOOPED else statistic

            def weighted(weight: Floats) -> float:
                return chosen(weight * inside)

            if costly or rows > LOOPED:
                interval = jackknife(self.draw, weighted, value, clusters=clusters)
            else:
                interval = by_weights(self.draw, weighted, clusters=clusters)
        note = TOO_FEW if self.draw.resamples and interval.low is None else ""
        figure = Figure(
            name=name,
            title=title,
            value=float(value),
            low=interval.low,
            high=interval.high,
            n=rows,
            clusters=clusters,
            unit="coefficient",
            of=of,
            note=note,
        )
        return self.counted(figure)

    def counted(self, figure: Figure) -> Figure:
        """The figure with the labelled rows that it lacks."""
        inside = self.table.labelled
        if figure.of and len(self.table.criteria) > 1 and figure.of in self.table.criteria:
            inside = inside & (self.table.criterion == self.table.criteria.index(figure.of))
        return self.counted_in(figure, inside)

    def counted_in(self, figure: Figure, inside: Mask) -> Figure:
        """The figure with those of some labelled rows that it lacks."""
        if self.judge is None:
            return figure
        unreadable = int((inside & self.judge.unreadable).sum())
        missing = int((inside & (self.judge.state == MISSING)).sum())
        return replace(figure, unreadable=unreadable, missing=missing)

    def clusters(self, mask: Mask) -> int:
        """Different prompts among the rows of `mask`."""
        return int((np.bincount(self.draw.code[mask], minlength=1) > 0).sum())


@dataclass(frozen=True, slots=True)
class Measure(Sample):
    """A judge, the table it is measured on, and the draws of its prompts."""

    judge: Judge

    @property
    def rows(self) -> Mask:
        """Rows with a truth and a readable verdict."""
        return np.asarray(~np.isnan(self.table.truth) & self.judge.read)


def ratio(sums: Floats) -> Floats:
    """Σ hit / Σ 1."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def coverage(table: Table, judge: Judge, draw: Resampler) -> Coverage:
    """Every labelled row accounted for."""
    labelled = table.labelled
    return Coverage(
        labelled=int(labelled.sum()),
        readable=int((labelled & judge.read).sum()),
        unreadable=int((labelled & judge.unreadable).sum()),
        missing=int((labelled & (judge.state == MISSING)).sum()),
        unlabelled=int((~labelled & (judge.state != MISSING)).sum()),
        duplicates=judge.duplicates,
        repeated_votes=table.votes.duplicates,
        prompts=int((np.bincount(draw.code[labelled], minlength=1) > 0).sum()),
    )
