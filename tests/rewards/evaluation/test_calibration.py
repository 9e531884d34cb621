"""Probabilities after calibration: by hand where the sums are small, by construction where the truth is drawn."""

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from judge.errors import InputError, UnknownNameError
from judge.records import Conversation, Message
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.calibration import Calibration, calibrate, expected_calibration_error, folds, isotonic_of
from judge.rewards.evaluation.statements import Statements, statements_of

D = math.log(3)  # σ(D) = 3/4


def said(text: str) -> Conversation:
    return (Message("assistant", text),)


def drawn(count: int, sharpness: float, *, seed: int = 0, bias: bool = False) -> Any:
    """Pairs whose first is better with σ(d), by a model that says d · sharpness (and bends it, with `bias`)."""
    torch.manual_seed(seed)
    d = 2 * torch.randn(count)
    label = (torch.rand(count) < torch.sigmoid(d)).float()
    stated = torch.sign(d) * d.abs() ** 3 if bias else d * sharpness
    rewards = torch.stack([stated, torch.zeros(count)], 1).reshape(-1, 1)
    examples = [
        Example(id=str(at), group=str(at // 2), prompt=said("p"), responses=(said("a"), said("b")), p_first=p)
        for at, p in enumerate(label.tolist())
    ]
    return rewards, Targets.of(examples, "scalar"), examples, RewardConfig.of()


# ---- expected calibration error --------------------------------------------------------------------------------------


def test_expected_calibration_error() -> None:
    """Bins [0.6, 0.667) holds three at 0.65, one of them right: |1/3 - 0.65|; [0.867, 0.933) two at 0.9, both right.

    (3/5) · 0.31667 + (2/5) · 0.1 = 0.23.
    """
    found = expected_calibration_error(np.array([0.65, 0.65, 0.65, 0.9, 0.9]), np.array([1.0, 0.0, 0.0, 1.0, 1.0]))
    assert found.value == pytest.approx(0.23)
    assert found.low <= found.value <= found.high and found.n == 5


def test_a_bin_holds_its_lower_end_and_the_last_one_holds_1() -> None:
    """1.0 and 0.95 share the last of 15 bins: (1 + 0.95) - (1 + 0) over 2."""
    assert expected_calibration_error(np.array([1.0, 0.95]), np.array([1.0, 0.0])).value == pytest.approx(0.475)


def test_statements_that_come_true_as_often_as_they_say_have_no_error() -> None:
    found = expected_calibration_error(np.full(4, 0.75), np.array([1.0, 1.0, 1.0, 0.0]))
    assert found.value == pytest.approx(0)


def test_rows_of_a_group_are_drawn_together() -> None:
    """Ten copies of two rows are two draws, not twenty: the interval is wider than that of twenty."""
    p, label = np.tile([0.7, 0.7], 10), np.tile([1.0, 0.0], 10)
    grouped = expected_calibration_error(p, label, np.tile([0, 1], 10))
    apart = expected_calibration_error(p, label)
    assert grouped.high > apart.high


# ---- pairs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharpness", [0.25, 1.0, 4.0])
def test_the_temperature_that_was_put_in_is_found(sharpness: float) -> None:
    found = calibrate(*drawn(4000, sharpness), method="temperature")
    assert found.temperature == pytest.approx(sharpness, rel=0.08)
    assert found.pair(sharpness * D) == pytest.approx(0.75, abs=0.02)


def test_500_pairs_are_enough_for_an_error_of_a_twentieth_on_new_pairs() -> None:
    """An overconfident model: 4 times too sharp before, calibrated on 500 pairs, looked at on 4000 others."""
    found = calibrate(*drawn(500, 4.0))
    assert found.before is not None and found.before.value > 0.1
    rewards, targets, _, _ = drawn(4000, 4.0, seed=1)
    assert targets.p_first is not None
    p = np.array([found.pair(d) for d in rewards.reshape(-1, 2)[:, 0].tolist()])
    new = expected_calibration_error(p, targets.p_first.double().numpy())
    assert new.value < 0.05


def test_a_bent_scale_takes_the_isotonic_curve() -> None:
    """r = d³ is no temperature; of 2000 pairs the curve is found and the temperature loses."""
    found = calibrate(*drawn(2000, 1.0, bias=True))
    assert found.method == "isotonic"
    assert found.losses["isotonic"] < found.losses["temperature"] < found.losses["none"]
    assert found.pair(D**3) == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_a_swapped_pair_has_the_other_probability_and_order_is_kept(method: Any) -> None:
    found = calibrate(*drawn(500, 2.0), method=method)
    grid = [-50.0, -3.0, -0.5, 0.0, 0.1, 0.5, 3.0, 50.0]
    shares = [found.pair(d) for d in grid]
    assert all(low < high for low, high in pairwise(shares))
    assert [found.pair(-d) for d in grid] == pytest.approx([1 - share for share in shares])
    assert found.pair(0.0) == pytest.approx(0.5) and shares[0] > 0 and shares[-1] <= 1


def test_chosen_first_or_not_is_the_same() -> None:
    """Data that always names the better one first gives the temperature of the same data in mixed order."""
    rewards, targets, examples, config = drawn(400, 3.0)
    sides = rewards.reshape(-1, 2)
    turned = [one.p_first == 0.0 for one in examples]
    chosen = torch.stack([pair.flip(0) if turn else pair for pair, turn in zip(sides, turned, strict=True)])
    first = [
        Example(id=one.id, group=one.group, prompt=one.prompt, responses=one.responses, p_first=1.0) for one in examples
    ]
    mixed = calibrate(rewards, targets, examples, config)
    again = calibrate(chosen.reshape(-1, 1), Targets.of(first, "scalar"), first, config)
    assert again.temperature == pytest.approx(mixed.temperature, rel=1e-3)
    assert again.before is not None and mixed.before is not None
    assert again.before.value == pytest.approx(mixed.before.value)


def test_pairs_that_are_all_told_right_do_not_make_it_sure_of_everything() -> None:
    """30 pairs, d = 1 each, all right: Platt's label is 31/32, so P(first) of d = 1 is that and not 1."""
    examples = drawn(30, 1.0)[2]
    examples = [
        Example(id=one.id, group=one.id, prompt=one.prompt, responses=one.responses, p_first=1.0) for one in examples
    ]
    rewards = torch.tensor([[1.0], [0.0]] * 30)
    found = calibrate(rewards, Targets.of(examples, "scalar"), examples, RewardConfig.of(), method="temperature")
    assert found.pair(1.0) == pytest.approx(31 / 32, abs=1e-3)


def test_few_pairs_change_nothing() -> None:
    found = calibrate(*drawn(19, 4.0))
    assert (found.method, found.temperature, found.n) == ("none", 1.0, 19)
    assert found.before is not None and found.after is None


def test_mean_and_scale_of_the_rewards() -> None:
    rewards, targets, examples, config = drawn(2, 1.0)
    rewards = torch.tensor([[1.0], [5.0], [3.0], [3.0]])
    found = calibrate(rewards, targets, examples, config)
    assert (found.mean, found.scale) == pytest.approx((3.0, math.sqrt(2)))
    assert found.standardized(5.0) == pytest.approx(math.sqrt(2))


# ---- outcomes, steps, scores -----------------------------------------------------------------------------------------


def test_outcomes() -> None:
    torch.manual_seed(0)
    logit = torch.randn(2000)
    right = torch.sigmoid(logit).tolist()  # soft labels: the temperature is exactly 5
    examples = [
        Example(id=str(at), group=str(at), prompt=said("p"), responses=(said("a"),), p_correct=p)
        for at, p in enumerate(right)
    ]
    config = RewardConfig.of(kind="outcome")
    found = calibrate(5 * logit[:, None], Targets.of(examples, "outcome"), examples, config, method="temperature")
    assert found.about == "outcome"
    assert found.outcome(5 * D) == pytest.approx(0.75, abs=0.002)
    assert found.pair(5 * D) == pytest.approx(
        0.75, abs=0.002
    )  # r1 - r2 is the log-odds that the first is the right one


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_steps(classes: int, method: Any) -> None:
    """Logits three times too sharp; the probabilities come back, and sum to 1."""
    torch.manual_seed(0)
    logits = 1.5 * torch.randn(3000, classes)
    label = torch.multinomial(torch.softmax(logits, -1), 1)[:, 0].tolist()
    shares = [((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))[at] for at in label]
    examples = [
        Example(id=str(at), group=str(at), prompt=said("p"), steps=("a", "b", "c"), step_probabilities=tuple(three))
        for at, three in enumerate(zip(*[iter(shares)] * 3, strict=True))
    ]
    config = RewardConfig.of(kind="process", step_classes=classes)
    found = calibrate(3 * logits, Targets.of(examples, "process"), examples, config, method=method)
    assert found.about == "step" and found.method == method
    rows = [found.step(row) for row in (3 * logits[:200]).tolist()]
    wanted = torch.softmax(logits[:200], -1)[:, 1]
    assert torch.tensor(rows).sum(-1).tolist() == pytest.approx([1.0] * 200)
    assert float((torch.tensor(rows)[:, 1] - wanted).abs().mean()) < 0.04


def test_two_classes_count_neutral_as_right_and_unjudged_steps_do_not_count() -> None:
    shares = ((0.5, 0.3, 0.2), None)
    one = Example(id="1", group="g", prompt=said("p"), steps=("a", "b"), step_probabilities=shares)
    config = RewardConfig.of(kind="process")
    found = statements_of(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), Targets.of([one], "process"), [one], config)
    assert found is not None
    assert found.labels.tolist() == [pytest.approx([0.7, 0.3])]
    assert found.logit().tolist() == [-1.0]  # of the wrong one


def test_scores_of_one_prompt_make_pairs() -> None:
    """Responses scored 3, 1, 1 to one prompt: two pairs, the tie says nothing; another prompt's are not compared."""
    scores, groups = [3.0, 1.0, 1.0, 2.0], ["g", "g", "g", "h"]
    examples = [
        Example(id=str(at), group=group, prompt=said("p"), responses=(said("a"),), scores=({"": score},))
        for at, (score, group) in enumerate(zip(scores, groups, strict=True))
    ]
    rewards = torch.tensor([[0.5], [0.1], [0.2], [9.0]])
    found = statements_of(rewards, Targets.of(examples, "scalar"), examples, RewardConfig.of())
    assert found is not None and found.about == "pair"
    assert found.logit().tolist() == pytest.approx([0.4, 0.3])
    assert found.labels[:, 0].tolist() == [1.0, 1.0]


def test_an_ensemble_speaks_by_its_mean() -> None:
    _, targets, examples, _ = drawn(1, 1.0)
    rewards = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    found = statements_of(rewards, targets, examples, RewardConfig.of(kind="ensemble", members=2))
    assert found is not None and found.logit().tolist() == [2.0]


# ---- curves, folds, files --------------------------------------------------------------------------------------------


def test_isotonic_pools_what_goes_down() -> None:
    """Labels 0, 1, 0, 1 at rising logits: the middle two are pooled at a half (labels drawn in by n = 4, C = 2)."""
    logit = np.array([-2.0, -1.0, 1.0, 2.0])
    labels = np.array([0.0, 1.0, 0.0, 1.0])
    logits = np.stack([logit, np.zeros(4)], 1)
    knots, values = isotonic_of(Statements("outcome", logits, np.stack([labels, 1 - labels], 1), np.arange(4)))
    assert knots == (-2.0, -1.0, 1.0, 2.0)
    assert values == pytest.approx((1 / 6, 0.5, 0.5, 5 / 6))


def test_between_knots_the_curve_is_straight() -> None:
    found = Calibration(about="outcome", knots=(-1.0, 1.0), values=(0.2, 0.6))
    tempered = 1 / (1 + math.exp(-0.5))
    assert found.outcome(0.5) == pytest.approx(0.999 * 0.5 + 0.001 * tempered)
    assert found.outcome(9.0) == pytest.approx(0.999 * 0.6 + 0.001, abs=1e-6)


def test_a_prompt_stays_in_one_fold() -> None:
    prompts = np.repeat(np.arange(40), 3)
    fold = folds(prompts)
    assert all(len(set(fold[prompts == prompt])) == 1 for prompt in range(40))
    assert sorted(np.bincount(fold).tolist()) == [24] * 5


def test_a_calibration_is_the_same_after_a_file() -> None:
    for method in ("temperature", "isotonic", "none"):
        found = calibrate(*drawn(60, 2.0), method=method)  # type: ignore[arg-type]
        assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_what_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'isotonic'"):
        calibrate(*drawn(30, 1.0), method="isotonik")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="temperature 0"):
        Calibration.from_dict({"temperature": 0.0})


def test_the_plain_calibration_is_sigmoid_and_softmax() -> None:
    plain = Calibration()
    assert plain.pair(D) == pytest.approx(0.75) and plain.outcome(-D) == pytest.approx(0.25)
    assert plain.step([math.log(2), 0.0, 0.0]) == pytest.approx([0.5, 0.25, 0.25])
    assert plain.pair(1e6) == 1.0 and plain.pair(-1e6) == 0.0
