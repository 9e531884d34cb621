"""Shaping: each step by hand, their order, and what is said where an input is missing."""

import math
from typing import Any

import pytest

from judge.errors import ConfigError, InputError, UnknownNameError
from judge.records import HumanLabel, Message, Pair, Ranking, Response, Solution
from judge.rewards.inference.shaped import kls_of, shaped_numbers, truths_of
from judge.rewards.reward import Reward
from judge.rewards.shaping import Shaping, sequence_kl

PROMPT = (Message("user", "1 + 1?"),)
TWO, THREE = (Message("assistant", "2"),), (Message("assistant", "three"),)


def label(verdict: Any, criterion: str = "") -> tuple[HumanLabel, ...]:
    return (HumanLabel(annotator="truth", verdict=verdict, criterion=criterion),)


@pytest.mark.parametrize(
    ("shaping", "given", "value"),
    [
        (Shaping(), {}, 5.0),
        (Shaping(lower=2.0), {}, 4.0),  # 5 - 2 · 0.5
        (Shaping(normalize=(3.0, 4.0)), {}, 0.5),  # (5 - 3) / 4
        (Shaping(clip=(-1.0, 3.0)), {}, 3.0),
        (Shaping(clip=(6.0, 9.0)), {}, 6.0),
        (Shaping(truth_weight=0.25), {"truth": 1.0}, 4.0),  # 0.75 · 5 + 0.25 · 1
        (Shaping(truth_weight=1.0), {"truth": 0.0}, 0.0),
        (Shaping(length_penalty=0.01, length_target=100), {"length": 350}, 2.5),  # 5 - 0.01 · 250
        (Shaping(length_penalty=0.01, length_target=100), {"length": 80}, 5.0),  # short texts gain nothing
        (Shaping(kl_coefficient=0.1), {"kl": 12.0}, 3.8),  # 5 - 1.2
        (Shaping(kl_coefficient=0.1), {"kl": -2.0}, 5.2),  # a sample that the reference likes better
    ],
)
def test_each_step_by_hand(shaping: Shaping, given: dict[str, Any], value: float) -> None:
    assert shaping.shape(Reward(value=5.0, std=0.5), **given).value == pytest.approx(value)


def test_all_steps_in_their_order() -> None:
    shaping = Shaping(
        lower=1.0,
        normalize=(1.0, 2.0),
        clip=(-1.5, 1.5),
        truth_weight=0.5,
        length_penalty=0.1,
        length_target=10,
        kl_coefficient=0.25,
    )
    # 7 - 1 · 1 = 6; (6 - 1) / 2 = 2.5; clipped 1.5; 0.5 · 1.5 + 0.5 · 1 = 1.25; - 0.1 · 3 = 0.95; - 0.25 · 2 = 0.45.
    # In another order clipping would meet 6 or the truth, and the penalties would be scaled or clipped away.
    shaped = shaping.shape(Reward(value=7.0, std=1.0, members=(6.0, 8.0)), length=13, truth=1.0, kl=2.0)
    assert shaped.value == pytest.approx(0.45)
    assert shaped.std == pytest.approx(0.25)  # 1 / 2 · 0.5: in the units of the shaped reward
    assert shaped.lower == pytest.approx(0.2)
    assert shaped.members == (6.0, 8.0)


def test_a_reward_without_value_keeps_its_reason() -> None:
    shaped = Shaping(lower=1.0, clip=(0.0, 1.0)).shape(Reward(value=None, reason="too long"), length=3)
    assert shaped == Reward(value=None, reason="too long")


@pytest.mark.parametrize(
    ("shaping", "reason"),
    [
        (Shaping(lower=1.0), "lower needs a standard deviation"),
        (Shaping(truth_weight=0.1), "truth_weight needs a truth"),
        (Shaping(length_penalty=0.1), "length_penalty needs a length"),
        (Shaping(kl_coefficient=0.1), "kl_coefficient needs log-probabilities of policy and reference"),
    ],
)
def test_a_missing_input_leaves_no_reward(shaping: Shaping, reason: str) -> None:
    shaped = shaping.shape(Reward(value=1.0))
    assert shaped.value is None and shaped.reason == reason


