"""Figures as sums over prompts, and how far chance moves them."""

import math

import numpy as np
import pytest
import torch

from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.metrics import figures
from judge.rewards.evaluation.noise import PromptSums, difference, prompt_sums
from tests.rewards.models import example, said


def sums_of(rewards: torch.Tensor, made: list[Example], kind: str = "scalar", **more: object) -> PromptSums:
    config = RewardConfig.of(kind=kind, **more)
    targets = Targets.of(made, kind, config.model.objectives)
    sums = prompt_sums(rewards, targets, made, config)
    assert sums is not None
    assert sums.value() == pytest.approx(figures(rewards, targets, config)[sums.figure])
    return sums


def test_hits_are_summed_by_prompt_and_ties_do_not_count() -> None:
    """Prompt a: a hit, and equal rewards (a half). Prompt b: a miss, and a tie of the labels."""
    labels = [("a", 1.0), ("a", 0.0), ("b", 1.0), ("b", 0.5)]
    made = [example("w7", "w8", "w9", group=group, p_first=p) for group, p in labels]
    sums = sums_of(torch.tensor([[2.0], [1.0], [0.0], [0.0], [0.0], [1.0], [3.0], [1.0]]), made)
    assert (sums.figure, sums.groups) == ("accuracy", ("a", "b"))
    assert sums.sums.tolist() == [[1.5, 2.0], [0.0, 1.0]]
    assert sums.value() == 0.5


def test_steps_and_outcomes_are_told_right_or_wrong() -> None:
    steps = Example(
        id="s",
        group="g",
        prompt=said("user", "w7"),
        steps=("w8", "w9", "w10"),
        step_probabilities=((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), None),
    )
    # The neutral step counts as right with two classes: told wrong, it is a miss.
    assert sums_of(torch.tensor([[1.0, 0.0], [0.0, 1.0], [9.0, 0.0]]), [steps], "process").sums.tolist() == [[1.0, 2.0]]
    answers = [example("w7", "w8", group=str(place), p_correct=p) for place, p in enumerate((0.9, 0.2))]
    assert sums_of(torch.tensor([[1.0], [1.0]]), answers, "outcome").value() == 0.5


def test_a_correlation_is_pearsons() -> None:
    """x = 1, 2, 3, y = 1, 3, 2: covariance 1, deviations √2 each: r = 0.5. A second objective turned round gives -0.5;
    their mean is 0."""
    rows = [{"a": 1.0, "b": 3.0}, {"a": 3.0, "b": 1.0}, {"a": 2.0, "b": 2.0}]
    made = [example("w7", f"w{8 + i}", group=str(i), scores=(row,)) for i, row in enumerate(rows)]
    both = sums_of(torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), made, "multi", objectives=("a", "b"))
    assert (both.figure, both.value()) == ("correlation", pytest.approx(0.0, abs=1e-12))
    alone = sums_of(torch.tensor([[1.0], [2.0], [3.0]]), made, "multi", objectives=("a",))
    assert alone.value() == pytest.approx(0.5)


def accuracy(hits: list[float]) -> PromptSums:
    """A pair a prompt."""
    sums = np.column_stack([hits, np.ones(len(hits))])
    return PromptSums("accuracy", tuple(f"{place:04}" for place in range(len(hits))), sums)


def test_the_standard_error_is_that_of_a_share() -> None:
    """√(0.7 · 0.3 / 400) = 0.0229; the bootstrap's own noise with 2,000 draws is 2 % of it."""
    sums = accuracy([1.0] * 280 + [0.0] * 120)
    assert sums.standard_error() == pytest.approx(math.sqrt(0.7 * 0.3 / 400), rel=0.08)
    low, high = sums.interval() or (0.0, 0.0)
    assert low == pytest.approx(0.7 - 1.96 * 0.0229, abs=0.006)
    assert high == pytest.approx(0.7 + 1.96 * 0.0229, abs=0.006)


def test_a_difference_is_of_the_same_prompts() -> None:
    """Two models that differ on 40 of 400 prompts, all for the first: +10 points, and its deviation is √(0.1 · 0.9 /
    400) = 0.015, half of what two accuracies apart would have."""
    first, second = accuracy([1.0] * 280 + [0.0] * 120), accuracy([1.0] * 240 + [0.0] * 160)
    apart, bounds = difference(first, second) or (0.0, None)
    assert apart == pytest.approx(0.1) and bounds is not None
    low, high = bounds
    assert (low, high) == (pytest.approx(0.1 - 1.96 * 0.015, abs=0.004), pytest.approx(0.1 + 1.96 * 0.015, abs=0.004))
    assert difference(first, first) == (0.0, (0.0, 0.0))


def test_what_has_nothing_in_common_is_not_compared() -> None:
    other = PromptSums("accuracy", ("elsewhere",), np.ones((1, 2)))
    assert difference(accuracy([1.0]), other) is None


def test_all_right_is_not_sure_to_be_right() -> None:
    """0.025^(1/20) = e^(-3.6889 / 20) = 0.8316 of twenty prompts."""
    assert accuracy([1.0] * 20).interval() == (pytest.approx(0.8316, abs=1e-4), 1.0)
    assert accuracy([0.0] * 20).interval() == (0.0, pytest.approx(1 - 0.8316, abs=1e-4))


def test_few_prompts_have_no_interval() -> None:
    nine, ten = accuracy([1.0] * 9), accuracy([1.0] * 9 + [0.0])
    assert nine.interval() is None and nine.standard_error() is None
    assert ten.interval() is not None
    assert difference(nine, ten) == (0.0, None)  # on the nine that they share
