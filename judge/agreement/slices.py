"""Agreement by part of the rows: any field, and length. Small parts are marked, comparisons corrected for their number.

Refuses to know what the main figure is: it takes hits.
"""

from dataclasses import replace

import numpy as np

from judge.agreement.measure import Measure
from judge.agreement.report import Slice
from judge.agreement.resample import Floats
from judge.agreement.table import Mask

SMALL = 30
MOST = 40
THIRDS = ("shortest third", "middle third", "longest third")


def slices(measure: Measure, hit: Floats, mask: Mask) -> tuple[Slice, ...]:
    """The main figure on every value of every field asked for, on the criteria, and on thirds of length.

    Each is compared with all other rows of its field; p by the cluster bootstrap, corrected over all slices that are
    not small by Benjamini and Hochberg."""
    table = measure.table
    found = []
    for name, values in table.fields.items():
        found += _by_value(measure, hit, mask, name, np.array(values, dtype=object))
    if len(table.criteria) > 1:
        found += _by_value(measure, hit, mask, "criterion", np.array(table.criteria, dtype=object)[table.criterion])
    size = np.abs(table.length)
    known = mask & ~np.isnan(size)
    if known.sum() >= 3 * SMALL:
        cuts = np.quantile(size[known], [1 / 3, 2 / 3])
        third = np.where(known, np.searchsorted(cuts, size, side="right"), -1)
        names = np.array([*THIRDS, ""], dtype=object)
        what = "length difference" if table.task == "preference" else "response length"
        found += _by_value(measure, hit, known, what, names[third])
    return _corrected(found)


def _by_value(measure: Measure, hit: Floats, mask: Mask, field: str, values: "np.ndarray") -> list[Slice]:
    names, code = np.unique(values.astype(str), return_inverse=True)
    counts = np.bincount(code[mask], minlength=len(names))
    if (counts > 0).sum() < 2:
        return []
    draw = measure.draw
    whole = draw.by_block(np.column_stack([np.where(mask, hit, 0.0), mask]).astype(np.float64))
    found = []
    for at in np.argsort(-counts, kind="stable")[:MOST]:
        inside = mask & (code == at)
        if not inside.any():
            continue
        own = draw.by_block(np.column_stack([np.where(inside, hit, 0.0), inside]).astype(np.float64))
        figure = measure.figure("accuracy", f"{field} = {names[at]}", own, _rate, inside)
        difference, p = _against_rest(measure, own, whole - own)
        small = bool(counts[at] < SMALL)
        part = Slice(field=field, value=str(names[at]), figure=figure, difference=difference, p_value=p, small=small)
        found.append(part)
    return found


def _rate(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _against_rest(measure: Measure, own: Floats, rest: Floats) -> tuple[float | None, float | None]:
    both = np.concatenate([own, rest], axis=1)

    def apart(sums: Floats) -> Floats:
        return np.asarray(_rate(sums[..., :2]) - _rate(sums[..., 2:]))

    with np.errstate(all="ignore"):
        difference = float(apart(both.sum(axis=0)))
    if not np.isfinite(difference):
        return None, None
    if not measure.draw.resamples:
        return difference, None
    return difference, measure.draw.p_value(measure.draw.replicates(both, apart))


def _corrected(found: list[Slice]) -> tuple[Slice, ...]:
    tested = [at for at, part in enumerate(found) if not part.small and part.p_value is not None]
    out = [replace(part, p_value=None) for part in found]
    if tested:
        from statsmodels.stats.multitest import multipletests

        corrected = multipletests([found[at].p_value for at in tested], method="fdr_bh")[1]
        for at, p in zip(tested, corrected, strict=True):
            apart = found[at].difference or 0.0
            significant = p < 0.05
            out[at] = replace(
                found[at],
                p_value=float(p),
                worse=bool(significant and apart < 0),
                better=bool(significant and apart > 0),
            )
    return tuple(out)
