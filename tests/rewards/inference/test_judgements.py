"""From numbers to judgements, by hand; and best of n."""

import math
from typing import Any

import pytest

from judge.errors import ConfigError, InputError, UnknownNameError
from judge.judgements import Order, Outcome, Preference, Score, Steps, readable
from judge.records import Message, Pair, Ranking, Record, Response, Solution
from judge.rewards.config import RewardConfig
from judge.rewards.inference.best_of_n import best_of
from judge.rewards.inference.judgements import (
    AGGREGATIONS,
    RawReward,
    Rule,
    Uncalibrated,
    judged,
    logit,
    sigmoid,
    task_of,
    unreadable,
)

PROMPT = (Message("user", "1 + 1?"),)
TWO, THREE = (Message("assistant", "2"),), (Message("assistant", "3"),)
PAIR = Pair(prompt=PROMPT, first=TWO, second=THREE)
RANKING = Ranking(prompt=PROMPT, responses=(TWO, THREE, (Message("assistant", "two"),)))
RESPONSE = Response(prompt=PROMPT, response=TWO)
SOLUTION = Solution(prompt=PROMPT, steps=("1 + 1 = 2", "so 3"))


def one(*values: float, reward: float | None = None, **more: Any) -> list[RawReward]:
    return [RawReward(values, values[0] if reward is None else reward, **more)]


def said(record: Record, reads: list[list[RawReward]], rule: Rule | None = None, **config: Any) -> Any:
    return judged(record, reads, RewardConfig.of(**config), rule or Rule(), Uncalibrated())


@pytest.mark.parametrize(
    ("first", "second", "verdict", "p"),
    [(math.log(3), 0.0, "first", 0.75), (-1.0, -1.0 + math.log(4), "second", 0.2), (2.0, 2.0, "tie", 0.5)],
)
def test_a_pair_is_the_sigmoid_of_the_difference(first: float, second: float, verdict: str, p: float) -> None:
    judgement, numbers = said(PAIR, [one(first), one(second)])
    assert isinstance(judgement, Preference)
    assert judgement.verdict == verdict and judgement.p_first == pytest.approx(p)
    assert numbers == {"scores": [first, second]}


def test_a_ranking_is_sorted_and_its_strengths_have_mean_zero() -> None:
    judgement, _ = said(RANKING, [one(1.0), one(4.0), one(-2.0)])
    assert isinstance(judgement, Order)
    assert judgement.verdict == (1, 0, 2)
    assert judgement.strengths == pytest.approx((0.0, 3.0, -3.0))


def test_calibration_reaches_every_verdict() -> None:
    class Halved(Uncalibrated):
        def pair(self, difference: float) -> float:
            return sigmoid(difference / 2)

        def outcome(self, logit: float) -> float:
            return sigmoid(logit / 2)

    config, reads = RewardConfig.of(), [one(2 * math.log(3)), one(0.0)]
    assert judged(PAIR, reads, config, Rule(), Halved()).judgement.p_first == pytest.approx(0.75)  # type: ignore[union-attr]
    order = judged(RANKING, [*reads, one(0.0)], config, Rule(), Halved()).judgement
    assert isinstance(order, Order) and order.strengths
    assert order.strengths[0] - order.strengths[1] == pytest.approx(math.log(3))
    outcome = judged(RESPONSE, reads[:1], RewardConfig.of(kind="outcome"), Rule(), Halved()).judgement
    assert isinstance(outcome, Outcome) and outcome.p_correct == pytest.approx(0.75)


def test_an_ensemble_has_mean_spread_and_a_lower_bound() -> None:
    # Members 1, 2, 3: mean 2, variance ((1)² + 0 + (1)²) / 3 = 2/3. The second: mean 1.5, all the same. The members of
    # the difference are -0.5, 0.5, 1.5, so its variance is 2/3 too.
    std = math.sqrt(2 / 3)
    reads = [
        one(1.0, 2.0, 3.0, reward=2.0, std=std, difference_std=(0.0, std)),
        one(1.5, 1.5, 1.5, reward=1.5, std=0.0, difference_std=(std, 0.0)),
    ]
    judgement, numbers = said(PAIR, reads, kind="ensemble", members=3)
    assert judgement.verdict == "first"
    assert numbers["mean"] == [2.0, 1.5] and numbers["std"] == pytest.approx([math.sqrt(2 / 3), 0.0])
    assert numbers["members"] == [[1.0, 2.0, 3.0], [1.5, 1.5, 1.5]]
    assert [reading.verdict for reading in judgement.readings] == ["second", "first", "first"]
    assert judgement.readings[0].probabilities["first"] == pytest.approx(sigmoid(-0.5))
    # With one σ taken off, 2 - 0.816 = 1.18 falls below 1.5.
    lower, numbers = said(PAIR, reads, Rule(lower=1.0), kind="ensemble", members=3)
    assert lower.verdict == "second"
    assert numbers["scores"] == pytest.approx([2 - math.sqrt(2 / 3), 1.5])
    assert numbers["difference_std"] == std


