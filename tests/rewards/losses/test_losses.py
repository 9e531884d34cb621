"""Losses against numbers derived by hand. σ(log 3) = 3/4, so a difference of log 3 makes everything a fraction."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from judge.errors import ConfigError, UnknownNameError
from judge.records import Conversation, Message
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example, LabelSummary
from judge.rewards.data.targets import Targets
from judge.rewards.losses.registry import default_loss, get_loss, loss_reads, training_loss
from judge.rewards.losses.regularizers import with_regularizers
from judge.rewards.registry import LOSSES

D = math.log(3)  # σ(D) = 3/4, σ(-D) = 1/4
WIN, LOSE = math.log(4 / 3), math.log(4)  # -log σ(D), -log σ(-D)


def said(text: str) -> Conversation:
    return (Message("assistant", text),)


def pair(p_first: float | None = 1.0, **labels: Any) -> Example:
    return Example(id="1", group="g", prompt=said("p"), responses=(said("a"), said("b")), p_first=p_first, **labels)


def ranking(*order: int, of: int = 0, group: str = "g") -> Example:
    responses = tuple(said(str(at)) for at in range(of or len(order)))
    return Example(id="1", group=group, prompt=said("p"), responses=responses, order=order)


def one(**labels: Any) -> Example:
    return Example(id="1", group="g", prompt=said("p"), responses=(said("a"),), **labels)


def value(name: str, rewards: list[float], *examples: Example, kind: str = "scalar", **arguments: Any) -> float:
    """The loss of one column of rewards."""
    targets = Targets.of(examples, kind)
    return float(get_loss(name, **arguments)(torch.tensor(rewards)[:, None], targets))


def near(expected: float) -> Any:
    return pytest.approx(expected, rel=1e-5, abs=1e-6)


# ---- pairs -----------------------------------------------------------------------------------------------------------


def test_bradley_terry() -> None:
    assert value("bradley-terry", [D, 0], pair()) == near(WIN)
    assert value("bradley-terry", [D, 0], pair(0.0)) == near(LOSE)
    assert value("bradley-terry", [2 + D, 2], pair(0.7)) == near(0.7 * WIN + 0.3 * LOSE)
    assert value("bradley-terry", [0, 0], pair(0.5)) == near(math.log(2))


def test_hard_labels_keep_their_ties() -> None:
    assert value("bradley-terry", [D, 0], pair(0.6), hard=True) == near(WIN)
    assert value("bradley-terry", [D, 0], pair(0.4), hard=True) == near(LOSE)
    assert value("bradley-terry", [D, 0], pair(0.5), hard=True) == near((WIN + LOSE) / 2)


def test_label_smoothing() -> None:
    """ε = 0.1: the label 1 becomes 0.9, the label 0.7 becomes 0.66."""
    assert value("bradley-terry", [D, 0], pair(), smoothing=0.1) == near(0.9 * WIN + 0.1 * LOSE)
    assert value("bradley-terry", [D, 0], pair(0.7), smoothing=0.1) == near(0.66 * WIN + 0.34 * LOSE)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_log_of_one_plus_exp_is_the_same_loss(smoothing: float) -> None:
    torch.manual_seed(0)
    examples = [pair(p) for p in (0.0, 0.3, 0.5, 1.0)] + [ranking(2, 0, 1)]
    targets = Targets.of(examples, "scalar")
    rewards = (torch.randn(11, 1) * 30).requires_grad_()
    losses = [get_loss(name, smoothing=smoothing)(rewards, targets) for name in ("bradley-terry", "log1p-exp")]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-6, atol=1e-6)
    gradients = [torch.autograd.grad(loss, rewards)[0] for loss in losses]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-6, atol=1e-7)


def test_margin_moves_the_difference_towards_the_label() -> None:
    """d = log 3 + 1 and m = 1 leave log 3 of it; the other side, at -d - m, is -log 3 - 2."""
    rewards = [D + 1, 0]
    assert value("margin", rewards, pair(margin=1.0)) == near(WIN)
    assert value("margin", rewards, pair(margin=0.5), scale=2.0) == near(WIN)
    assert value("margin", rewards, pair(0.0, margin=1.0)) == near(math.log1p(math.exp(D + 2)))
    assert value("margin", rewards, pair(), default=1.0) == near(WIN)
    assert value("margin", [D, 0], pair()) == value("bradley-terry", [D, 0], pair())


def test_margin_scaled_weighs_the_loss() -> None:
    assert value("margin-scaled", [D, 0], pair(margin=3.0)) == near(3 * WIN)
    assert value("margin-scaled", [D, 0], pair(0.0, margin=-2.0)) == near(2 * LOSE)
    assert value("margin-scaled", [D, 0], pair(margin=0.0)) == 0
    assert value("margin-scaled", [D, 0], pair()) == near(WIN)


def test_rao_kupper() -> None:
    """π = (3, 1), θ = 2: P(first) = 3/(3+2) = 3/5, P(second) = 1/(1+6) = 1/7, P(tie) = 3·3·1/(5·7) = 9/35."""
    assert value("rao-kupper", [D, 0], pair(1.0)) == near(-math.log(3 / 5))
    assert value("rao-kupper", [D, 0], pair(0.0)) == near(-math.log(1 / 7))
    assert value("rao-kupper", [D, 0], pair(0.5, p_tie=1.0)) == near(-math.log(9 / 35))
    soft = 0.6 * math.log(3 / 5) + 0.2 * math.log(1 / 7) + 0.2 * math.log(9 / 35)
    assert value("rao-kupper", [D, 0], pair(0.7, p_tie=0.2)) == near(-soft)


def test_davidson() -> None:
    """π = (9, 1), ν = 2: √(π₁π₂) = 3, Z = 9 + 1 + 6 = 16."""
    rewards = [math.log(9), 0]
    assert value("davidson", rewards, pair(1.0), nu=2.0) == near(-math.log(9 / 16))
    assert value("davidson", rewards, pair(0.0), nu=2.0) == near(-math.log(1 / 16))
    assert value("davidson", rewards, pair(0.5, p_tie=1.0), nu=2.0) == near(-math.log(6 / 16))
    soft = 0.6 * math.log(9 / 16) + 0.2 * math.log(1 / 16) + 0.2 * math.log(6 / 16)
    assert value("davidson", rewards, pair(0.7, p_tie=0.2), nu=2.0) == near(-soft)


@pytest.mark.parametrize(("name", "tie"), [("rao-kupper", 1 / 3), ("davidson", 1 / 3)])
def test_equal_responses_tie_by_a_third(name: str, tie: float) -> None:
    """θ = 2: (θ-1)/(θ+1); ν = 1: ν/(2+ν)."""
    assert value(name, [0, 0], pair(0.5, p_tie=1.0)) == near(-math.log(tie))


def test_a_tie_is_never_more_than_the_label_leaves_room_for() -> None:
    """P(first) = 0.9 leaves at most 0.2 of a tie: 0.8, 0, 0.2."""
    soft = 0.8 * math.log(9 / 16) + 0.2 * math.log(6 / 16)
    assert value("davidson", [math.log(9), 0], pair(0.9, p_tie=0.7), nu=2.0) == near(-soft)


def test_focal() -> None:
    """(1/4)² · log(4/3) of the side that is told right, (3/4)² · log 4 of the other."""
    assert value("focal", [D, 0], pair()) == near(WIN / 16)
    assert value("focal", [D, 0], pair(0.0)) == near(9 / 16 * LOSE)
    assert value("focal", [D, 0], pair(0.7), gamma=0.0) == near(0.7 * WIN + 0.3 * LOSE)


def test_triplet() -> None:
    assert value("triplet", [0.4, 0], pair()) == near(0.6)
    assert value("triplet", [2, 0], pair()) == 0
    assert value("triplet", [2, 0], pair(0.0), gap=0.5) == near(2.5)


# ---- wrong labels ----------------------------------------------------------------------------------------------------


def test_forward_correction() -> None:
    """ε = 0.2: the label "first" is seen with 0.8 · 3/4 + 0.2 · 1/4 = 0.65."""
    assert value("forward", [D, 0], pair()) == near(-math.log(0.65))
    assert value("forward", [D, 0], pair(0.0)) == near(-math.log(0.35))
    assert value("forward", [D, 0], pair(0.7), flipped=0.0) == near(0.7 * WIN + 0.3 * LOSE)


def test_unbiased_is_the_clean_loss_in_expectation() -> None:
    """Of ten labels two are flipped: their mean is the loss of clean ones."""
    kept, flipped = value("unbiased", [D, 0], pair()), value("unbiased", [D, 0], pair(0.0))
    assert kept == near((0.8 * WIN - 0.2 * LOSE) / 0.6)
    assert 0.8 * kept + 0.2 * flipped == near(WIN)


def test_generalized_lies_between_cross_entropy_and_absolute_error() -> None:
    assert value("generalized", [D, 0], pair(), q=1.0) == near(1 / 4)
    assert value("generalized", [D, 0], pair(), q=0.5) == near(2 * (1 - math.sqrt(3 / 4)))
    assert value("generalized", [D, 0], pair(), q=1e-6) == pytest.approx(WIN, rel=1e-4)


def test_symmetric() -> None:
    """The reversed term: 1/4 · 4 for the label "first", whose other side has log 0 := -4; 3/4 · 4 for the other."""
    assert value("symmetric", [D, 0], pair()) == near(0.1 * WIN + 1.0)
    assert value("symmetric", [D, 0], pair(0.0)) == near(0.1 * LOSE + 3.0)


def test_trimmed_leaves_the_costliest_out() -> None:
    """Five pairs, a fifth of them trimmed: the one that costs log 4 does not count."""
    rewards = [D, 0] * 5
    labels = [pair(1.0)] * 4 + [pair(0.0)]
    assert value("trimmed", rewards, *labels) == near(WIN)
    assert value("trimmed", rewards, *labels, share=0.0) == near((4 * WIN + LOSE) / 5)


@pytest.mark.parametrize("name", ["forward", "generalized", "symmetric", "trimmed"])
def test_robust_losses_let_go_of_a_label_that_is_surely_wrong(name: str) -> None:
    """The pull of a contradicted label fades as the model grows sure; Bradley-Terry's grows to 1."""
    examples = [pair(0.0)] + [pair(1.0)] * 4
    pulls = {}
    for loss in (name, "bradley-terry"):
        rewards = torch.tensor([12.0, 0.0] + [1.0, 0.0] * 4)[:, None].requires_grad_()
        get_loss(loss)(rewards, Targets.of(examples, "scalar")).backward()
        assert rewards.grad is not None
        pulls[loss] = abs(float(rewards.grad[0])) * 5
    assert pulls["bradley-terry"] == pytest.approx(1, abs=1e-3)
    assert pulls[name] < 0.11  # symmetric keeps α = 0.1 of the cross-entropy's pull


