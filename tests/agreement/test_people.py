"""The human ceiling, the tests of replacement, Dawid and Skene, calibration and estimates: by hand and by reference."""

import math

import krippendorff
import numpy as np
import pytest
from scipy.stats import ttest_1samp
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss
from statsmodels.stats import inter_rater

from judge.agreement.analyses import calibration as calibrated
from judge.agreement.analyses.alt_test import alt_test
from judge.agreement.analyses.human_ceiling import ceiling
from judge.agreement.analyses.judge_metrics import Measure
from judge.agreement.analyses.win_rates import mean_by_cluster, powered
from judge.agreement.data.alignment import aligned
from judge.agreement.data.table import Table
from judge.agreement.statistics.bootstrap import Resampler
from judge.agreement.statistics.dawid_skene import dawid_skene
from tests.agreement.support import pairs

SEEDS = range(8)


def measured(table: Table, resamples: int = 200) -> Measure:
    return Measure(table, table.judges[0], Resampler(table.group, resamples=resamples, seed=0))


def test_together_the_most_win_and_a_draw_is_a_tie() -> None:
    table = pairs(["ffs", "fst", "fs", "t", "ss-"], "fffff")
    assert table.truth.tolist() == [0, 2, 2, 2, 1]
    assert table.split.tolist() == [True, True, True, False, False]


def test_alignment_by_hand() -> None:
    """Row 1, votes f f s, judge f. Person a: of f, s half agree; the judge the same. c: of f, f none; judge both.
    Row 2 has one vote and carries nothing."""
    lines = aligned(table := pairs(["ffs", "f"], "ff"), table.judges[0])
    assert lines.person.tolist() == [0.5, 0.5, 0.0]
    assert lines.judge.tolist() == [0.5, 0.5, 1.0]
    assert lines.same.tolist() == [1, 1, 0]
    # Without a the others (f, s) never agree; without c they (f, f) always do.
    assert lines.others.tolist() == [0, 0, 1]


def random_people(seed: int, rows: int = 60) -> Table:
    draw = np.random.default_rng(seed)
    truth = draw.choice(list("fst"), rows)

    def noisy(right: float) -> list[str]:
        return [str(one if draw.random() < right else draw.choice(list("fst"))) for one in truth]

    people = ["".join(votes) for votes in zip(noisy(0.8), noisy(0.7), noisy(0.6), strict=True)]
    return pairs(people, "".join(noisy(0.75)))


def test_the_judge_as_one_more_rater_by_hand() -> None:
    """Rows ff + f, fs + s, ss + s, and one of a single vote, which is left out. Labels among people: 3 f, 3 s; agreed
    2/3, by chance 1/2. With the judge: rows fff, fss, sss, 4 f and 5 s; agreed (1 + 1/3 + 1) / 3, by chance 41/81."""
    found = ceiling(measured(pairs(["ff", "fs", "ss", "f"], "fssf"), 0), epsilon=0.1, margin=0.05).among
    value = {figure.name: figure.value for figure in found}
    assert value["observed"] == pytest.approx(2 / 3)
    assert value["fleiss_kappa"] == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))
    assert value["observed_with_judge"] == pytest.approx(7 / 9)
    assert value["fleiss_kappa_with_judge"] == pytest.approx((7 / 9 - 41 / 81) / (40 / 81))
    assert {figure.n for figure in found} == {3}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_judge_as_one_more_rater_is_the_libraries(seed: int) -> None:
    table = random_people(seed)
    votes = table.votes.value.reshape(60, 3)
    found = {one.name: one.value for one in ceiling(measured(table, 0), epsilon=0.1, margin=0.05).among}
    for name, columns in (("", votes), ("_with_judge", np.column_stack([votes, table.judges[0].verdict]))):
        held = inter_rater.aggregate_raters(columns.astype(int))[0]
        assert found[f"fleiss_kappa{name}"] == pytest.approx(inter_rater.fleiss_kappa(held))
        alpha = krippendorff.alpha(reliability_data=columns.T, level_of_measurement="nominal")
        assert found[f"alpha_nominal{name}"] == pytest.approx(alpha)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_alternative_annotator_test_is_the_papers(seed: int) -> None:
    """Written out with loops: W of judge and annotator on each row, t-tests, Benjamini and Yekutieli's correction."""
    table = random_people(seed)
    votes, said = table.votes, table.judges[0].verdict
    by_row = votes.value.reshape(60, 3)
    p_values, advantages = [], []
    for who in range(3):
        apart, wins = [], []
        for row in range(60):
            others = [by_row[row, one] for one in range(3) if one != who]
            judge = np.mean([said[row] == one for one in others])
            person = np.mean([by_row[row, who] == one for one in others])
            wins.append(judge >= person)
            apart.append(float(person >= judge) - float(judge >= person))
        advantages.append(np.mean(wins))
        p_values.append(ttest_1samp(apart, 0.2, alternative="less").pvalue)
    ordered = sorted(p_values)
    harmonic = 1 + 1 / 2 + 1 / 3
    rejected = max((k for k in range(1, 4) if ordered[k - 1] <= 0.05 * k / (3 * harmonic)), default=0)
    test, each = alt_test(aligned(table, table.judges[0]), 3, 0.2)
    assert test.winning_rate == pytest.approx(rejected / 3)
    assert test.advantage == pytest.approx(np.mean(advantages))
    assert [one.p_value for one in each] == pytest.approx(p_values)
    assert test.passed == (rejected / 3 >= 0.5)


