"""Every formula of agreement: a case worked by hand, and the library's figure on random rows."""

import math
import warnings
from typing import Any

import krippendorff
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from statsmodels.stats import inter_rater
from statsmodels.stats.proportion import proportion_confint

from judge.agreement.statistics import correlation as numbers
from judge.agreement.statistics import nominal, raters
from judge.agreement.statistics.bootstrap import Resampler, wilson_interval

# Rows: people; columns: judge. 10 + 8 on the diagonal of 24.
HAND = np.array([[10.0, 2.0], [4.0, 8.0]])
SEEDS = range(25)


def lists(seed: int, classes: int = 4, rows: int = 60) -> tuple[Any, Any]:
    """Two lists of verdicts, half of them made equal."""
    draw = np.random.default_rng(seed)
    truth, said = draw.integers(0, classes, rows), draw.integers(0, classes, rows)
    return truth, np.where(draw.random(rows) < 0.5, truth, said)


def confusion(truth: Any, said: Any, classes: int = 4) -> Any:
    return metrics.confusion_matrix(truth, said, labels=range(classes)).astype(float)


def test_by_hand() -> None:
    assert nominal.accuracy(HAND) == 18 / 24
    # Expected on the diagonal: (12·14 + 12·10) / 24² = 1/2.
    assert nominal.cohen_kappa(HAND) == pytest.approx((0.75 - 0.5) / 0.5)
    assert nominal.macro_precision(HAND) == pytest.approx((10 / 14 + 8 / 10) / 2)
    assert nominal.macro_recall(HAND) == pytest.approx((10 / 12 + 8 / 12) / 2)
    assert nominal.macro_f1(HAND) == pytest.approx((20 / 26 + 16 / 22) / 2)
    # Gwet: shares (12 + 14)/48 and 22/48; p_e = 2 · 26·22/48² / (2 - 1).
    chance = 2 * 26 * 22 / 48**2
    assert nominal.gwet_ac1(HAND) == pytest.approx((0.75 - chance) / (1 - chance))
    # Krippendorff: 48 values, 26 and 22; disagreeing coincidences 2 · 6; expected 2 · 26 · 22 / 47.
    assert nominal.alpha(nominal.coincidences(HAND)) == pytest.approx(1 - 12 * 47 / (2 * 26 * 22))


def test_a_class_that_nobody_names_is_left_out_of_the_mean() -> None:
    wider = np.zeros((3, 3))
    wider[:2, :2] = HAND
    assert nominal.macro_f1(wider) == nominal.macro_f1(HAND)
    assert nominal.macro_precision(wider) == nominal.macro_precision(HAND)


