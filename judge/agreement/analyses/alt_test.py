"""Tests of whether a judge may stand in for people: the alternative-annotator test, and equivalence.

Both take lines of alignment.py.
"""

from typing import NamedTuple

import numpy as np

from judge.agreement.data.alignment import Alignment
from judge.agreement.schema import AltTest, Equivalence
from judge.agreement.statistics.bootstrap import Floats, Resampler

ENOUGH = 30
LEVEL = 0.05


class AnnotatorTest(NamedTuple):
    """One annotator against the judge. advantage: the share of rows on which the judge is at least as near to the
    others; p_value: of "not better than this person by the allowance"; wins: rejected after correction."""

    n: int
    advantage: float
    p_value: float | None
    wins: bool | None


def alt_test(lines: Alignment, people: int, epsilon: float) -> tuple[AltTest, list[AnnotatorTest]]:
    """The alternative-annotator test of Calderon, Reichart and Dror (2025), "The Alternative Annotator Test for
    LLM-as-a-Judge", §3: for each annotator j, W^f = [S(f) >= S(h_j)] and W^h = [S(h_j) >= S(f)]; H0: ρ^f <= ρ^h - ε is
    rejected by a one-sided t-test of W^h - W^f < ε, over annotators by Benjamini and Yekutieli at 5 %. The winning rate
    ω is the share of annotators rejected; the judge passes at ω >= 0.5."""
    results = [_replaced(lines, who, epsilon) for who in range(people)]
    tested = [index for index, result in enumerate(results) if result.p_value is not None]
    if not tested:
        note = f"no annotator shares {ENOUGH} rows with another one"
        empty = AltTest(epsilon=epsilon, winning_rate=None, advantage=None, tested=0, passed=None, note=note)
        return empty, results
    from statsmodels.stats.multitest import multipletests

    rejected = multipletests([results[index].p_value for index in tested], alpha=LEVEL, method="fdr_by")[0]
    for index, wins in zip(tested, rejected, strict=True):
        results[index] = results[index]._replace(wins=bool(wins))
    rate = float(np.mean(rejected))
    test = AltTest(
        epsilon=epsilon,
        winning_rate=rate,
        advantage=float(np.mean([results[index].advantage for index in tested])),
        tested=len(tested),
        passed=rate >= 0.5,
        note="" if len(tested) > 2 else "the test is meant for three annotators or more",
    )
    return test, results


def _replaced(lines: Alignment, who: int, epsilon: float) -> AnnotatorTest:
    of_person = lines.who == who
    judge, person = lines.judge[of_person], lines.person[of_person]
    # Sums of squares leave noise in the last digits of equal scores; a share of k others differs by far more.
    wins, loses = judge >= person - 1e-9, person >= judge - 1e-9
    if not len(judge):
        return AnnotatorTest(0, float("nan"), None, None)
    if len(judge) < ENOUGH:
        return AnnotatorTest(len(judge), float(wins.mean()), None, None)
    difference = loses.astype(np.float64) - wins
    if difference.std() == 0:
        p = 0.0 if difference[0] < epsilon else 1.0
    else:
        from scipy.stats import ttest_1samp

        p = float(ttest_1samp(difference, epsilon, alternative="less").pvalue)
    return AnnotatorTest(len(judge), float(wins.mean()), p, None)


def equivalence(draw: Resampler, sums: Floats, margin: float, clusters: int) -> Equivalence:
    """Two one-sided tests (Schuirmann 1987) of the judge's agreement minus people's, both with the same votes.

    sums (G, 3): judge's alignment, people's alignment, lines. Equivalent when both one-sided tests of ±margin reject at
    5 %; not worse when the lower one does. Standard error by the cluster bootstrap."""
    total = sums.sum(axis=0)
    if not total[2] or clusters < 5 or not draw.resamples:
        note = "no rows with two people's votes" if not total[2] else "too few prompts, or no resamples asked for"
        return Equivalence(
            margin=margin,
            difference=float((total[0] - total[1]) / total[2]) if total[2] else None,
            low=None,
            high=None,
            p_value=None,
            equivalent=None,
            not_worse=None,
            note=note,
        )
    from scipy.stats import t

    difference = float((total[0] - total[1]) / total[2])
    values = draw.replicates(sums, lambda s: (s[..., 0] - s[..., 1]) / s[..., 2])
    spread = float(np.nanstd(values, ddof=1))
    if spread < 1e-12:
        lower, upper = (float(difference <= -margin), float(difference >= margin))
        low = high = difference
    else:
        lower = float(t.sf((difference + margin) / spread, clusters - 1))
        upper = float(t.cdf((difference - margin) / spread, clusters - 1))
        reach = float(t.ppf(1 - LEVEL, clusters - 1)) * spread
        low, high = difference - reach, difference + reach
    return Equivalence(
        margin=margin,
        difference=difference,
        low=low,
        high=high,
        p_value=max(lower, upper),
        equivalent=max(lower, upper) < LEVEL,
        not_worse=lower < LEVEL,
    )