def test_the_judge_that_is_the_others_verdict_is_equivalent() -> None:
    found = ceiling(measured(random_people(1, 400)), epsilon=0.2, margin=0.2)
    assert found.human.value is not None and found.judge.value is not None
    assert found.equivalence.difference == pytest.approx(found.judge.value - found.human.value)
    assert found.equivalence.equivalent
    assert found.equivalence.not_worse
    strict = ceiling(measured(random_people(1, 400)), epsilon=0.0, margin=0.001).equivalence
    assert not strict.equivalent


def test_an_annotator_who_answers_at_random_is_off() -> None:
    draw = np.random.default_rng(0)
    truth = draw.choice(list("fs"), 300)
    people = [f"{one}{one}{one}{draw.choice(list('fs'))}" for one in truth]
    found = ceiling(measured(pairs(people, "".join(truth))), epsilon=0.1, margin=0.05)
    assert [row.name for row in found.annotators if row.off] == ["d"]


def test_dawid_and_skene_find_the_skilled() -> None:
    """Three annotators: right 95, 90 and 55 times in 100. The model beats the majority and orders them."""
    draw = np.random.default_rng(4)
    truth = draw.integers(0, 2, 3000)
    said = np.stack([np.where(draw.random(3000) < right, truth, 1 - truth) for right in (0.95, 0.9, 0.55)], axis=1)
    row, who = np.repeat(np.arange(3000), 3), np.tile(np.arange(3), 3000)
    found = dawid_skene(row, who, said.reshape(-1), rows=3000, people=3, classes=2)
    assert found.skill == pytest.approx([0.95, 0.9, 0.55], abs=0.03)
    majority = said.sum(axis=1) > 1.5
    assert (found.posterior.argmax(axis=1) == truth).mean() > (majority == truth).mean()
    assert found.prior.sum() == pytest.approx(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_calibration_figures(seed: int) -> None:
    """Brier and log loss as scikit-learn has them; ECE from its reliability curve."""
    draw = np.random.default_rng(seed)
    p = draw.random(300)
    right = (draw.random(300) < p**1.5).astype(float)
    assert calibrated.log_losses(p, right).mean() == pytest.approx(log_loss(right, p))
    assert ((p - right) ** 2).mean() == pytest.approx(brier_score_loss(right, p))
    bins = calibrated.bins(p, right)
    share, stated = calibration_curve(right, p, n_bins=10)
    assert [one.accuracy for one in bins] == pytest.approx(list(share))
    assert [one.confidence for one in bins] == pytest.approx(list(stated))
    at = calibrated.bin_of(p)
    sums = np.concatenate([np.bincount(at, weights=w, minlength=10) for w in (right, p, np.ones(300))])
    expected = sum(one.n / 300 * abs(one.accuracy - one.confidence) for one in bins)
    assert calibrated.ece_of(sums) == pytest.approx(expected)


def test_temperature_finds_the_exaggeration() -> None:
    """Logits three times too large want a temperature of three; out of fold the log loss falls."""
    draw = np.random.default_rng(0)
    logit = draw.normal(size=4000)
    right = (draw.random(4000) < 1 / (1 + np.exp(-logit))).astype(float)
    p = 1 / (1 + np.exp(-3 * logit))
    assert calibrated.temperature_of(p, right) == pytest.approx(3, rel=0.1)
    fold = calibrated.folds(np.arange(4000), 0)
    better, _ = calibrated.temper(p, right, fold)
    assert calibrated.log_losses(better, right).mean() < calibrated.log_losses(p, right).mean()


def test_isotonic_is_out_of_fold() -> None:
    draw = np.random.default_rng(1)
    p, right = draw.random(100), draw.integers(0, 2, 100).astype(float)
    fold = calibrated.folds(np.repeat(np.arange(50), 2), 0)
    assert all(fold[::2] == fold[1::2])  # the rows of a prompt share a fold
    out = calibrated.isotonic(p, right, fold)
    held = fold == 0
    fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p[~held], right[~held])
    assert out[held] == pytest.approx(fit.predict(p[held]))