def test_nothing_is_divided_by_zero_in_silence() -> None:
    same = np.array([[5.0, 0.0], [0.0, 0.0]])
    with np.errstate(all="ignore"):
        assert math.isnan(nominal.cohen_kappa(same))
        assert math.isnan(nominal.alpha(nominal.coincidences(same)))
    assert nominal.accuracy(same) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_to_scikit_learn(seed: int) -> None:
    truth, said = lists(seed)
    matrix = confusion(truth, said)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, said, average="macro", zero_division=0)
    assert nominal.accuracy(matrix) == pytest.approx(metrics.accuracy_score(truth, said))
    assert nominal.macro_precision(matrix) == pytest.approx(precision)
    assert nominal.macro_recall(matrix) == pytest.approx(recall)
    assert nominal.macro_f1(matrix) == pytest.approx(f1)
    for ours, theirs in (("none", None), ("linear", "linear"), ("quadratic", "quadratic")):
        expected = metrics.cohen_kappa_score(truth, said, weights=theirs)
        assert nominal.cohen_kappa(matrix, ours) == pytest.approx(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_to_krippendorff(seed: int) -> None:
    truth, said = lists(seed)
    coincidence = nominal.coincidences(confusion(truth, said))
    data = np.array([truth, said], dtype=float)
    for level, delta in (
        ("nominal", None),
        ("ordinal", nominal.ordinal_delta(coincidence)),
        ("interval", nominal.interval_delta(np.arange(4.0))),
    ):
        expected = krippendorff.alpha(reliability_data=data, level_of_measurement=level)
        assert nominal.alpha(coincidence, delta) == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_interval_alpha_of_any_numbers(seed: int) -> None:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=40)
    y = x + draw.normal(size=40)
    centre = np.concatenate([x, y]).mean()
    x, y = x - centre, y - centre
    sums = np.array([40, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])
    expected = krippendorff.alpha(reliability_data=np.array([x, y]), level_of_measurement="interval")
    assert numbers.alpha_interval_of(sums) == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_many_raters(seed: int) -> None:
    """α with holes in the data equals krippendorff's; Fleiss' κ without holes statsmodels'."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 3, 50)
    said = np.where(draw.random((5, 50)) < 0.6, truth, draw.integers(0, 3, (5, 50))).astype(float)
    full = np.stack([(said == k).sum(axis=0) for k in range(3)], axis=1).astype(float)
    assert raters.fleiss_kappa(raters.row_terms(full).sum(axis=0)) == pytest.approx(inter_rater.fleiss_kappa(full))
    said[draw.random(said.shape) < 0.4] = np.nan
    holes = np.stack([(said == k).sum(axis=0) for k in range(3)], axis=1).astype(float)
    expected = krippendorff.alpha(reliability_data=said, level_of_measurement="nominal")
    assert raters.krippendorff_alpha(raters.row_terms(holes).sum(axis=0)) == pytest.approx(expected)


def test_many_raters_by_hand() -> None:
    """Two rows of three raters: aab and bbb. P = 1/3, 1; shares a 2/6, b 4/6; P_e = 20/36."""
    sums = raters.row_terms(np.array([[2.0, 1.0], [0.0, 3.0]])).sum(axis=0)
    observed, chance = 2 / 3, 20 / 36
    assert raters.observed(sums) == pytest.approx(observed)
    assert raters.fleiss_kappa(sums) == pytest.approx((observed - chance) / (1 - chance))
    # Gwet: π = mean of 2/3 and 0 = 1/3; p_e = 2 · 1/3 · 2/3.
    gwet_chance = 4 / 9
    assert raters.gwet_ac1(sums) == pytest.approx((observed - gwet_chance) / (1 - gwet_chance))


@pytest.mark.parametrize("seed", SEEDS)
def test_two_raters_are_many(seed: int) -> None:
    """With two raters and no holes Gwet's AC1 and α are the same by both ways."""
    truth, said = lists(seed)
    counts = np.stack([(truth == k).astype(float) + (said == k) for k in range(4)], axis=1)
    sums = raters.row_terms(counts).sum(axis=0)
    matrix = confusion(truth, said)
    assert raters.gwet_ac1(sums) == pytest.approx(nominal.gwet_ac1(matrix))
    assert raters.krippendorff_alpha(sums) == pytest.approx(nominal.alpha(nominal.coincidences(matrix)))


@pytest.mark.parametrize("seed", SEEDS)
def test_correlations_and_auc(seed: int) -> None:
    """With ties, and with rows that count twice or not at all."""
    draw = np.random.default_rng(seed)
    x, y = draw.integers(0, 6, 40).astype(float), draw.integers(0, 6, 40).astype(float)
    y = np.where(draw.random(40) < 0.5, x, y)
    weight = draw.integers(0, 3, 40).astype(float)
    many = np.repeat(np.arange(40), weight.astype(int))
    assert numbers.spearman(x, y)(weight) == pytest.approx(stats.spearmanr(x[many], y[many]).statistic)
    assert numbers.kendall(x, y)(weight) == pytest.approx(stats.kendalltau(x[many], y[many]).statistic)
    positive = (y > 2).astype(float)
    assert numbers.auc(x, positive)(weight) == pytest.approx(metrics.roc_auc_score(positive[many], x[many]))
    inside = draw.random(40) < 0.8
    sums = numbers.moments(x, y, inside).sum(axis=0)
    assert numbers.pearson_of(sums) == pytest.approx(stats.pearsonr(x[inside], y[inside]).statistic)


