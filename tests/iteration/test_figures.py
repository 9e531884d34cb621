"""The figures of a round by hand, and when an iteration stops."""

from pathlib import Path

import pytest

from judge.iteration.answers import Answered, key_of, true_labels, unlabelled
from judge.iteration.chart import draw
from judge.iteration.config import IterationConfig
from judge.iteration.figures import RoundFigures, agreement, figures_of
from judge.iteration.iterate import _Loop
from judge.records import Message, Response, Solution

PROMPT = (Message("user", "1 + 1 ="),)


def test_a_round_by_hand() -> None:
    rewards = [[0.9, 0.2, None], [0.4, 0.4, 0.1]]
    truths = [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
    figures = figures_of(1, rewards, truths, probabilities=True)
    assert figures.truth == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert figures.best_of == 0.5  # the first prompt's pick is wrong, the second's first of two equal ones right
    assert figures.any_of == 1.0
    # Pairs that differ and have rewards: 0.2 against 0.9 lost; 0.4 against 0.4 a half; 0.4 against 0.1 won.
    assert figures.agreement == pytest.approx(1.5 / 3)
    assert figures.reward == pytest.approx((0.9 + 0.2 + 0.4 + 0.4 + 0.1) / 5)
    assert figures.gap == pytest.approx((0.9 + 0.4) / 2 - 0.5)
    assert figures.without_reward == 1
    assert figures.best_of_low == 0.0 and figures.best_of_high == 1.0


def test_what_cannot_be_said_is_none() -> None:
    assert agreement([[1.0, 2.0]], [[1.0, 1.0]]) is None
    nothing = figures_of(0, [[None, None]], [[0.0, 1.0]], probabilities=True)
    assert nothing.agreement is None and nothing.reward is None and nothing.gap is None
    assert figures_of(0, [[3.0, 5.0]], [[0.0, 1.0]], probabilities=False).gap is None


def row(number: int, *, best_of: float, agreement: float | None) -> RoundFigures:
    rest = {"truth": 0.5, "best_of_low": 0.0, "best_of_high": 1.0, "any_of": 1.0, "reward": 0.5, "gap": 0.1}
    return RoundFigures(round=number, best_of=best_of, agreement=agreement, without_reward=0, **rest)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ((0.6, 0.8), (0.7, 0.78), ""),
        ((0.6, 0.8), (0.7, 0.74), "held-out agreement of reward and truth fell from 0.800 to 0.740 in round 1"),
        ((0.6, 0.8), (0.54, 0.9), "held-out truth of best of 8 fell from 0.600 to 0.540 in round 1, more than 0.05"),
        ((0.6, None), (0.6, None), ""),
    ],
)
def test_it_stops_when_held_out_figures_fall(
    before: tuple[float, float | None], after: tuple[float, float | None], reason: str, tmp_path: Path
) -> None:
    loop = _Loop(tmp_path, IterationConfig(policy="p", labels="truth"), (), [], [])
    rows = [row(place, best_of=best, agreement=share) for place, (best, share) in enumerate((before, after))]
    said = loop._fell(rows)
    assert said.startswith(reason) and bool(said) == bool(reason)


def test_the_chart_is_an_svg(tmp_path: Path) -> None:
    draw([row(0, best_of=0.5, agreement=0.7), row(1, best_of=0.6, agreement=None)], tmp_path / "chart.svg", n=8)
    assert (tmp_path / "chart.svg").read_text().lstrip().startswith("<?xml")


ANSWERED = Answered(
    prompt=PROMPT, reference="2", answers=("So the answer is 2.", "So the answer is 3.", "", "So the answer is 2.")
)


def test_truths_by_the_reference() -> None:
    assert ANSWERED.truths() == [1.0, 0.0, 0.0, 1.0]
    assert Answered(prompt=PROMPT, answers=("2", "")).truths() == [None, None]


def test_rows_to_label_are_distinct_and_hide_the_reference() -> None:
    prompt = [{"role": "user", "content": "1 + 1 ="}]
    rows = unlabelled([ANSWERED], "outcome")
    assert rows == [
        {"prompt": prompt, "response": "So the answer is 2."},
        {"prompt": prompt, "response": "So the answer is 3."},
    ]
    assert unlabelled([Answered(prompt=PROMPT, answers=("a\n\nb",))], "process")[0]["steps"] == ["a", "b"]


def test_labels_by_the_truth() -> None:
    outcomes = true_labels([ANSWERED], "outcome")
    assert [line["human"][0]["verdict"] for line in outcomes] == [1.0, 0.0]
    (pair,) = true_labels([ANSWERED], "scalar")
    assert (pair["first"], pair["second"]) == ("So the answer is 2.", "So the answer is 3.")


def test_an_answer_and_its_steps_have_one_key() -> None:
    response = Response(prompt=PROMPT, response=(Message("assistant", "a\n\nb"),))
    assert key_of(response) == key_of(Solution(prompt=PROMPT, steps=("a", "b")))