@pytest.mark.parametrize("name", ["bradley-terry", "forward", "unbiased", "generalized"])
def test_where_a_loss_is_lowest_when_a_fifth_is_flipped(name: str) -> None:
    """Of clean labels 3/4 say first; of flipped ones 0.8 · 3/4 + 0.2 · 1/4 = 0.65. forward and unbiased still find
    d = log 3, bradley-terry finds log(0.65/0.35), and generalized is on the right side, further out than either."""
    lowest = min((value(name, [d / 200, 0], pair(0.65)), d / 200) for d in range(-1000, 1001))[1]
    wanted = {"bradley-terry": math.log(0.65 / 0.35), "forward": D, "unbiased": D}
    if name in wanted:
        assert lowest == pytest.approx(wanted[name], abs=0.01)
    else:
        assert lowest > D


# ---- rankings --------------------------------------------------------------------------------------------------------

THREE = [math.log(2), math.log(3), 0.0]  # π = 2, 3, 1


def test_plackett_luce() -> None:
    """Best is the second: 3/6, then 2/3."""
    assert value("plackett-luce", THREE, ranking(1, 0, 2)) == near(-math.log(3 / 6) - math.log(2 / 3))
    assert value("plackett-luce", THREE, ranking(2, 0, 1)) == near(-math.log(1 / 6) - math.log(2 / 5))
    assert value("plackett-luce", THREE, ranking(1, 0, 2), top=1) == near(-math.log(3 / 6))