def test_correlations_by_hand() -> None:
    """1 2 3 4 against 1 3 2 4: ρ = 1 - 6·2/(4·15) = 0.8; τ = (5 - 1)/6; r the same as ρ, no ties."""
    x, y, one = np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4]), np.ones(4)
    assert numbers.spearman(x, y)(one) == pytest.approx(0.8)
    assert numbers.kendall(x, y)(one) == pytest.approx(4 / 6)
    assert numbers.pearson_of(numbers.moments(x, y, one > 0).sum(axis=0)) == pytest.approx(0.8)
    # Scores .9 .6 of right rows, .6 .2 of wrong: pairs .9>.6, .9>.2, .6=.6 (half), .6>.2: 3.5 of 4.
    assert numbers.auc(np.array([0.9, 0.6, 0.6, 0.2]), np.array([1.0, 1, 0, 0]))(one) == 3.5 / 4


def test_the_bootstrap_is_one_of_prompts() -> None:
    """Ten prompts of 20 equal rows each are worth ten rows: the interval is as wide as the one of ten rows."""
    hits = np.array([1.0] * 7 + [0.0] * 3)
    narrow = Resampler(np.arange(10), resamples=2000, seed=3)
    wide = Resampler(np.repeat(np.arange(10), 20), resamples=2000, seed=3)
    ends = []
    for draw, hit in ((narrow, hits), (wide, np.repeat(hits, 20))):
        sums = draw.by_block(np.column_stack([hit, np.ones(len(hit))]))
        figure = draw.figure("a", "a", sums, lambda s: s[..., 0] / s[..., 1], rows=len(hit), clusters=10)
        assert figure.value == pytest.approx(0.7)
        ends.append((figure.low, figure.high))
    assert ends[0] == ends[1]


def test_resampling_is_seeded_and_blind_to_row_order() -> None:
    draw = np.random.default_rng(0)
    group = draw.integers(0, 50, 300)
    hit = draw.random(300)
    found = []
    for seed in (1, 1, 2):
        resampler = Resampler(group, resamples=50, seed=seed)
        found.append(resampler.replicates(resampler.by_block(hit), lambda s: s[..., 0]))
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()
    assert np.allclose(found[0].mean(), hit.sum(), rtol=0.1)


def test_everything_right_has_an_exact_interval() -> None:
    """20 of 20 right: Clopper and Pearson's lower end is 0.025^(1/20)."""
    draw = Resampler(np.arange(20), resamples=100, seed=0)
    sums = draw.by_block(np.ones((20, 2)))
    figure = draw.figure("a", "a", sums, lambda s: s[..., 0] / s[..., 1], rows=20, clusters=20)
    assert figure.low == pytest.approx(0.025 ** (1 / 20))
    assert figure.high == 1


def test_wilson_is_statsmodels() -> None:
    """By hand: 9 of 10 at z = 1.96: (0.9 + 0.19207) / 1.38415 = 0.78898, ± 1.96 sqrt(0.009 + 0.0096) / 1.38415."""
    low, high = wilson_interval(np.array(0.9), np.array(10.0), 0.95)
    assert (float(low), float(high)) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    for right, n in ((0, 3), (7, 7), (13, 40), (500, 1000)):
        ours = wilson_interval(np.array(right / n), np.array(float(n)), 0.9)
        assert ours == pytest.approx(proportion_confint(right, n, alpha=0.1, method="wilson"), abs=1e-12)


def test_blocks_do_not_change_the_width() -> None:
    """50,000 prompts in 4,000 blocks: the standard error of a mean is that of the formula, within 5 %."""
    value = np.random.default_rng(5).random(50_000)
    draw = Resampler(np.arange(50_000), resamples=1000, seed=5)
    sums = draw.by_block(np.column_stack([value, np.ones(50_000)]))
    spread = draw.replicates(sums, lambda s: s[..., 0] / s[..., 1]).std()
    assert spread == pytest.approx(value.std() / math.sqrt(50_000), rel=0.05)


def test_no_warning_leaks_from_empty_figures() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw = Resampler(np.arange(6), resamples=20, seed=0)
        figure = draw.figure("a", "a", np.zeros((6, 2)), lambda s: s[..., 0] / s[..., 1], rows=0, clusters=0)
    assert (figure.value, figure.note) == (None, "no rows")
