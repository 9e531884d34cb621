"""The population stability index by hand, its alarm, and where it stands: log, figures, readiness."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from judge.rewards.reward import Reward
from judge.serving import create_app
from judge.serving.drift import MIN_REWARDS, WINDOW, DriftMonitor, psi
from tests.serving.conftest import Live
from tests.serving.sources import Letters, texts_of

DECILES = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]


def test_the_index_by_hand() -> None:
    # (0.7 - 0.5) ln(0.7 / 0.5) + (0.3 - 0.5) ln(0.3 / 0.5) = 0.2 · 0.336472 + 0.2 · 0.510826
    assert psi([0.5, 0.5], [0.7, 0.3], 100) == pytest.approx(0.169460, abs=1e-6)
    assert psi([0.5, 0.5], [0.5, 0.5], 100) == 0
    # an empty bin of 100 rewards counts as 0.005: 0.5 ln 2 + (0.005 - 0.5) ln(0.01)
    assert psi([0.5, 0.5], [1.0, 0.0], 100) == pytest.approx(0.5 * math.log(2) - 0.495 * math.log(0.01))


def test_rewards_as_in_training_raise_no_alarm_and_others_do() -> None:
    monitor = DriftMonitor(DECILES)
    monitor.observe(float(number % 100) for number in range(MIN_REWARDS - 1))
    assert monitor.index is None
    monitor.observe([99.0])
    # 11 of every 100 lie at or below 10 (0 to 10), 9 above 90: 0.01 ln 1.1 + (-0.01) ln 0.9
    assert monitor.index == pytest.approx(0.01 * math.log(1.1) - 0.01 * math.log(0.9))
    assert not monitor.alarmed
    monitor.observe([95.0] * WINDOW)  # all that the window holds
    floor = 0.5 / WINDOW
    assert monitor.index == pytest.approx(0.9 * math.log(10) + 9 * (floor - 0.1) * math.log(floor / 0.1))
    assert monitor.alarmed


def test_deciles_that_fall_together_are_one_bin() -> None:
    """Scores 1 to 3 of a judge: 40 % are 1, 30 % are 2, 30 % are 3."""
    monitor = DriftMonitor([1, 1, 1, 1, 2, 2, 2, 3, 3])
    monitor.observe([1.0] * 80 + [2.0] * 60 + [3.0] * 60)
    # bins: at most 1 (0.4), at most 2 (0.3), at most 3 (0.2), above 3 (0.1): the deciles do not reach the maximum
    floor = 0.5 / 200
    expected = 0.1 * math.log(1.5) + (floor - 0.1) * math.log(floor / 0.1)
    assert monitor.index == pytest.approx(expected)


def test_without_deciles_the_first_rewards_are_the_reference() -> None:
    monitor = DriftMonitor()
    monitor.observe(float(number % 100) for number in range(WINDOW))
    assert (monitor.index, monitor.to_dict()["reference"]) == (None, "first rewards served")
    monitor.observe(float(number % 100) for number in range(1000))
    assert monitor.index == pytest.approx(0, abs=0.001)
    monitor.observe([500.0] * WINDOW)
    assert monitor.alarmed


class Drifting(Letters):
    deciles = DECILES

    def score_batch(self, rows):  # type: ignore[no-untyped-def]
        return [[Reward(value=float(text)) for text in texts_of(row)] for row in rows]


def test_an_alarm_stands_in_readiness_figures_and_log(
    live: Callable[..., Live], log_lines: list[dict[str, Any]]
) -> None:
    server = live(create_app(Drifting("moved")))
    server.ask("/score", {"responses": [f"{number}" for number in range(100)] * 3})
    assert server.ask("/ready").body["drifting"] == []
    server.ask("/score", {"responses": [f"95.{number}" for number in range(700)]})
    ready = server.ask("/ready").body
    assert ready["drifting"] == ["moved"]
    assert ready["models"][0]["drift"]["psi"] > 0.25
    assert ready["models"][0]["drift"]["reference"] == "training"
    assert 'rmjudge_drift_alarm{model="moved"} 1.0' in server.ask("/metrics").body
    (alarm,) = [line for line in log_lines if line["event"] == "drift"]
    assert (alarm["level"], alarm["model"], alarm["alarm"]) == ("warning", "moved", True)