def test_a_scalar_model_has_a_lower_bound_too() -> None:
    # 1 - 2 · 0.4 = 0.2 falls below 0.5 - 2 · 0.1 = 0.3.
    reads = [one(1.0, std=0.4, difference_std=(0.0, 0.3)), one(0.5, std=0.1, difference_std=(0.3, 0.0))]
    lower, numbers = said(PAIR, reads, Rule(lower=2.0), uncertainty="laplace")
    assert lower.verdict == "second"
    assert numbers == {
        "scores": pytest.approx([0.2, 0.3]),
        "mean": [1.0, 0.5],
        "std": [0.4, 0.1],
        "difference_std": 0.3,
    }


def test_normalized_scores_have_the_calibrations_mean_and_scale_and_the_same_verdict() -> None:
    class Moved(Uncalibrated):
        mean, scale = 3.0, 2.0

    reads = [one(7.0, std=1.0, difference_std=(0.0, 0.5)), one(3.0, std=1.0, difference_std=(0.5, 0.0))]
    plain = judged(PAIR, reads, RewardConfig.of(), Rule(), Moved())
    shown = judged(PAIR, reads, RewardConfig.of(), Rule(normalize=True), Moved())
    assert shown.judgement == plain.judgement
    assert shown.numbers == {"scores": [2.0, 0.0], "mean": [2.0, 0.0], "std": [0.5, 0.5], "difference_std": 0.25}
    single = judged(RESPONSE, reads[:1], RewardConfig.of(), Rule(normalize=True), Moved()).judgement
    assert isinstance(single, Score) and single.verdict == {"": 2.0}


def test_objectives_are_scores_beside_their_combination() -> None:
    judgement, numbers = said(RESPONSE, [one(3.0, 1.0, reward=1.5)], kind="multi", objectives=("kind", "true"))
    assert isinstance(judgement, Score) and readable(judgement)
    assert judgement.verdict == {"": 1.5, "kind": 3.0, "true": 1.0}
    assert numbers["objectives"] == [{"kind": 3.0, "true": 1.0}]


def test_levels_and_novelty_travel_along() -> None:
    _, numbers = said(RESPONSE, [one(1.0, levels=(0.1, 0.2, 0.3), novelty=0.7)], kind="hierarchical")
    assert numbers == {
        "scores": [1.0],
        "levels": [{"token": 0.1, "segment": 0.2, "response": 0.3}],
        "novelty": [0.7],
    }


# -- steps ------------------------------------------------------------------------------------------------------------

# softmax(0, 0) is half; softmax(log 3, 0) is 3/4 right; softmax(0, log 4) is 1/5 right.
STEPS = [[RawReward((math.log(3), 0.0), 0.0), RawReward((0.0, math.log(4)), 0.0)]]


def test_steps_have_a_verdict_each_and_the_first_wrong_one() -> None:
    judgement, numbers = said(SOLUTION, STEPS, kind="process")
    assert isinstance(judgement, Steps) and readable(judgement)
    assert judgement.verdict == ("right", "wrong") and judgement.first_wrong == 1
    assert judgement.p_right == pytest.approx((0.75, 0.2))
    assert numbers["scores"] == pytest.approx([0.2])


def test_a_neutral_step_is_no_mistake() -> None:
    reads = [
        [RawReward((0.0, 0.0, math.log(2)), 0.0), RawReward((math.log(8), 0.0, 0.0), 0.0)]
    ]  # 1/4 1/4 1/2; 8/10 1/10 1/10
    judgement, _ = said(SOLUTION, reads, kind="process", classes=3)
    assert judgement.verdict == ("neutral", "right") and judgement.first_wrong == -1
    assert judgement.p_right == pytest.approx((0.75, 0.9))


@pytest.mark.parametrize(("name", "p"), [("min", 0.2), ("product", 0.15), ("last", 0.2), ("mean", 0.475)])
def test_steps_become_one_number(name: str, p: float) -> None:
    judgement, _ = said(SOLUTION, STEPS, Rule(aggregation=name, whole=True), kind="process")
    assert isinstance(judgement, Outcome)
    assert judgement.p_correct == pytest.approx(p)
    assert AGGREGATIONS[name]([0.75, 0.2]) == pytest.approx(p)