def test_selective_accuracy_by_hand() -> None:
    """Confidence .9 right, .8 wrong (p = .2, first was right), .7 right: 1, 1/2, 2/3."""
    p, right = np.array([0.9, 0.2, 0.7]), np.array([1.0, 1.0, 1.0])
    points = calibrated.selective(p, right)
    assert [(one.n, round(one.accuracy, 4)) for one in points] == [(1, 1.0), (2, 0.5), (3, 0.6667)]
    certain, hit = calibrated.confident(p, right)
    assert hit.tolist() == [1, 0, 1]
    assert certain.tolist() == [0.9, 0.8, 0.7]


def test_all_equally_certain_have_their_accuracy_as_area() -> None:
    hit = np.array([1.0, 0.0, 1.0, 1.0])
    assert calibrated.selective_area(np.zeros(4, dtype=np.int64), hit, np.ones(4)) == pytest.approx(0.75)


def test_mean_by_cluster_by_hand() -> None:
    """Clusters (1, 0) and (1): mean 2/3; Σ (1/3 - 2/3)² and (1/3)²: sqrt(2 · 2/9) / 3."""
    mean, error = mean_by_cluster(np.array([1.0, 0.0, 1.0]), np.array([0, 0, 1]))
    assert mean == pytest.approx(2 / 3)
    assert error == pytest.approx(math.sqrt(2 * (1 / 9 + 1 / 9)) / 3)


def test_prediction_powered_inference_holds_and_saves_labels() -> None:
    """400 simulations, 100 labels of 2,000 rows: unbiased with a leaning judge, its 95 % interval holds, and it is
    narrower than people's alone."""
    draw = np.random.default_rng(2)
    held, narrow, values = 0, 0, []
    for _ in range(400):
        truth = (draw.random(2000) < 0.6).astype(float)
        judged = np.where(draw.random(2000) < 0.85, truth, 1.0)
        labelled = np.arange(2000) < 100
        found = powered(judged, labelled, truth, np.arange(2000))
        values.append(found.value)
        held += abs(found.value - 0.6) < 1.96 * found.error
        narrow += found.error < mean_by_cluster(truth[labelled], np.arange(100))[1]
    assert 0.92 < held / 400 < 0.98
    assert narrow > 390
    assert np.mean(values) == pytest.approx(0.6, abs=0.01)


def test_without_unlabelled_rows_people_decide() -> None:
    truth = np.array([1.0, 0.0, 1.0, 1.0])
    found = powered(np.ones(4), np.ones(4, dtype=bool), truth, np.arange(4))
    assert found.value == 0.75
    assert found.weight == 0