def test_a_pair_is_a_ranking_of_two() -> None:
    for p in (1.0, 0.7, 0.5, 0.0):
        for name in ("plackett-luce", "adjacent", "contrastive"):
            assert value(name, [D, 0], pair(p)) == near(p * WIN + (1 - p) * LOSE)


def test_adjacent() -> None:
    """Order 1, 0, 2: σ(log 3/2) = 3/5 and σ(log 2) = 2/3, the mean of two."""
    assert value("adjacent", THREE, ranking(1, 0, 2)) == near(-(math.log(3 / 5) + math.log(2 / 3)) / 2)


def test_contrastive() -> None:
    """The best against all: 3/6; at a temperature of 1/2 the strengths are squared: 9/14."""
    assert value("contrastive", THREE, ranking(1, 0, 2)) == near(math.log(2))
    assert value("contrastive", THREE, ranking(1, 2, 0), temperature=0.5) == near(math.log(14 / 9))


def test_bradley_terry_of_a_ranking_is_the_mean_of_its_pairs() -> None:
    pairs = [math.log(3 / 5), math.log(2 / 3), math.log(3 / 4)]
    assert value("bradley-terry", THREE, ranking(1, 0, 2)) == near(-sum(pairs) / 3)


def test_a_long_ranking_counts_no_more_than_a_pair() -> None:
    mixed = value("bradley-terry", [*THREE, D, 0], ranking(1, 0, 2), pair(0.25))
    alone = [value("bradley-terry", THREE, ranking(1, 0, 2)), value("bradley-terry", [D, 0], pair(0.25))]
    assert mixed == near(sum(alone) / 2)
    assert value("plackett-luce", [*THREE, D, 0], ranking(1, 0, 2), pair(0.25)) == near(
        (value("plackett-luce", THREE, ranking(1, 0, 2)) + value("plackett-luce", [D, 0], pair(0.25))) / 2
    )