def test_what_is_no_number_is_no_reward() -> None:
    assert Shaping().shape(Reward(value=math.nan)).reason == "the reward is nan"
    assert Shaping(clip=(0.0, 1.0)).shape(Reward(value=math.inf)).value is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lower": -1.0}, "lower is -1.0 .accepted: 0 and above"),
        ({"truth_weight": 1.5}, "truth_weight is 1.5 .accepted: 0 to 1"),
        ({"clip": (1.0, 1.0)}, "clip is 1.0:1.0 .accepted: LOW:HIGH, LOW below HIGH"),
        ({"clip": "3"}, "clip is '3' .accepted: LOW:HIGH"),
        ({"normalize": (0.0, 0.0)}, "normalize is .*accepted: true, or mean and deviation above 0"),
        ({"kl_coefficient": math.nan}, "kl_coefficient is nan"),
    ],
)
def test_numbers_out_of_range_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Shaping(**fields)


def test_a_mapping_names_the_fields() -> None:
    assert Shaping.of({"clip": "-3:3", "lower": 1.0}) == Shaping(clip=(-3.0, 3.0), lower=1.0)
    assert not Shaping.of(None) and not Shaping(length_target=5) and Shaping(length_penalty=0.1)
    with pytest.raises(UnknownNameError, match="did you mean 'kl_coefficient'"):
        Shaping.of({"kl_coeficient": 1})


def test_normalize_takes_the_sources_own_moments() -> None:
    class Source:
        name, version = "mine", "1"

        def score_batch(self, rows: Any) -> list[list[Reward]]:
            return [[Reward(value=1.0)] for _ in rows]

    class Calibrated(Source):
        reward_moments = (1.0, 4.0)

    assert Shaping(normalize=True).bound_to(Calibrated()).shape(Reward(value=3.0)).value == 0.5
    with pytest.raises(ConfigError, match="mine has no calibration data to normalize by"):
        Shaping(normalize=True).bound_to(Source())
    with pytest.raises(ConfigError, match="not bound to a source"):
        Shaping(normalize=True).shape(Reward(value=3.0))


def test_the_divergence_of_a_sample() -> None:
    assert sequence_kl([-1.0, -0.5], [-2.0, -0.25]) == pytest.approx(0.75)  # -1.5 - -2.25
    with pytest.raises(InputError, match="2 log-probabilities of the policy, 1 of the reference"):
        sequence_kl([-1.0, -2.0], [-1.0])


def test_truth_is_what_people_say() -> None:
    assert truths_of(Pair(prompt=PROMPT, first=TWO, second=THREE, human=label("first"))) == [1.0, 0.0]
    assert truths_of(Pair(prompt=PROMPT, first=TWO, second=THREE, human=label("tie"))) == [0.5, 0.5]
    assert truths_of(Pair(prompt=PROMPT, first=TWO, second=THREE)) == [None, None]
    assert truths_of(Response(prompt=PROMPT, response=TWO, human=label(1.0))) == [1.0]
    assert truths_of(Solution(prompt=PROMPT, steps=("2",), human=label(-1))) == [1.0]
    assert truths_of(Solution(prompt=PROMPT, steps=("3",), human=label(0))) == [0.0]
    ranking = Ranking(prompt=PROMPT, responses=(TWO, THREE), human=label((1,), "correct"))
    assert truths_of(ranking) == [0.0, 1.0]


def test_a_records_numbers_are_shaped_response_by_response() -> None:
    pair = Pair(prompt=PROMPT, first=TWO, second=THREE, human=label("second"))
    # Lengths 1 and 5, two free: 2 - 0 and 1 - 0.1 · 3; then half truth: 1 + 0 and (0.5 + 0.5) - 0.3.
    shown = shaped_numbers({"scores": [2.0, 1.0]}, pair, Shaping(truth_weight=0.5, length_penalty=0.1, length_target=2))
    assert shown == {"scores": [1.0, pytest.approx(0.7)], "unshaped": [2.0, 1.0]}
    missing = shaped_numbers({"scores": [2.0]}, Response(prompt=PROMPT, response=TWO), Shaping(kl_coefficient=1.0))
    assert missing["scores"] == [None] and "log-probabilities" in missing["reasons"][0]


def test_divergences_come_from_the_rows() -> None:
    meta: dict[str, Any] = {"logprobs": [-1.0, -1.0], "reference_logprobs": [-2.0, -1.5]}
    assert kls_of(Response(prompt=PROMPT, response=TWO, meta=meta)) == [1.5]
    pair = Pair(prompt=PROMPT, first=TWO, second=THREE, meta={"kl": [0.5, 2.0]})
    assert kls_of(pair) == [0.5, 2.0]
    assert kls_of(Pair(prompt=PROMPT, first=TWO, second=THREE)) == [None, None]
