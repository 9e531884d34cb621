"""How far stated probabilities can be believed, before and after they are fitted to people's verdicts.

Everything here speaks of the confidence in the verdict that a probability favours: c = max(p, 1 - p) and whether that
verdict is right. Fits are judged out of fold, folds by prompt.
"""

from dataclasses import replace

import numpy as np

from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.data.table import TIE, Mask
from judge.agreement.schema import Calibration, CalibrationCurve, Figure, ReliabilityBin, SelectivePoint
from judge.agreement.statistics.bootstrap import Floats, Ints, wilson_interval
from judge.agreement.statistics.correlation import coarse

BINS = 10
FOLDS = 5
POINTS = 50
LEVELS = 2_000
ENOUGH = 50
_SMALL = 1e-6


def stated_rows(measure: Measure) -> Mask:
    """Rows with a stated probability and a human verdict that is no tie."""
    table = measure.table
    if table.form != "label":
        return np.zeros(len(table), dtype=bool)
    return np.asarray(measure.rows & ~np.isnan(measure.judge.probability) & (table.truth < TIE))


def calibration(measure: Measure) -> Calibration | None:
    """The curves as stated, by temperature and isotonic; None where no probability is stated."""
    mask = stated_rows(measure)
    if not mask.any():
        return None
    p, right = measure.judge.probability[mask], (measure.table.truth[mask] == 0).astype(np.float64)
    curves = [_curve(measure, mask, "as_stated", p, right)]
    # Figures without intervals are asked for by those in a hurry: nothing is fitted for them.
    if measure.draw.resamples and len(p) >= ENOUGH and 0 < right.sum() < len(right):
        fold = folds(measure.draw.code[mask], measure.draw.seed)
        tempered, temperature = temper(p, right, fold)
        curves.append(_curve(measure, mask, "temperature", tempered, right, temperature))
        curves.append(_curve(measure, mask, "isotonic", isotonic(p, right, fold), right))
    points = selective(p, right)
    area = _area(measure, mask, p, right)
    return Calibration(curves=tuple(curves), selective=points, selective_area=area)