@pytest.mark.parametrize("name", ["bradley-terry", "plackett-luce", "adjacent", "contrastive"])
def test_a_response_that_a_ranking_leaves_out_is_compared_with_nothing(name: str) -> None:
    """Indices 0, 1, 3 are ranked; the third response may have any reward."""
    full = [THREE[0], THREE[1], 1e6, THREE[2]]
    assert value(name, full, ranking(1, 0, 3, of=4)) == near(value(name, THREE, ranking(1, 0, 2)))


# ---- scores, outcomes, steps -----------------------------------------------------------------------------------------


def test_regression() -> None:
    scored = [one(scores=({"": 3.0},)), one(scores=({"": 1.0},))]
    assert value("regression", [1.0, 1.5], *scored) == near((4 + 0.25) / 2)
    assert value("regression", [1.0, 1.5], *scored, delta=1.0) == near((1 * (2 - 0.5) + 0.125) / 2)


def test_regression_on_objectives_leaves_out_what_is_not_known() -> None:
    scored = [one(scores=({"help": 3.0, "harm": 1.0},)), one(scores=({"help": 2.0},))]
    targets = Targets.of(scored, "multi", ("harm", "help"))
    rewards = torch.tensor([[0.0, 1.0], [9.0, 2.5]]).requires_grad_()
    loss = get_loss("regression")(rewards, targets)
    assert loss.item() == near((1 + 4 + 0.25) / 3)
    loss.backward()
    assert rewards.grad is not None and float(rewards.grad[1, 0]) == 0


