"""What a round is worth on held-out prompts: truth, best of n, agreement of reward and truth, the gap between them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
from statistics import fmean
from typing import Any

RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFigures:
    """Figures of a policy under a reward, on the held-out prompts.

    Attributes:
        round: 0 is the policy as it came, r the policy after round r.
        truth: the mean truth of its answers (pass@1).
        best_of: the mean truth of the best of n by the reward.
        best_of_low, best_of_high: its 95 % interval, prompts drawn.
        any_of: the share of prompts of which some answer is right (pass@n).
        agreement: of two answers to one prompt whose truth differs, how often the better one has the higher reward,
            equal rewards counted half; None where there are no such two.
        reward: the mean reward of the answers.
        gap: what the reward says of its picks minus their truth, where the reward is a probability.
        without_reward: answers that have none.
    """

    round: int
    truth: float
    best_of: float
    best_of_low: float
    best_of_high: float
    any_of: float
    agreement: float | None
    reward: float | None
    gap: float | None
    without_reward: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


Numbers = Sequence[Sequence[float | None]]


def figures_of(round: int, rewards: Numbers, truths: Sequence[Sequence[float]], *, probabilities: bool) -> RoundFigures:
    """The figures of one round.

    Args:
        round: its number.
        rewards: of each prompt, of each answer; None for none.
        truths: likewise.
        probabilities: whether rewards are P(right).
    """
    import numpy as np

    picks = [_pick(row) for row in rewards]
    picked = np.array([row[pick] for row, pick in zip(truths, picks, strict=True)])
    rng = np.random.default_rng(0)
    drawn = picked[rng.integers(0, len(picked), (RESAMPLES, len(picked)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    known = [reward for row in rewards for reward in row if reward is not None]
    claimed = [reward for row, pick in zip(rewards, picks, strict=True) if (reward := row[pick]) is not None]
    return RoundFigures(
        round=round,
        truth=fmean(fmean(row) for row in truths),
        best_of=float(picked.mean()),
        best_of_low=float(low),
        best_of_high=float(high),
        any_of=fmean(max(row) for row in truths),
        agreement=agreement(rewards, truths),
        reward=fmean(known) if known else None,
        gap=fmean(claimed) - float(picked.mean()) if probabilities and claimed else None,
        without_reward=sum(reward is None for row in rewards for reward in row),
    )


def agreement(rewards: Numbers, truths: Sequence[Sequence[float]]) -> float | None:
    """Of two answers to one prompt whose truth differs, how often the better one has the higher reward."""
    points: list[float] = []
    for row, truth in zip(rewards, truths, strict=True):
        for first, better in zip(row, truth, strict=True):
            for second, worse in zip(row, truth, strict=True):
                if better > worse and first is not None and second is not None:
                    points.append(1.0 if first > second else 0.5 if first == second else 0.0)
    return fmean(points) if points else None


def _pick(rewards: Sequence[float | None]) -> int:
    """The place of the highest reward, the first of equal ones; one without a reward is never before another."""
    return max(range(len(rewards)), key=lambda place: (-inf if (r := rewards[place]) is None else r, -place))
