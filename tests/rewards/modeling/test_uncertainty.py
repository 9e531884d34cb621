"""σ by hand: of members, of a posterior, of refitted layers and of masks."""

import math

import pytest
import torch
from torch import Tensor, nn

from judge.errors import ConfigError
from judge.rewards.config import RewardConfig
from judge.rewards.modeling.uncertainty import (
    Dropout,
    Members,
    Refit,
    Statements,
    fit_dropout,
    fit_laplace,
    fit_refit,
    from_state,
)

NO_HEAD = nn.Identity()


def statements(
    inputs: list[list[float]],
    labels: list[float],
    *,
    members: list[list[float]] | None = None,
    center: list[float] | None = None,
    noise: float | None = None,
) -> Statements:
    return Statements(
        torch.tensor(inputs),
        torch.tensor(labels),
        torch.ones(len(labels)),
        torch.tensor(members or [[1.0, 1.0]] * len(labels)),
        torch.tensor(center or [0.0] * len(inputs[0])),
        noise,
    )


def std(deviations: Tensor) -> list[float]:
    return deviations.norm(dim=-1).tolist()


def test_members_differ_by_their_standard_deviation() -> None:
    # 1, 2, 3: mean 2, variance (1 + 0 + 1) / 3. The second: all the same. Their difference: -1, 0, 1, variance 2/3.
    values = torch.tensor([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])
    deviations = Members().deviations(torch.zeros(2, 1), values, NO_HEAD)
    assert std(deviations) == pytest.approx([math.sqrt(2 / 3), 0.0])
    assert float((deviations[0] - deviations[1]).norm()) == pytest.approx(math.sqrt(2 / 3))


def test_what_both_members_and_texts_share_cancels_in_a_difference() -> None:
    values = torch.tensor([[1.0, 5.0], [2.0, 6.0]])  # the members are 4 apart, on both texts
    deviations = Members().deviations(torch.zeros(2, 1), values, NO_HEAD)
    assert std(deviations) == pytest.approx([2.0, 2.0])
    assert float((deviations[0] - deviations[1]).norm()) == pytest.approx(0.0)


def test_the_posterior_of_two_contradicting_pairs() -> None:
    # x = (1, 0) was once better and once not, so w = 0, p = 1/2, and the curvature is 2 · 1/4 = 1/2 along the first
    # axis and 0 along the second: σ(x) = x₁ / √(1/2 + λ) there, and x₂ / √λ here.
    laplace = fit_laplace(statements([[1.0, 0.0], [1.0, 0.0]], [1.0, 0.0]))
    precision = float(laplace.prior) ** -2
    found = std(laplace.deviations(torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.zeros(2, 1), NO_HEAD))
    assert found == pytest.approx([2 / math.sqrt(0.5 + precision), 3 / math.sqrt(precision)], rel=1e-5)


def test_the_posterior_of_scores_and_its_center() -> None:
    # Scores with noise 1/2: the curvature along the one axis is (1² + 3²) / (1/2) = 20. Centred at 1, x = 3 is 2 away.
    laplace = fit_laplace(statements([[1.0], [3.0]], [1.0, 3.0], noise=0.5, center=[1.0]))
    precision = float(laplace.prior) ** -2
    found = std(laplace.deviations(torch.tensor([[3.0], [1.0]]), torch.zeros(2, 1), NO_HEAD))
    assert found == pytest.approx([2 / math.sqrt(20 + precision), 0.0])


def test_the_prior_has_the_highest_evidence() -> None:
    # Scores y = 2 x with noise 1: log evidence = −½ Σ(y − wx)² − λ/2 w² − ½ log(1 + c/λ), c = Σx² = 8, w = 16/(8 + λ).
    # The fit chooses among mean curvature · 10^3 … 10^-4, and the mean curvature of one axis is c.
    inputs, labels = [[2.0], [2.0]], [4.0, 4.0]

    def evidence(precision: float) -> float:
        weight = 16 / (8 + precision)
        loss = 0.5 * 2 * (4 - 2 * weight) ** 2 + precision / 2 * weight**2
        return -loss - 0.5 * math.log1p(8 / precision)

    best = max((8 * 10.0**power for power in range(-4, 4)), key=evidence)
    laplace = fit_laplace(statements(inputs, labels, noise=1.0))
    assert float(laplace.prior) ** -2 == pytest.approx(best, rel=1e-5)


