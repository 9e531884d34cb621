"""Agreement by part of the rows: any field, and length; small parts are marked, tests corrected for their number."""

from dataclasses import replace

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.main_figure import MainFigure
from judge.agreement.data.table import Mask
from judge.agreement.schema import Slice

SMALL = 30
MOST = 40
THIRDS = ("shortest third", "middle third", "longest third")


def slices(measure: Measure, by: MainFigure, mask: Mask) -> tuple[Slice, ...]:
    """What the judge is compared by, on every value of every field asked for, on the criteria, and on thirds of length.

    Each is compared with all other rows of its field; p by the cluster bootstrap, corrected over all slices that are
    not small by Benjamini and Hochberg."""
    table = measure.table
    parts = []
    for name, values in table.fields.items():
        parts += _by_value(measure, by, mask, name, np.array(values, dtype=object))
    if len(table.criteria) > 1:
        parts += _by_value(measure, by, mask, "criterion", np.array(table.criteria, dtype=object)[table.criterion])
    size = np.abs(table.length)
    known = mask & ~np.isnan(size)
    if known.sum() >= 3 * SMALL:
        cuts = np.quantile(size[known], [1 / 3, 2 / 3])
        third = np.where(known, np.searchsorted(cuts, size, side="right"), -1)
        names = np.array([*THIRDS, ""], dtype=object)
        what = "length difference" if table.paired else "response length"
        parts += _by_value(measure, by, known, what, names[third])
    return corrected(parts)


def _by_value(measure: Measure, by: MainFigure, mask: Mask, field: str, values: "np.ndarray") -> list[Slice]:
    names, code = np.unique(values.astype(str), return_inverse=True)
    counts = np.bincount(code[mask], minlength=len(names))
    if (counts > 0).sum() < 2:
        return []
    parts = []
    for code_number in np.argsort(-counts, kind="stable")[:MOST]:
        inside = mask & (code == code_number)
        if not inside.any():
            continue
        difference, p = _against_rest(measure, by, inside, mask & ~inside)
        parts.append(
            Slice(
                field=field,
                value=str(names[code_number]),
                figure=by.figure(measure, f"{field} = {names[code_number]}", inside),
                difference=difference,
                p_value=p,
                small=bool(counts[code_number] < SMALL),
            )
        )
    return parts


def _against_rest(measure: Measure, by: MainFigure, inside: Mask, rest: Mask) -> tuple[float | None, float | None]:
    both = np.concatenate([by.sums(measure, inside), by.sums(measure, rest)], axis=1)
    with np.errstate(all="ignore"):
        difference = float(by.apart(both.sum(axis=0)))
    if not np.isfinite(difference):
        return None, None
    if not measure.draw.resamples:
        return difference, None
    return difference, measure.draw.p_value(measure.draw.replicates(both, by.apart))


def corrected(parts: list[Slice]) -> tuple[Slice, ...]:
    """The slices with p corrected over those that are not small, and marked worse or better where it is below 0.05."""
    tested = [index for index, part in enumerate(parts) if not part.small and part.p_value is not None]
    out = [replace(part, p_value=None) for part in parts]
    if tested:
        from statsmodels.stats.multitest import multipletests

        p_values = multipletests([parts[index].p_value for index in tested], method="fdr_bh")[1]
        for index, p in zip(tested, p_values, strict=True):
            difference = parts[index].difference or 0.0
            significant = p < 0.05
            out[index] = replace(
                parts[index],
                p_value=float(p),
                worse=bool(significant and difference < 0),
                better=bool(significant and difference > 0),
            )
    return tuple(out)