def test_outcome() -> None:
    assert value("outcome", [D], one(p_correct=1.0), kind="outcome") == near(WIN)
    assert value("outcome", [D], one(p_correct=0.7), kind="outcome") == near(0.7 * WIN + 0.3 * LOSE)
    assert value("outcome", [D], one(p_correct=1.0), kind="outcome", q=1.0) == near(1 / 4)
    assert value("outcome", [D], one(p_correct=1.0), kind="outcome", smoothing=0.1) == near(0.9 * WIN + 0.1 * LOSE)


def solution(*shares: tuple[float, float, float] | None) -> Example:
    steps = tuple(str(at) for at in range(len(shares)))
    return Example(id="1", group="g", prompt=said("p"), steps=steps, step_probabilities=shares)


def step_loss(logits: list[list[float]], *examples: Example, **arguments: Any) -> float:
    return float(get_loss("steps", **arguments)(torch.tensor(logits), Targets.of(examples, "process")))


def test_steps_of_three_classes_are_soft() -> None:
    """π = (2, 1, 1): softmax 1/2, 1/4, 1/4."""
    logits = [[math.log(2), 0.0, 0.0]]
    assert step_loss(logits, solution((0.5, 0.3, 0.2))) == near(0.5 * math.log(2) + 0.5 * math.log(4))
    assert step_loss(logits, solution((1.0, 0.0, 0.0)), q=1.0) == near(1 / 2)


def test_neutral_is_right_where_there_are_two_classes() -> None:
    assert step_loss([[D, 0.0]], solution((0.5, 0.3, 0.2))) == near(0.7 * WIN + 0.3 * LOSE)


def test_a_step_that_was_not_judged_has_no_loss() -> None:
    targets = Targets.of([solution((1.0, 0.0, 0.0), None)], "process")
    logits = torch.tensor([[D, 0.0], [5.0, 1.0]]).requires_grad_()
    loss = get_loss("steps")(logits, targets)
    loss.backward()
    assert loss.item() == near(WIN)
    assert logits.grad is not None and logits.grad[1].tolist() == [0, 0]


def test_step_smoothing() -> None:
    """ε = 0.2 over two classes: 0.9 and 0.1."""
    assert step_loss([[D, 0.0]], solution((1.0, 0.0, 0.0)), smoothing=0.2) == near(0.9 * WIN + 0.1 * LOSE)


# ---- weights, members, penalties -------------------------------------------------------------------------------------


def test_weights_of_examples() -> None:
    assert value("bradley-terry", [D, 0, D, 0], pair(weight=3.0), pair(0.0)) == near((3 * WIN + LOSE) / 4)


def test_an_ensembles_loss_is_the_mean_over_members() -> None:
    rewards = torch.tensor([[D, 0.0], [0.0, D]])
    assert float(get_loss("bradley-terry")(rewards, Targets.of([pair()], "ensemble"))) == near((WIN + LOSE) / 2)


def test_members_see_each_group_with_a_weight_of_their_own() -> None:
    examples = [pair(), pair(0.0)]
    targets = Targets.of(examples, "ensemble", members=2, seed=1)
    assert targets.member_weight is not None
    assert torch.equal(targets.member_weight[0], targets.member_weight[1])  # one group
    again = Targets.of(examples[:1], "ensemble", members=2, seed=1).member_weight
    assert again is not None and torch.equal(again[0], targets.member_weight[0])
    rewards = torch.tensor([[D, 0.0], [0.0, D]])
    first, second = targets.member_weight[0].tolist()
    loss = float(get_loss("bradley-terry")(rewards, Targets.of(examples[:1], "ensemble", members=2, seed=1)))
    assert loss == near((first * WIN + second * LOSE) / 2)


def test_bootstrap_weights_have_mean_one() -> None:
    examples = [ranking(0, 1, group=str(at)) for at in range(400)]
    weights = Targets.of(examples, "ensemble", members=5, seed=0).member_weight
    assert weights is not None
    assert float(weights.mean()) == pytest.approx(1, abs=0.07)  # 2000 draws of deviation 1: three errors of 0.022
    assert float(weights.min()) > 0


