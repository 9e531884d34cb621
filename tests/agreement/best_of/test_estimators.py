"""Best of n, pass@n and votes against every subset, by hand or enumerated."""

from itertools import combinations
from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.agreement.best_of.estimators import (
    best_of,
    best_of_about,
    kl_of_best,
    pass_at,
    rank_chances,
    sizes_to,
    vote,
    vote_weights,
)


def test_sizes_double_and_end_at_n() -> None:
    assert sizes_to(1) == (1,)
    assert sizes_to(6) == (1, 2, 4, 6)
    assert sizes_to(16) == (1, 2, 4, 8, 16)


def test_kl_of_the_best() -> None:
    assert kl_of_best(1) == 0
    assert kl_of_best(4) == pytest.approx(log(4) - 0.75)


def test_chances_of_ranks_by_hand() -> None:
    # two of four: six subsets, the best of them is rank 0 in three, rank 1 in two, rank 2 in one
    assert rank_chances(4, 2) == pytest.approx([3 / 6, 2 / 6, 1 / 6, 0])


def test_pass_at_n_is_chens_formula() -> None:
    values = np.array([1.0, 0, 0, 1, 0, 0, 0, 0])
    for n in (1, 2, 4, 8):
        assert pass_at(values, [n])[0] == pytest.approx(1 - comb(6, n) / comb(8, n))


def test_the_best_of_n_by_hand() -> None:
    rewards, truth = np.array([3.0, 2.0, 1.0]), np.array([0.0, 1.0, 1.0])
    # n = 2: {3,2} and {3,1} take the first, wrong one; {2,1} is right. n = 3 takes the first.
    assert best_of(rewards, truth, (1, 2, 3)) == pytest.approx([2 / 3, 1 / 3, 0])


def test_equal_rewards_are_as_likely_and_none_is_below_all() -> None:
    rewards, truth = np.array([1.0, 1.0, np.nan]), np.array([1.0, 0.0, 1.0])
    # n = 2: {0,1} half; {0,2} takes 0, right; {1,2} takes 1, wrong. n = 3: half.
    assert best_of(rewards, truth, (1, 2, 3)) == pytest.approx([2 / 3, 1 / 2, 1 / 2])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=2, max_size=6), st.data())
def test_the_best_of_n_is_the_mean_over_all_subsets(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    rewards, truth = np.array(rows, dtype=float).T
    n = data.draw(st.integers(1, len(rows)))
    each = []
    for subset in combinations(range(len(rows)), n):
        top = max(rewards[place] for place in subset)
        each.append(np.mean([truth[place] for place in subset if rewards[place] == top]))
    assert best_of(rewards, truth, [n])[0] == pytest.approx(np.mean(each))


def test_a_majority_of_all_and_of_one_is_exact() -> None:
    answers, truth = np.array([0, 0, 1, 1, 1, -1]), np.array([1.0, 1, 0, 0, 0, 0])
    assert vote(answers, np.ones(6), truth, (1, 6), (0,)) == pytest.approx([2 / 6, 0])
    # by weight 2 × 0.9 beats 3 × 0.2
    assert vote(answers, np.array([0.9, 0.9, 0.2, 0.2, 0.2, 1]), truth, (6,), (0,)) == pytest.approx([1])


def test_answers_of_equal_weight_share() -> None:
    answers, truth = np.array([0, 0, 1, 1]), np.array([1.0, 1, 0, 0])
    assert vote(answers, np.ones(4), truth, (4,), (0,)) == pytest.approx([0.5])


def test_a_vote_without_answers_is_any_response() -> None:
    assert vote(np.full(4, -1), np.ones(4), np.array([1.0, 0, 0, 0]), (1, 2, 4), (0,)) == pytest.approx([0.25] * 3)


def test_a_majority_of_three_of_five_by_enumeration() -> None:
    answers, truth = np.array([0, 0, 1, 2, 2]), np.array([1.0, 1, 0, 0, 0])
    each = []
    for subset in combinations(range(5), 3):
        counts = np.bincount(answers[list(subset)], minlength=3)
        winners = np.flatnonzero(counts == counts.max())
        each.append(np.mean(winners == 0))
    assert vote(answers, np.ones(5), truth, (3,), (1,))[0] == pytest.approx(np.mean(each), abs=0.06)
    many = np.mean([vote(answers, np.ones(5), truth, (3,), (seed,))[0] for seed in range(200)])
    assert many == pytest.approx(np.mean(each), abs=0.006)


def test_what_a_vote_weighs() -> None:
    assert vote_weights(np.array([0.2, np.nan, 1.0])) == pytest.approx([0.2, 0, 1])
    assert vote_weights(np.array([1.0, 3.0, np.nan])) == pytest.approx([exp(-2), 1, 0])
    assert vote_weights(np.array([np.nan])) == pytest.approx([0])


def test_between_two_sizes() -> None:
    rewards, truth = np.array([3.0, 2.0, 1.0]), np.array([0.0, 1.0, 1.0])  # 2/3, 1/3, 0 by n
    assert best_of_about(rewards, truth, 1.5) == pytest.approx(0.5)
    assert best_of_about(rewards, truth, 0.5) == pytest.approx(2 / 3)
    assert best_of_about(rewards, truth, 9.0) == pytest.approx(0)
