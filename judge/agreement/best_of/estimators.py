"""Unbiased estimates over all subsets of n of a prompt's N responses: of the best by a reward, of pass@n, of votes.

Shapes: N responses to one prompt; S sizes n; G different answers; D draws.
"""

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 200
"""Subsets that votes are estimated from; every one of them is unbiased, and n = 1 and n = N are exact."""


def sizes_to(n: int) -> tuple[int, ...]:
    """1, 2, 4, ... and n itself."""
    powers = [2**power for power in range(n.bit_length()) if 2**power < n]
    return (*powers, n)


def kl_of_best(n: int) -> float:
    """KL(best of n ‖ policy) ≤ log n - (n - 1) / n (Stiennon et al. 2020, appendix G.3).

    Equality holds where no two responses have the same reward and none has a large probability; for a policy with few
    different responses it is a loose upper bound (Beirami et al. 2024, arXiv:2401.01879, theorem 1).
    """
    return log(n) - (n - 1) / n


def rank_chances(total: int, n: int) -> Floats:
    """(N,): how likely the response of rank k (0 the best) is the best of n drawn without replacement:
    C(N-1-k, n-1) / C(N, n)."""
    chance = np.zeros(total)
    chance[0] = n / total
    for rank in range(total - n):
        chance[rank + 1] = chance[rank] * (total - n - rank) / (total - 1 - rank)
    return chance


def best_of(rewards: Floats, values: Floats, sizes: Sequence[int]) -> Floats:
    """(S,): the expected value of the response with the highest reward among n.

    Args:
        rewards: (N,); of equal ones each is as likely. nan, a response without a reward, is below all others.
        values: (N,) what is known of the responses: truth, or a gold reward.
    """
    known = np.where(np.isnan(rewards), -np.inf, rewards)
    level = np.unique(-known, return_inverse=True)[1].reshape(-1)
    mean = np.bincount(level, weights=values) / np.bincount(level)
    by_rank = mean[np.sort(level)]
    return np.array([float(rank_chances(len(values), n) @ by_rank) for n in sizes])


def pass_at(values: Floats, sizes: Sequence[int]) -> Floats:
    """(S,): the expected best value among n; where values are 0 and 1 pass@n = 1 - C(N-c, n) / C(N, n) (Chen et al.
    2021, arXiv:2107.03374, equation 1)."""
    return best_of(values, values, sizes)


def vote(answers: Ints, weights: Floats, values: Floats, sizes: Sequence[int], seed: Sequence[int]) -> Floats:
    """(S,): the expected value of the answer with the most weight among n.

    Answers of equal weight share. Where no response among n has an answer it is any of the n. The value of an answer is
    the mean of those who gave it.

    Args:
        answers: (N,) a number for each answer, -1 for none.
        weights: (N,) of the votes, not negative.
        values: (N,) the truth.
        seed: of the subsets.
    """
    total, voters = len(answers), answers >= 0
    count = int(answers.max()) + 1 if voters.any() else 0
    if not count:
        return np.full(len(sizes), values.mean())
    votes = np.zeros((total, count))
    votes[voters, answers[voters]] = weights[voters]
    given = np.maximum(np.bincount(answers[voters], minlength=count), 1)
    of_answer = np.bincount(answers[voters], weights=values[voters], minlength=count) / given
    places = np.random.default_rng(list(seed)).random((DRAWS, total)).argsort(axis=1)
    expected = []
    for n in sizes:
        if n == 1:
            expected.append(float(values.mean()))
            continue
        drawn = (places[:1] if n >= total else places) < n
        tally = drawn @ votes
        top = tally.max(axis=1, keepdims=True)
        winners = (tally >= top - 1e-12 * np.maximum(top, 1.0)) & (top > 0)
        shared = (winners @ of_answer) / np.maximum(winners.sum(axis=1), 1)
        expected.append(float(np.where(winners.any(axis=1), shared, drawn @ values / n).mean()))
    return np.array(expected)


def vote_weights(rewards: Floats) -> Floats:
    """(N,): what a reward's vote weighs: itself where all lie in 0...1, else exp(reward), the odds of Bradley
    and Terry's model; 0 without a reward."""
    known = rewards[~np.isnan(rewards)]
    if not len(known):
        return np.zeros(len(rewards))
    if known.min() >= 0 and known.max() <= 1:
        return np.where(np.isnan(rewards), 0.0, rewards)
    return np.where(np.isnan(rewards), 0.0, np.exp(rewards - known.max()))


def best_of_about(rewards: Floats, values: Floats, n: float) -> float:
    """`best_of` of a number between two whole ones, on the straight line between them; at most of all N."""
    low = min(max(int(n), 1), len(values))
    high = min(low + 1, len(values))
    at_low, at_high = best_of(rewards, values, (low, high))
    return float(at_low + (at_high - at_low) * min(max(n - low, 0.0), 1.0))