def test_refitted_layers_reach_the_optimum_of_their_own_weights() -> None:
    # Scores 1 and 0 at x = 1 with noise 1; weights (3, 1) and (1, 3): w = 3 / (4 + λ) and 1 / (4 + λ).
    # Half their difference is the standard deviation of two.
    members = [[3.0, 1.0], [1.0, 3.0]]
    given = statements([[1.0], [1.0]], [1.0, 0.0], members=members, noise=1.0)
    precision = float(fit_laplace(given).prior) ** -2
    refit = fit_refit(given)
    assert refit.weight.flatten().tolist() == pytest.approx([3 / (4 + precision), 1 / (4 + precision)], rel=1e-5)
    found = std(refit.deviations(torch.tensor([[2.0]]), torch.zeros(1, 1), NO_HEAD))
    assert found == pytest.approx([2 / (4 + precision)], rel=1e-5)


def test_a_logistic_refit_has_no_slope_left() -> None:
    drawn = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 3, generator=drawn)
    labels = (inputs @ torch.tensor([2.0, -1.0, 0.0]) + torch.randn(60, generator=drawn) > 0).float()
    members = torch.empty(60, 2).exponential_(generator=drawn)
    given = Statements(inputs, labels, torch.ones(60), members, torch.zeros(3))
    precision = float(fit_laplace(given).prior) ** -2
    for weight, member in zip(fit_refit(given).weight, members.T, strict=True):
        slope = inputs.T @ (member * (torch.sigmoid(inputs @ weight) - labels)) + precision * weight
        assert slope.abs().max() < 0.01


def test_masks_are_the_same_for_all_texts() -> None:
    # Under the masks (2, 0) and (0, 2) the sum of (1, 0) is 2 or 0: mean 1, deviation 1. Of (1, 1) it is always 2.
    head = nn.Linear(2, 1, bias=False)
    nn.init.ones_(head.weight)
    dropout = Dropout(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.zeros(2))
    with torch.no_grad():
        found = dropout.deviations(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.zeros(2, 1), head)
    assert std(found) == pytest.approx([1.0, 0.0])


def test_the_level_of_a_mask_is_no_deviation() -> None:
    head = nn.Linear(8, 1, bias=False)
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    dropout = fit_dropout(features, head, 0.25, seed=0)
    with torch.no_grad():
        deviations = dropout.deviations(features, torch.zeros(5, 1), head)
    assert deviations.mean(0).abs().max() < 1e-6
    assert 0.1 < float((dropout.masks == 0).float().mean()) < 0.4
    assert dropout.masks.max() == pytest.approx(1 / 0.75)


def test_a_method_comes_back_from_its_buffers() -> None:
    refit = Refit(torch.ones(2), torch.randn(3, 2))
    again = from_state("refit", refit.state_dict())
    features = torch.randn(4, 2)
    assert torch.equal(
        again.deviations(features, torch.zeros(4, 1), NO_HEAD), refit.deviations(features, torch.zeros(4, 1), NO_HEAD)
    )
    with pytest.raises(ConfigError, match="uncertainty laplace with the weights center, weight"):
        from_state("laplace", refit.state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"uncertainty": "members"}, "needs kind ensemble, not scalar"),
        ({"uncertainty": "laplace", "kind": "process"}, "kind process says a verdict a step"),
        ({"uncertainty": "laplace", "kind": "multi", "gated": True}, "a gate weighs text by text"),
        ({"uncertainty": "dropout", "kind": "hierarchical"}, "dropout needs head linear or mlp"),
        ({"uncertainty": "laplce"}, "did you mean 'laplace'"),
    ],
)
def test_methods_that_do_not_fit_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardConfig.of(**settings)


def test_a_method_is_chosen_by_the_kind() -> None:
    def chosen(**settings: object) -> str:
        return RewardConfig.of(**settings).model.uncertainty_method

    assert chosen() == chosen(kind="ensemble") == chosen(kind="multi") == "laplace"
    assert chosen(kind="ensemble", member_kind="adapters", lora_rank=2) == "members"
    assert chosen(kind="process") == chosen(kind="multi", gated=True) == "none"
    # A saved model that names no method is of an earlier version.
    assert RewardConfig.of(kind="ensemble").model.saved_uncertainty == "members"
    assert RewardConfig.of().model.saved_uncertainty == "none"
