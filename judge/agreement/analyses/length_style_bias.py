"""Leanings to long and to marked-up responses, in pairs.

Each is told in three ways: how often the longer one wins by the judge and by people; a logistic model of the judge's
choice on length and style beside the people's verdict; and what the judge would say at equal length.
"""

import warnings
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure, ratio
from judge.agreement.data.table import TIE, Mask
from judge.agreement.schema import Figure, LengthBin
from judge.agreement.statistics.bootstrap import Floats, Ints

CUTS = (-np.inf, -1.0, -0.5, -0.2, 0.2, 0.5, 1.0, np.inf)
ENOUGH = 50


class Fitted(NamedTuple):
    """Coefficients and their standard errors; the columns are named in `model`."""

    value: Floats
    error: Floats


def lengths(measure: Measure) -> tuple[tuple[Figure, ...], tuple[LengthBin, ...]]:
    """Figures of length, and agreement by length difference."""
    length = measure.table.length
    known = ~np.isnan(length)
    if not (known & measure.judge.read).any():
        return (), ()
    figures = [*_preferred(measure, length, "longer", "longer")]
    mask = _choosing(measure) & known
    title = "Logistic coefficient of log length ratio, people's verdict held"
    figures.append(_coefficient(measure, "length_coefficient", title, 1, mask))
    figures += _controlled(measure, mask)
    return tuple(figures), _bins(measure, known)


def styles(measure: Measure) -> tuple[Figure, ...]:
    """Figures of markdown: marks counted in either response."""
    style = measure.table.style
    marked = ~np.isnan(style) & (style != 0)
    if not (marked & measure.judge.read).any():
        return ()
    mask = _choosing(measure) & ~np.isnan(style)
    title = "Logistic coefficient of more markdown, people's verdict and length held"
    return (
        *_preferred(measure, style, "styled", "more marked-up"),
        _coefficient(measure, "style_coefficient", title, 2, mask),
    )


def _choosing(measure: Measure) -> Mask:
    """Rows on which the judge names a winner and people voted."""
    return np.asarray(measure.rows & (measure.judge.verdict != TIE))


def _preferred(measure: Measure, lean: Floats, name: str, word: str) -> tuple[Figure, ...]:
    """How often the response that has more of something wins: by the judge, by people, and the difference on the rows
    where both name a winner."""
    judge, truth = measure.judge.verdict, measure.table.truth
    unequal = ~np.isnan(lean) & (lean != 0)
    first = lean > 0
    by_judge = measure.judge.read & (judge != TIE) & unequal
    both = by_judge & ~np.isnan(truth) & (truth != TIE)
    hit, true = (judge == 0) == first, (truth == 0) == first
    sums = measure.draw.by_block(np.column_stack([(hit.astype(np.float64) - true) * both, both]).astype(np.float64))
    title = "… more than by people's, where both name a winner"
    return (
        measure.share(f"{name}_judge", f"The {word} response wins by the judge's verdict", hit, by_judge),
        measure.share(f"{name}_people", f"The {word} response wins by people's verdict", true, both),
        measure.figure(f"{name}_difference", title, sums, ratio, both),
    )


def model(measure: Measure, mask: Mask) -> Floats:
    """(n, 4): 1, log length ratio, sign of the difference in markdown, people's verdict (1 first, -1 second, 0 tie)."""
    table = measure.table
    worth = np.array([1.0, -1.0, 0.0])[table.truth[mask].astype(np.int64)]
    return np.column_stack(
        [np.ones(int(mask.sum())), table.length[mask], np.sign(np.nan_to_num(table.style[mask])), worth]
    )


def logistic(design: Floats, chosen: Floats, cluster: Ints) -> Fitted | None:
    """A logistic regression with standard errors by cluster; None where it has no finite solution."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            fit = GLM(chosen, design, family=Binomial()).fit(cov_type="cluster", cov_kwds={"groups": cluster})
        except (Warning, ValueError, np.linalg.LinAlgError):
            return None
    value, error = np.asarray(fit.params), np.asarray(fit.bse)
    return Fitted(value, error) if np.isfinite(error).all() and np.abs(value).max() < 30 else None


def _fit(measure: Measure, mask: Mask, columns: list[int]) -> Fitted | None:
    chosen = (measure.judge.verdict[mask] == 0).astype(np.float64)
    if not measure.draw.resamples or len(chosen) < ENOUGH or chosen.min() == chosen.max():
        return None
    design = model(measure, mask)[:, columns]
    varied = [index for index in range(len(columns)) if index == 0 or design[:, index].std() > 0]
    fit = logistic(design[:, varied], chosen, measure.draw.code[mask])
    if fit is None:
        return None
    value, error = np.full(len(columns), np.nan), np.full(len(columns), np.nan)
    value[varied], error[varied] = fit.value, fit.error
    return Fitted(value, error)


def _coefficient(measure: Measure, name: str, title: str, column: int, mask: Mask) -> Figure:
    fit = _fit(measure, mask, [0, 1, 2, 3])
    why = "too few rows, or the choice follows from the columns without exception"
    if not measure.draw.resamples:
        why = "fitted only where intervals are asked for"
    return _told(measure, name, title, mask, fit, column, why)


def _told(measure: Measure, name: str, title: str, mask: Mask, fit: Fitted | None, column: int, why: str) -> Figure:
    """A coefficient with its Wald interval by prompts."""
    is_fitted = fit is not None and np.isfinite(fit.value[column])
    value, reach = (
        (fit.value[column], 1.959964 * fit.error[column]) if fit is not None and is_fitted else (np.nan, np.nan)
    )
    has_interval = is_fitted and measure.draw.resamples > 0
    return measure.counted(
        Figure(
            name=name,
            title=title,
            value=float(value) if is_fitted else None,
            low=float(value - reach) if has_interval else None,
            high=float(value + reach) if has_interval else None,
            n=int(mask.sum()),
            clusters=measure.clusters(mask),
            unit="coefficient",
            note="" if is_fitted else why,
        )
    )


def _controlled(measure: Measure, mask: Mask) -> list[Figure]:
    """Wins of the first response as they are, and at equal length: σ(intercept) of a model of the choice on length
    (after Dubois et al. 2024, "Length-Controlled AlpacaEval", §3, with one pair of systems)."""
    fit = _fit(measure, mask, [0, 1])
    raw = measure.share("first_wins", "The first response wins by the judge", measure.judge.verdict == 0, mask)
    told = _told(
        measure, "first_wins_at_equal_length", "… at equal length (length-controlled)", mask, fit, 0, "see above"
    )
    ends = [None if end is None else float(1 / (1 + np.exp(-end))) for end in (told.value, told.low, told.high)]
    return [raw, replace(told, value=ends[0], low=ends[1], high=ends[2], unit="share")]


def _bins(measure: Measure, known: Mask) -> tuple[LengthBin, ...]:
    """Preferences and agreement by the log ratio of lengths, ties half."""
    mask = measure.rows & known
    worth = np.array([1.0, 0.0, 0.5])
    length = measure.table.length[mask]
    truth, judged = (values[mask].astype(np.int64) for values in (measure.table.truth, measure.judge.verdict))
    filled = []
    for low, high in pairwise(CUTS):
        inside = (length >= low) & (length < high)
        if inside.any():
            filled.append(
                LengthBin(
                    low=float(max(low, -9.0)),
                    high=float(min(high, 9.0)),
                    n=int(inside.sum()),
                    human_first=float(worth[truth[inside]].mean()),
                    judge_first=float(worth[judged[inside]].mean()),
                    agreement=float((truth[inside] == judged[inside]).mean()),
                )
            )
    return tuple(filled)
