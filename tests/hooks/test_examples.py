"""What the GRPO example measures, by hand."""

import runpy
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.tiny.arithmetic import parse, value
from tests.hooks.sources import Lengths

GRPO: dict[str, Any] = runpy.run_path(str(Path(__file__).resolve().parents[2] / "examples" / "grpo.py"))


def test_an_answer_is_true_when_the_last_one_stated_is() -> None:
    truth = GRPO["truth"]
    assert truth("p", "The answer is 3. No, the answer is -4", answer=-4) == 1.0
    assert truth("p", "The answer is -4. No, the answer is 3", answer=-4) == 0.0
    assert truth("p", "-4", answer=-4) == 0.0  # an answer that stops early states nothing


def test_problems_are_distinct_short_and_known() -> None:
    rows = list(GRPO["problems"](20, seed=3))
    assert len({row["problem"] for row in rows}) == 20
    for row in rows:
        assert value(parse(row["problem"].removesuffix(" ="))) == row["answer"]
        assert row["problem"] in row["prompt"][0]["content"]
    asked = {row["problem"] for row in GRPO["problems"](20, seed=3, held_out=True)}
    assert asked.isdisjoint(row["problem"] for row in rows)


def test_a_reward_that_likes_length() -> None:
    biased = GRPO["LengthBiased"](Lengths(), 0.5)
    (ranking,) = biased.score_batch([judge.from_row({"prompt": "p", "responses": ["a", "bbb"]})])
    assert [reward.value for reward in ranking] == [1.5, 4.5]  # length and half of it again


def test_points_gained_and_their_interval() -> None:
    runs = [{"before": [0.0, 0.0, 1.0, 1.0], "after": [1.0, 0.0, 1.0, 1.0]}, {"before": [0.0], "after": [1.0]}]
    figures = GRPO["gain"](runs)
    assert figures["gain"] == pytest.approx(100 * (0.25 + 1.0) / 2)
    assert figures["low"] >= 50.0 and figures["high"] <= 100.0  # the second seed gains in every draw