def test_centring_and_l2() -> None:
    """r = (3, 1): (3 + 1)² = 16, (9 + 1)/2 = 5."""
    targets = Targets.of([pair()], "scalar")
    rewards = torch.tensor([[3.0], [1.0]])

    def nothing(rewards: Tensor, targets: Targets) -> Tensor:
        return rewards.sum() * 0

    assert float(with_regularizers(nothing, center_rewards=0.01)(rewards, targets)) == near(0.16)
    assert float(with_regularizers(nothing, l2=0.1)(rewards, targets)) == near(0.5)


def test_diversity_and_calibration() -> None:
    """Members say 3/4 and 1/4 of P(first): each is 1/4 from their mean; the label 1 is 1/4 and 3/4 away."""
    targets = Targets.of([pair()], "ensemble")
    rewards = torch.tensor([[D, 0.0], [0.0, D]])

    def nothing(rewards: Tensor, targets: Targets) -> Tensor:
        return rewards.sum() * 0

    assert float(with_regularizers(nothing, diversity=1.0)(rewards, targets)) == near(-1 / 16)
    assert float(with_regularizers(nothing, brier=1.0)(rewards, targets)) == near((1 / 16 + 9 / 16) / 2)


# ---- gradients and limits --------------------------------------------------------------------------------------------

PAIRED = [name for name in LOSSES if loss_reads(name) == "comparisons"]


@pytest.mark.parametrize("name", PAIRED)
def test_gradients_of_pairs_and_rankings(name: str) -> None:
    torch.manual_seed(0)
    examples = [pair(1.0, margin=2.0), pair(0.3, p_tie=0.2, margin=-1.0), pair(0.5, p_tie=1.0), ranking(2, 0, 3, of=4)]
    targets = Targets.of(examples, "ensemble", members=2, seed=3)
    rewards = torch.randn(10, 2, dtype=torch.float64, requires_grad=True)
    loss = get_loss(name)

    def total(rewards: Tensor) -> Tensor:
        return with_regularizers(loss, center_rewards=0.1, l2=0.1, diversity=0.1, brier=0.1)(rewards, targets)

    assert torch.autograd.gradcheck(total, rewards)


