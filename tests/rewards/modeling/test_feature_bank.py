"""The feature bank by hand: what stays, what is near, how a reward is drawn."""

import math

import pytest
import torch

from judge.errors import UnknownNameError
from judge.rewards.modeling.feature_bank import FeatureBank


def unit(*degrees: float) -> torch.Tensor:
    return torch.tensor([[math.cos(math.radians(one)), math.sin(math.radians(one))] for one in degrees])


def test_fifo_keeps_the_last() -> None:
    bank = FeatureBank(2, 2, 1, "fifo")
    bank.add(unit(0, 30, 60), torch.tensor([[1.0], [2.0], [3.0]]))
    assert bank.filled == 2
    assert bank.rewards.flatten().tolist() == [3.0, 2.0]


def test_reservoir_keeps_an_even_sample() -> None:
    bank = FeatureBank(200, 1, 1, "reservoir", seed=3)
    rewards = torch.arange(2000.0)[:, None]
    bank.add(torch.ones(2000, 1), rewards)
    kept = bank.rewards.flatten()
    assert len(kept.unique()) == 200
    assert abs(float(kept.mean()) - 1000) < 3 * 577 / math.sqrt(200)  # sd of a uniform draw of 0..1999 is 577
    again = FeatureBank(200, 1, 1, "reservoir", seed=3)
    again.add(torch.ones(1000, 1), rewards[:1000])
    resumed = FeatureBank(200, 1, 1, "reservoir", seed=3)
    resumed.load_state_dict(again.state_dict())
    resumed.add(torch.ones(1000, 1), rewards[1000:])
    assert torch.equal(resumed.rewards, bank.rewards)


def test_distance_and_neighbours_rewards() -> None:
    bank = FeatureBank(4, 2, 1, neighbours=2, temperature=1.0, share=0.5)
    bank.add(10 * unit(0, 60, 180), torch.tensor([[1.0], [3.0], [100.0]]))
    near = bank.nearest(7 * unit(0))
    assert float(near.distance) == pytest.approx(1 - (1 + 0.5) / 2)
    weights = [math.exp(1.0), math.exp(0.5)]
    wanted = (weights[0] * 1 + weights[1] * 3) / sum(weights)
    assert float(near.rewards) == pytest.approx(wanted)
    adjusted, distance = bank.adjust(torch.tensor([[5.0]]), unit(0))
    weight = 0.5 * 0.75
    assert float(adjusted) == pytest.approx((1 - weight) * 5 + weight * wanted)
    assert float(distance) == pytest.approx(0.25)


def test_far_from_everything_nothing_is_changed() -> None:
    bank = FeatureBank(4, 2, 1, neighbours=1)
    bank.add(unit(180), torch.tensor([[9.0]]))
    adjusted, distance = bank.adjust(torch.tensor([[5.0]]), unit(0))
    assert float(adjusted) == 5.0 and float(distance) == pytest.approx(2.0)


def test_an_empty_bank_knows_nothing() -> None:
    adjusted, distance = FeatureBank(4, 2, 3).adjust(torch.ones(2, 3), unit(0, 90))
    assert torch.equal(adjusted, torch.ones(2, 3)) and distance.tolist() == [1.0, 1.0]


def test_a_row_is_judged_whatever_the_batch() -> None:
    bank = FeatureBank(16, 2, 1)
    bank.add(unit(*range(0, 160, 10)), torch.arange(16.0)[:, None])
    together = bank.adjust(torch.zeros(3, 1), unit(3, 44, 95))[0]
    alone = torch.cat([bank.adjust(torch.zeros(1, 1), unit(one))[0] for one in (3, 44, 95)])
    torch.testing.assert_close(together, alone)


def test_an_unknown_bank_is_named() -> None:
    with pytest.raises(UnknownNameError, match="reservoir"):
        FeatureBank(4, 2, 1, "resevoir")