def test_a_process_model_prefers_what_is_likelier_to_be_the_right_one_of_two() -> None:
    # p1 = 3/4, p2 = 1/5: (3/4 · 4/5) / (3/4 · 4/5 + 1/5 · 1/4) = 0.6 / 0.65.
    judgement, _ = said(PAIR, [STEPS[0][:1], STEPS[0][1:]], kind="process")
    assert judgement.p_first == pytest.approx(0.6 / 0.65)


def test_sigmoid_and_logit_do_not_overflow() -> None:
    assert sigmoid(1000.0) == 1.0 and sigmoid(-1000.0) == 0.0
    assert math.isfinite(logit(0.0)) and logit(0.0) == pytest.approx(-logit(1.0), rel=1e-3)
    assert logit(sigmoid(2.5)) == pytest.approx(2.5)


# -- which task, and what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "kind", "whole", "task"),
    [
        (PAIR, "scalar", False, "preference"),
        (PAIR, "process", False, "preference"),
        (RANKING, "outcome", False, "ranking"),
        (RESPONSE, "scalar", False, "score"),
        (RESPONSE, "process", False, "outcome"),
        (SOLUTION, "ensemble", False, "score"),
        (SOLUTION, "outcome", False, "outcome"),
        (SOLUTION, "process", False, "steps"),
        (SOLUTION, "process", True, "outcome"),
        (Pair(prompt=(), first=(), second=(), meta={"key": "x"}), "scalar", False, ""),
        (Solution(prompt=PROMPT, steps=()), "process", False, ""),
    ],
)
def test_the_task_follows_from_record_and_model(record: Record, kind: str, whole: bool, task: str) -> None:
    assert task_of(record, RewardConfig.of(kind=kind), Rule(whole=whole)) == task


@pytest.mark.parametrize("record", [PAIR, RANKING, RESPONSE, SOLUTION])
@pytest.mark.parametrize("kind", ["scalar", "outcome", "process"])
def test_what_was_too_long_is_unreadable_with_its_reason(record: Record, kind: str) -> None:
    judgement = unreadable(task_of(record, RewardConfig.of(kind=kind), Rule()), "too long", record)
    assert judgement.reason == "too long" and not readable(judgement)


def test_rules_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'product'"):
        Rule(aggregation="produkt").check(RewardConfig.of(kind="process"))
    with pytest.raises(ConfigError, match="steps are aggregated of a process model; this one is scalar"):
        Rule(aggregation="min", whole=True).check(RewardConfig.of())
    with pytest.raises(ConfigError, match="a lower bound needs an uncertainty; this model of kind scalar has none"):
        Rule(lower=1.0).check(RewardConfig.of())
    Rule(lower=1.0).check(RewardConfig.of(kind="ensemble"))
    Rule(lower=1.0).check(RewardConfig.of(uncertainty="refit"))
    with pytest.raises(ConfigError, match="normalize needs the mean and scale of a calibration"):
        Rule(normalize=True).check(RewardConfig.of(), calibrated=False)
    with pytest.raises(ConfigError, match="a process model's scores are probabilities"):
        Rule(normalize=True).check(RewardConfig.of(kind="process"))


# -- best of n --------------------------------------------------------------------------------------------------------


def turns(text: str, role: str = "assistant") -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def scored(kind: str, prompt: str, scores: list[float], **body: Any) -> dict[str, Any]:
    return {"id": "x", "kind": kind, "prompt": turns(prompt, "user"), **body, "meta": {"reward": {"scores": scores}}}


def test_the_best_response_to_each_prompt_is_found_across_rows() -> None:
    rows = [
        scored("response", "q", [0.5], response=turns("a")),
        scored("ranking", "p", [1.0, 3.0, 2.5], responses=[turns("x"), turns("y"), turns("z")]),
        scored("pair", "q", [0.25, 2.0], first=turns("b"), second=turns("c")),
        scored("response", "q", [0.5], response=turns("a")),  # a second time: counts once
        scored("solution", "s", [0.9], steps=["1", "2"]),
    ]
    found = list(best_of(rows))
    assert [row["completion"] for row in found] == [turns("c"), turns("y"), turns("1\n2")]
    assert [row["of"] for row in found] == [3, 3, 1]
    assert [row["reward"] for row in found] == [2.0, 3.0, 0.9]
    assert [row["margin"] for row in found] == [1.5, 0.5, None]
    assert found[0]["prompt"] == turns("q", "user")


def test_rows_of_a_judge_have_no_scores_to_choose_by() -> None:
    with pytest.raises(InputError, match="no scores in its meta"):
        list(best_of([{"id": "x", "kind": "response", "prompt": [], "response": turns("a"), "meta": {}}]))