@pytest.mark.parametrize("arguments", [{}, {"q": 0.7}, {"smoothing": 0.1}])
def test_gradients_of_single_texts(arguments: dict[str, float]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    steps = Targets.of([solution((0.5, 0.3, 0.2), None, (0.0, 1.0, 0.0))], "process")
    assert torch.autograd.gradcheck(lambda z: get_loss("steps", **arguments)(z, steps), logits)
    outcomes = Targets.of([one(p_correct=p) for p in (0.0, 0.4, 1.0)], "outcome")
    rewards = torch.randn(3, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: get_loss("outcome", **arguments)(r, outcomes), rewards)
    scores = Targets.of([one(scores=({"": s},)) for s in (0.0, 0.4, 3.0)], "scalar")
    for delta in (0.0, 0.5):
        assert torch.autograd.gradcheck(lambda r, d=delta: get_loss("regression", delta=d)(r, scores), rewards)


@pytest.mark.parametrize("size", [0.0, 1e2, 1e4])
@pytest.mark.parametrize("name", PAIRED)
def test_nothing_overflows(name: str, size: float) -> None:
    """Rewards far apart, on the side of the label and against it: loss and gradient stay finite in fp32."""
    examples = [pair(1.0), pair(0.0), pair(0.5, p_tie=1.0), ranking(0, 1, 2), ranking(2, 1, 0)]
    rewards = torch.tensor([size, -size] * 3 + [size, 0.0, -size] * 2)[:, None].requires_grad_()
    loss = get_loss(name)(rewards, Targets.of(examples, "scalar"))
    loss.backward()
    assert rewards.grad is not None
    assert math.isfinite(loss.item()) and bool(rewards.grad.isfinite().all())


@pytest.mark.parametrize("name", PAIRED)
def test_a_swapped_pair_costs_the_same(name: str) -> None:
    assert value(name, [1.3, 0.2], pair(0.7, margin=1.0)) == near(value(name, [0.2, 1.3], pair(0.3, margin=-1.0)))


@pytest.mark.parametrize("name", PAIRED)
def test_a_common_shift_of_rewards_changes_nothing(name: str) -> None:
    examples = [pair(0.7), ranking(1, 0, 2)]
    here, there = ([shift + r for r in (1.3, 0.2, *THREE)] for shift in (0.0, 2.5))
    assert value(name, here, *examples) == pytest.approx(value(name, there, *examples), rel=1e-5)


def test_losses_are_taken_in_fp32() -> None:
    """In bf16, with 8 bits, log(1 + e^-6) = 0.002476 would be off in its third digit."""
    rewards = torch.tensor([[8.0], [2.0]], dtype=torch.bfloat16)
    loss = get_loss("bradley-terry")(rewards, Targets.of([pair()], "scalar"))
    assert loss.dtype == torch.float32
    assert loss.item() == near(math.log1p(math.exp(-6)))


# ---- what is refused -------------------------------------------------------------------------------------------------


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        act()
    return str(caught.value)


def test_names_and_values_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'focal'"):
        get_loss("focall")
    with pytest.raises(UnknownNameError, match="did you mean 'gamma'"):
        get_loss("focal", gama=1.0)
    assert refused(lambda: get_loss("focal", gamma="two")) == "loss focal, gamma: found 'two' (accepted: a number)"
    assert refused(lambda: get_loss("focal", gamma=-1.0)) == "gamma: found -1 (accepted: 0 or more)"
    assert "true or false" in refused(lambda: get_loss("bradley-terry", hard=1))
    assert "a whole number" in refused(lambda: get_loss("plackett-luce", top=1.5))


def test_a_loss_says_which_labels_it_lacks() -> None:
    assert "compare no responses" in refused(lambda: value("bradley-terry", [0.0], one(p_correct=1.0)))
    assert "rank no responses" in refused(lambda: value("plackett-luce", [0.0], one(p_correct=1.0)))
    assert "needs scores" in refused(lambda: value("regression", [0.0, 0.0], pair()))
    assert "needs P(correct)" in refused(lambda: value("outcome", [0.0, 0.0], pair()))
    assert "for each step" in refused(lambda: value("steps", [0.0, 0.0], pair()))


def test_kinds_and_losses_fit() -> None:
    assert "its own is step_cross_entropy" in refused(
        lambda: training_loss(RewardConfig.of(kind="process", loss="focal"))
    )
    assert "its own is bradley_terry" in refused(lambda: training_loss(RewardConfig.of(loss="steps")))
    for kind in ("scalar", "multi", "outcome", "process", "ensemble", "hierarchical"):
        training_loss(RewardConfig.of(kind=kind, center_rewards_coefficient=0.01))


def test_the_default_loss_goes_by_the_labels() -> None:
    def loss(example: Example, **settings: Any) -> str:
        labels = LabelSummary([example])
        return default_loss(RewardConfig.of(**settings), compared=labels.compared, outcomes=labels.outcomes)

    assert loss(pair()) == loss(ranking(1, 0, of=2)) == "bradley_terry"
    assert loss(one(scores=({"": 1.0},))) == "regression"
    assert loss(one(p_correct=1.0), kind="hierarchical") == "outcome_cross_entropy"
    assert loss(one(scores=({"": 1.0},)), loss="focal") == "focal"
    assert loss(solution((1.0, 0.0, 0.0)), kind="process") == "step_cross_entropy"


def test_targets_of_a_mixed_batch() -> None:
    """A pair's own soft label stands beside a ranking's order; reads are counted through."""
    targets = Targets.of([pair(0.7), ranking(2, 0, of=3)], "scalar")
    assert targets.groups.tolist() == [[0, 1, -1], [2, -1, 4]]
    assert targets.ranks is not None and targets.ranks.tolist() == [[0, 1, 3], [1, 3, 0]]
    pairs = targets.pairs(torch.arange(5.0)[:, None])
    assert pairs.difference[:, 0].tolist() == [-1, -2]
    assert pairs.p_first.tolist() == pytest.approx([0.7, 0.0])