def confident(p: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Confidence in the favoured verdict, and how right it is; p = ½ favours neither, which is half right."""
    hit = np.where(p > 0.5, right, np.where(p < 0.5, 1 - right, 0.5))
    return np.maximum(p, 1 - p), hit


def bins(p: Floats, right: Floats, confidence: float = 0.95) -> tuple[ReliabilityBin, ...]:
    """Ten bins of equal width over P(first verdict) in 0…1, the empty ones left out, with Wilson intervals."""
    bin_number = bin_of(p)
    n, stated, hits = (
        np.bincount(bin_number, weights=weight, minlength=BINS) for weight in (np.ones(len(p)), p, right)
    )
    filled = []
    for number in np.flatnonzero(n):
        share = hits[number] / n[number]
        low, high = wilson_interval(share, n[number], confidence)
        filled.append(
            ReliabilityBin(
                low=number / BINS,
                high=(number + 1) / BINS,
                n=int(n[number]),
                confidence=float(stated[number] / n[number]),
                accuracy=float(share),
                accuracy_low=float(low),
                accuracy_high=float(high),
            )
        )
    return tuple(filled)


def bin_of(p: Floats) -> Ints:
    """The bin of each probability; 1 is in the last one."""
    return np.minimum((p * BINS).astype(np.int64), BINS - 1)


def ece_of(sums: Floats) -> Floats:
    """Expected calibration error, Σ_b (n_b / n) |mean right_b - mean p_b| (Naeini et al. 2015; Guo et al. 2017, eq. 3).

    sums (…, 3 · BINS): Σ right, Σ p and number of each bin."""
    right, stated, n = (sums[..., part * BINS : (part + 1) * BINS] for part in range(3))
    return np.asarray(np.abs(right - stated).sum(axis=-1) / n.sum(axis=-1))


def log_losses(p: Floats, right: Floats) -> Floats:
    """-log of the probability given to what is right, probabilities kept 1e-6 away from 0 and 1."""
    p = np.clip(p, _SMALL, 1 - _SMALL)
    return np.asarray(-(right * np.log(p) + (1 - right) * np.log(1 - p)))


def _curve(
    measure: Measure, mask: Mask, name: str, p: Floats, right: Floats, parameter: float | None = None
) -> CalibrationCurve:
    draw, size = measure.draw, len(measure.table)
    stated, true = np.full(size, np.nan), np.zeros(size)
    stated[mask], true[mask] = p, right
    cell = np.full(size, -1, dtype=np.int64)
    cell[mask] = bin_of(p)
    cell_sums = [draw.cells(cell, BINS, weight) for weight in (true, np.nan_to_num(stated), np.ones(size))]
    loss = np.zeros(size)
    loss[mask] = log_losses(p, right)
    return CalibrationCurve(
        name=name,
        bins=bins(p, right, draw.confidence),
        ece=measure.figure(
            "ece", "Expected calibration error", np.concatenate(cell_sums, axis=1), ece_of, mask, unit="loss"
        ),
        brier=measure.mean("brier", "Brier score", np.nan_to_num((stated - true) ** 2), mask, unit="loss"),
        log_loss=measure.mean("log_loss", "Log loss", loss, mask, unit="loss"),
        parameter=parameter,
    )


def folds(prompt: Ints, seed: int) -> Ints:
    """The fold of each row; rows of one prompt share theirs."""
    _, code = np.unique(prompt, return_inverse=True)
    count = int(code.max()) + 1
    return np.asarray((np.random.default_rng(seed).permutation(count) % FOLDS)[code])


def temperature_of(p: Floats, right: Floats) -> float:
    """T > 0 that makes σ(logit(p) / T) least surprised by `right` (Guo et al. 2017, §4.2): one dimension, by Brent."""
    from scipy.optimize import minimize_scalar

    logit = _logit(p)

    def loss(log_t: float) -> float:
        scaled = logit * np.exp(-log_t)
        return float((np.logaddexp(0, scaled) - right * scaled).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 6), method="bounded", options={"xatol": 1e-3}).x))


def _logit(p: Floats) -> Floats:
    p = np.clip(p, _SMALL, 1 - _SMALL)
    return np.asarray(np.log(p) - np.log1p(-p))


def temper(p: Floats, right: Floats, fold: Ints) -> tuple[Floats, float]:
    """Probabilities by the temperature that the other folds have, and the temperature of all rows."""
    from scipy.special import expit

    out = p.copy()
    for number in np.unique(fold):
        held_out = fold == number
        if (~held_out).any():
            out[held_out] = expit(_logit(p[held_out]) / temperature_of(p[~held_out], right[~held_out]))
    return out, temperature_of(p, right)


def isotonic(p: Floats, right: Floats, fold: Ints) -> Floats:
    """Probabilities by the isotonic regression of the other folds (Zadrozny & Elkan 2002)."""
    from sklearn.isotonic import IsotonicRegression

    out = p.copy()
    for number in np.unique(fold):
        held_out = fold == number
        if (~held_out).any():
            fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(p[~held_out], right[~held_out])
            out[held_out] = fit.predict(p[held_out])
    return out


def selective(p: Floats, right: Floats) -> tuple[SelectivePoint, ...]:
    """Accuracy when only the most confident rows are judged, at up to 50 shares of the rows. Rows of equal confidence
    are taken together or not at all."""
    certain, hit = confident(p, right)
    order = np.argsort(-certain, kind="stable")
    certain, hit = certain[order], hit[order]
    ends = np.flatnonzero(np.r_[certain[1:] != certain[:-1], True]) + 1
    wanted = np.unique(np.searchsorted(ends, np.linspace(0, len(p), POINTS + 1)[1:]).clip(max=len(ends) - 1))
    right_so_far = np.cumsum(hit)
    return tuple(
        SelectivePoint(
            coverage=float(n / len(p)),
            accuracy=float(right_so_far[n - 1] / n),
            confidence=float(certain[n - 1]),
            n=int(n),
        )
        for n in ends[wanted]
    )


def selective_area(code: Ints, hit: Floats, weight: Floats) -> float:
    """The area under accuracy against share judged, (1/n) Σ_k accuracy of the k most confident (Geifman & El-Yaniv
    2017: one minus it is their AURC). code: ranks of confidence, the most certain 0.
    Rows of equal confidence each count as right as all of them on average."""
    many, good = np.bincount(code, weights=weight), np.bincount(code, weights=weight * hit)
    before, before_good = np.cumsum(many) - many, np.cumsum(good) - good
    total = many.sum()
    if not total:
        return float("nan")
    with np.errstate(all="ignore"):
        rate = np.where(many > 0, good / many, 0.0)
        # ∫ (G + r t) / (B + t) dt from 0 to m = r m + (G - r B) ln((B + m) / B)
        bend = np.where(before > 0, (before_good - rate * before) * np.log((before + many) / before), 0.0)
    return float((rate * many + bend).sum() / total)


def _area(measure: Measure, mask: Mask, p: Floats, right: Floats) -> Figure:
    certain, hit = np.zeros(len(mask)), np.zeros(len(mask))
    certain[mask], hit[mask] = confident(p, right)
    title = "Area under selective accuracy"
    code = np.unique(-certain, return_inverse=True)[1]
    few = coarse(code, LEVELS)
    figure = measure.ranked(
        "selective_area",
        title,
        lambda weight: selective_area(code, hit, weight),
        mask,
        rough=lambda weight: selective_area(few, hit, weight),
    )
    return replace(figure, unit="share")
