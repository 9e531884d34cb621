"""Each red flag by a model that deserves it, and none for one that does not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from judge.records import Conversation, Message
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.calibration import Calibration, CalibrationError
from judge.rewards.evaluation.red_flags import Evidence, RedFlags, find_red_flags, rank_correlation, reversed_order


def said(text: str) -> Conversation:
    return (Message("assistant", text),)


def example(at: int, first: str = "yes", second: str = "no.", p_first: float = 1.0, group: str = "") -> Example:
    return Example(
        id=str(at), group=group or str(at), prompt=said("p"), responses=(said(first), said(second)), p_first=p_first
    )


def seen(count: int = 200, **changes: Any) -> Evidence:
    """A healthy model: differences around 1, 84 % of them above 0."""
    torch.manual_seed(0)
    differences = 1 + torch.randn(count)
    rewards = torch.stack([differences / 2, -differences / 2], 1).reshape(-1, 1)
    examples = [example(at) for at in range(count)]
    held = Evidence(
        rewards=rewards,
        targets=Targets.of(examples, "scalar"),
        examples=examples,
        config=RewardConfig.of(),
        training={"accuracy": 0.86},
        validation={"accuracy": 0.84},
    )
    return replace(held, **changes)


def flag(found: RedFlags) -> str:
    assert len(found.flags) == 1, found.flags
    return found.flags[0]


def test_a_healthy_model_has_none() -> None:
    found = find_red_flags(seen())
    assert found.flags == ()
    assert found.figures["train_validation_gap"] == pytest.approx(0.02)
    assert found.figures["reward_mean"] == pytest.approx(0, abs=1e-6)


def test_without_validation_examples_it_says_that_nothing_was_examined() -> None:
    nothing = replace(seen(), rewards=torch.empty(0, 1), examples=[], targets=Targets.of([], "scalar"))
    examined = find_red_flags(nothing)
    assert flag(examined) == "not examined: no validation examples were held out"
    assert examined.figures == {}


def test_training_above_validation() -> None:
    found = find_red_flags(seen(training={"accuracy": 0.99}))
    assert flag(found).startswith("training/validation gap: 99.0% of the training examples are told right and 84.0%")


def test_a_gap_within_the_noise_is_none() -> None:
    """At 100 examples the standard error is 3.7 points: 6 points are not two of them."""
    assert find_red_flags(seen(100, training={"accuracy": 0.90})).flags == ()


def test_a_loss_that_rises_again() -> None:
    history = [{"step": 10, "validation_loss": 0.4}, {"step": 20, "validation_loss": 0.3}, {"step": 30, "loss": 0.1}]
    assert find_red_flags(seen(history=[*history, {"step": 40, "validation_loss": 0.32}])).flags == ()
    found = find_red_flags(seen(history=[*history, {"step": 40, "validation_loss": 0.5}]))
    assert flag(found).startswith("the validation loss rose from 0.3 at step 20 to 0.5")


def test_no_better_than_a_coin() -> None:
    assert "no better than chance: 55.0% of 200" in flag(
        find_red_flags(seen(validation={"accuracy": 0.55}, training={}))
    )


def test_extreme_rewards() -> None:
    held = seen()
    wild = held.rewards.clone()
    wild[0] = 50.0
    assert "extreme rewards: 1 of 400" in flag(find_red_flags(replace(held, rewards=wild)))
    wild[0] = 5000.0
    assert "one is 5e+03" in flag(find_red_flags(replace(held, rewards=wild)))
    wild[0] = torch.nan
    assert any("1 of 400 rewards are not finite" in one for one in find_red_flags(replace(held, rewards=wild)).flags)


def test_two_clusters_are_not_extreme() -> None:
    """Right at 5, wrong at -5, and a few in between: far from the median of a half, but no outliers."""
    rewards = torch.tensor([[5.0], [-5.0]] * 200)
    assert find_red_flags(replace(seen(), rewards=rewards)).flags == ()


def test_rewards_that_are_all_the_same() -> None:
    found = find_red_flags(replace(seen(), rewards=torch.full((400, 1), 0.25)))
    assert "all 400 rewards are the same (0.25)" in found.flags


def _ensemble(spread: float) -> Evidence:
    held = seen()
    members = held.rewards + spread * torch.randn(400, 5, generator=torch.Generator().manual_seed(1))
    config = RewardConfig.of(kind="ensemble")
    return replace(held, rewards=members, config=config, targets=Targets.of(held.examples, "ensemble"))


def test_a_collapsed_ensemble() -> None:
    assert find_red_flags(_ensemble(0.2)).flags == ()
    assert "the ensemble has collapsed" in flag(find_red_flags(_ensemble(0.001)))


def test_members_that_differ_by_a_constant_have_collapsed_too() -> None:
    held = _ensemble(0.0)
    shifted = replace(held, rewards=held.rewards + torch.arange(5.0))
    assert "the ensemble has collapsed" in flag(find_red_flags(shifted))


def _turned(rewards: Tensor) -> Tensor:
    return rewards.reshape(-1, 2).flip(1).reshape(-1, 1)


def test_rewards_that_move_with_the_order() -> None:
    held = seen()
    assert find_red_flags(replace(held, reversed_rewards=_turned(held.rewards))).flags == ()
    moved = _turned(held.rewards)
    moved[7] += 0.5
    assert "inconsistent order: a reward moves by 0.5" in flag(find_red_flags(replace(held, reversed_rewards=moved)))


def test_reversed_examples_keep_their_labels() -> None:
    ranked = Example(id="1", group="g", prompt=said("p"), responses=(said("a"), said("b"), said("c")), order=(2, 0, 1))
    pair, ranking = reversed_order([example(0, p_first=0.7), ranked])
    assert pair.p_first == pytest.approx(0.3) and pair.responses == (said("no."), said("yes"))
    assert [ranking.responses[at] for at in ranking.order] == [said("c"), said("a"), said("b")]


def test_labels_that_contradict_each_other() -> None:
    examples = [example(at) for at in range(199)]
    examples += [example(199, "a", "b", 1.0, "g"), example(200, "b", "a", 1.0, "g")]
    held = seen(201, examples=examples, targets=Targets.of(examples, "scalar"))
    assert "1 of 1 pairs that are judged in both orders have two winners" in flag(find_red_flags(held))
    examples[-1] = example(200, "b", "a", 0.0, "g")
    assert find_red_flags(replace(held, examples=examples, targets=Targets.of(examples, "scalar"))).flags == ()


def _by_length(share_by_label: float) -> Evidence:
    """The longer one always wins by the model, and with a share by the labels."""
    count = 200
    examples, rewards = [], []
    for at in range(count):
        agrees = at < share_by_label * count
        examples.append(example(at, "x" * (20 + at), "x" * 10, p_first=1.0 if agrees else 0.0))
        rewards += [[1 + at / count], [0.0]]
    return seen(
        count,
        rewards=torch.tensor(rewards),
        examples=examples,
        targets=Targets.of(examples, "scalar"),
        training={},
        validation={},
    )


def test_a_preference_for_length() -> None:
    found = find_red_flags(_by_length(0.6))
    assert "the longer response wins 100.0% of 200 pairs by the model and 60.0% by the labels" in flag(found)
    assert found.figures["length_correlation"] > 0.9


def test_labels_that_like_length_are_no_fault_of_the_model() -> None:
    assert find_red_flags(_by_length(0.95)).flags == ()


def test_length_of_single_answers() -> None:
    torch.manual_seed(0)
    count = 100
    examples = [
        Example(id=str(at), group=str(at), prompt=said("p"), responses=(said("x" * (at + 1)),), p_correct=float(at % 2))
        for at in range(count)
    ]
    held = Evidence(
        rewards=torch.arange(100.0)[:, None] / 50,
        targets=Targets.of(examples, "outcome"),
        examples=examples,
        config=RewardConfig.of(kind="outcome"),
    )
    assert "reward and length correlate by 1.00" in flag(find_red_flags(held))


def test_probabilities_that_are_off() -> None:
    off = Calibration(after=CalibrationError(0.2, 0.15, 0.25, 200))
    assert "off by 20.0% on average" in flag(find_red_flags(seen(calibration=off)))
    noisy = Calibration(after=CalibrationError(0.2, 0.05, 0.35, 200))
    assert find_red_flags(seen(calibration=noisy)).flags == ()


def test_few_examples() -> None:
    assert "only 50 validation examples" in flag(find_red_flags(seen(50)))


def test_a_process_model_can_be_looked_at() -> None:
    examples = [
        Example(id=str(at), group=str(at), prompt=said("p"), steps=("a",), step_probabilities=((1.0, 0.0, 0.0),))
        for at in range(150)
    ]
    torch.manual_seed(0)
    held = Evidence(
        rewards=torch.randn(150, 2),
        targets=Targets.of(examples, "process"),
        examples=examples,
        config=RewardConfig.of(kind="process"),
        reversed_rewards=torch.zeros(150, 2),
        training={"accuracy": 0.9},
        validation={"accuracy": 0.9},
    )
    assert find_red_flags(held).flags == ()


def test_rank_correlation() -> None:
    """1, 2, 2, 3 has ranks 1, 2.5, 2.5, 4: by hand 4.5 / √(5 · 4.5)."""
    found = rank_correlation(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 2.0, 3.0]))
    assert found == pytest.approx(4.5 / np.sqrt(5 * 4.5))
    assert rank_correlation(np.ones(3), np.arange(3.0)) == 0
