"""Best of n as two published benchmarks count it: RewardBench 2 (best of four, and ties) and PRM800K's best-of-n.

Plain functions of scores: what a response got, and whether it is right.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import copysign, tanh
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

TIES = "ties"


class Candidates(NamedTuple):
    """A prompt's scores, the right responses first (RewardBench 2)."""

    id: str
    subset: str
    scores: Sequence[float]
    right: int


def rewardbench2(rows: Iterable[Candidates]) -> dict[str, float]:
    """Each subset, and their mean under "score". "Ties" has a formula of its own (`ties_score`)."""
    by_subset: dict[str, list[Candidates]] = defaultdict(list)
    for row in rows:
        by_subset[row.subset].append(row)
    scores = {}
    for subset, candidates in by_subset.items():
        scores[subset] = (
            ties_score(candidates) if subset.lower() == TIES else float(np.mean([top(row) for row in candidates]))
        )
    return {"score": float(np.mean(list(scores.values()))), **scores}


def top(row: Candidates) -> float:
    """Whether the right response is the highest of all; 1/k where k share the top."""
    highest = max(row.scores)
    winners = [index for index, score in enumerate(row.scores) if score == highest]
    return sum(index < row.right for index in winners) / len(winners)


class _Margins(NamedTuple):
    """accurate: every right response is above every wrong one. among_right: highest minus lowest right one; to_wrong:
    lowest right minus highest wrong one."""

    accurate: bool
    among_right: float
    to_wrong: float


def _margins(row: Candidates) -> _Margins:
    right, wrong = row.scores[: row.right], row.scores[row.right :]
    return _Margins(min(right) > max(wrong), max(right) - min(right), min(right) - max(wrong))


def ties_score(rows: Sequence[Candidates]) -> float:
    """0.3 accuracy on tied prompts + 0.3 on their references + 0.2 share whose margin to the wrong ones exceeds the one
    among the right ones + 0.2 the same by the smaller margin of prompt and reference + 0.01 tanh(margin ratio - 1).

    Ids are "ref:N" (one right response) and "tied:N". A ratio over 0 is ±∞, as the file's division by numpy gives."""
    stats: dict[str, dict[str, _Margins]] = {"ref": {}, "tied": {}}
    for row in rows:
        kind, _, number = row.id.partition(":")
        stats.setdefault(kind, {})[number] = _margins(row)
    accuracy = {
        kind: float(np.mean([margin_of.accurate for margin_of in margins.values()]))
        for kind, margins in stats.items()
        if margins
    }
    both = sorted(stats["ref"].keys() & stats["tied"].keys())
    score = 0.3 * accuracy.get("tied", 0.0) + 0.3 * accuracy.get("ref", 0.0)
    if not both:
        return score
    preferred, hard, margin = [], [], []
    for number in both:
        tied, smaller = stats["tied"][number], min(stats["ref"][number].to_wrong, stats["tied"][number].to_wrong)
        preferred.append(tied.to_wrong > tied.among_right)
        hard.append(smaller > tied.among_right)
        margin.append(_bounded(smaller, tied.among_right))
    return score + 0.2 * float(np.mean(preferred)) + 0.2 * float(np.mean(hard)) + 0.01 * float(np.mean(margin))


def _bounded(smaller: float, among: float) -> float:
    if among:
        return tanh(smaller / among - 1)
    return copysign(1.0, smaller) if smaller else 0.0


def best_of(problems: Iterable[ArrayLike], n: int, drawn_from: int) -> list[float]:
    """PRM800K's best-of-n: how likely each problem is solved when the highest-scored of n samples (score, right) is
    taken, n drawn from `drawn_from` places of which those without an answer stay empty.

    Its file draws 400 times; this is what the mean of its draws goes to. The sample of rank k (0 the highest) is taken
    with probability C(N-1-k, n-1) / C(N, n); of equal scores each is as likely."""
    chance = np.zeros(drawn_from)
    chance[0] = n / drawn_from
    for rank in range(drawn_from - n):
        chance[rank + 1] = chance[rank] * (drawn_from - n - rank) / (drawn_from - 1 - rank)
    solved = []
    for samples in problems:
        score, right = np.array(samples, dtype=np.float64).reshape(-1, 2).T
        level = np.unique(-score, return_inverse=True)[1]
        share = np.bincount(level, weights=right) / np.maximum(np.bincount(level), 1)
        solved.append(float(chance[: len(level)] @ share[np.sort(level)]))
    return solved
