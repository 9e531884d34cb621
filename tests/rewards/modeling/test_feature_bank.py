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


def test_a_text_that_comes_all_the_time_takes_few_places_of_a_surprising_memory() -> None:
    # Four hundred times the same direction, and every tenth feature one of forty others.
    common, rare = unit(0).repeat(400, 1), unit(*range(60, 180, 3))
    features = torch.cat([torch.cat([common[10 * k : 10 * k + 10], rare[k : k + 1]]) for k in range(40)])
    shares = {}
    for kind in ("reservoir", "surprising"):
        bank = FeatureBank(20, 2, 1, kind, seed=1)
        for row in features:
            bank.add(row[None], torch.zeros(1, 1))
        shares[kind] = float((bank.features[:, 0] < 0.9).float().mean())
    # An even sample has a share of 40 / 440, 0.09; with twenty places 0.09 ± 0.06.
    assert shares["reservoir"] < 0.3
    assert shares["surprising"] > 0.5
    assert "keys" in FeatureBank(4, 2, 1, "surprising").state_dict()
    assert "keys" not in FeatureBank(4, 2, 1, "fifo").state_dict()  # banks of earlier versions are read as they are


def test_keys_of_a_surprising_memory_are_weighed_by_distance() -> None:
    # The first feature meets an empty memory (distance 1), the second lies on the first (distance 0, taken as 1e-6).
    bank = FeatureBank(2, 2, 1, "surprising", neighbours=1)
    bank.add(unit(0), torch.zeros(1, 1))
    bank.add(unit(0), torch.zeros(1, 1))
    drawn = [float(torch.rand((), generator=torch.Generator().manual_seed(number))) for number in (0, 1)]
    assert float(bank.keys[0]) == pytest.approx(math.log(drawn[0]), rel=1e-4)
    assert float(bank.keys[1]) < 1e4 * math.log(drawn[1])
    bank.add(unit(180), torch.ones(1, 1))  # distance 2: it replaces the one that was no surprise
    assert bank.rewards.flatten().tolist() == [0.0, 1.0]


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
