"""A judge as a source of rewards: what a value is made of, what cannot be read, and what stays open."""

import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import judge
from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError, InputError, UnknownNameError
from judge.jobs.rewards.judge_reward import ALONE, EMPTY, JudgeReward, _rewards, reward_tasks
from judge.judgements import Score
from judge.records import Message, Pair, Ranking, Response, Solution
from tests.tasks.support import said

QUESTION = (Message("user", "How long?"),)


class Engine(ScriptedEngine):
    """Counts how often it is closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


def engine(answer: Callable[[Request], Completion | str]) -> Engine:
    return Engine(answer, name="test")


def shares(request: Request, weights: Sequence[float]) -> Completion:
    """A choice with these probabilities, in the order of the choices."""
    logprobs = {choice: math.log(weight) for choice, weight in zip(request.choices, weights, strict=True)}
    return Completion(text=max(logprobs, key=lambda choice: logprobs[choice]), logprobs=logprobs)


def ranking(*texts: str) -> Ranking:
    return Ranking(prompt=QUESTION, responses=tuple(map(said, texts)))


def test_a_score_is_the_mean_of_the_scale() -> None:
    source = JudgeReward(engine(lambda request: shares(request, (0.1, 0.2, 0.7))), prompt="verdict", low=1, high=3)
    ((first, second), (third,)) = source.score_batch([ranking("a", "b"), Response(prompt=QUESTION, response=said("c"))])
    assert first.value == pytest.approx(2.6)  # 1 × 0.1 + 2 × 0.2 + 3 × 0.7
    assert (second.value, third.value) == (first.value, first.value)
    assert first.objectives is None
    assert source.counts.calls == 3


def test_a_checklist_is_the_mean_of_its_points() -> None:
    def answer(request: Request) -> Completion:
        return shares(request, (0.2, 0.8) if "polite" in request.messages[-1].content else (0.6, 0.4))

    source = JudgeReward(engine(answer), prompt="verdict", criterion=["polite=says please", "short"], low=0, high=1)
    ((reward,),) = source.score_batch([("How long?", "a")])
    assert reward.objectives == pytest.approx({"polite": 0.8, "short": 0.4})
    assert reward.value == pytest.approx(0.6)


def test_an_outcome_is_the_probability_of_right() -> None:
    source = JudgeReward(engine(lambda request: shares(request, (0.9, 0.1))), task="outcome", prompt="verdict")
    ((reward,),) = source.score_batch([{"prompt": "How long?", "response": "a"}])
    assert reward.value == reward.probability == pytest.approx(0.9)


def test_steps_are_right_together() -> None:
    def answer(request: Request) -> Completion:
        asked = request.key.split("/")[1]
        return shares(request, {"step 1": (0.8, 0.1, 0.1), "step 2": (0.3, 0.5, 0.2)}[asked])  # right, wrong, neutral

    source = JudgeReward(engine(answer), task="steps", prompt="verdict")
    rows = [("How long?", "a\n\nb"), Solution(prompt=QUESTION, steps=("a", "b")), ranking("a\nb", "a\nb\n")]
    for rewards in source.score_batch(rows):
        for reward in rewards:
            assert reward.steps == pytest.approx((0.9, 0.5))
            assert reward.value == pytest.approx(0.45)


def longer(request: Request) -> Completion | str:
    texts = [line.strip() for line in request.messages[-1].content.splitlines() if set(line.strip()) == {"x"}]
    if len(texts) != 2:
        return Completion(text="?")
    return "[[A]]" if len(texts[0]) > len(texts[1]) else "[[B]]"


def test_a_tournament_of_a_ranking_and_of_rows_with_one_prompt() -> None:
    source = JudgeReward(engine(longer), task="tournament", hard=True, tournament="full")
    together, *alone = source.score_batch(
        [ranking("xx", "xxxx", "x"), *[Response(prompt=QUESTION, response=said(text)) for text in ("xx", "xxxx", "x")]]
    )
    values = [float(reward) for reward in together]
    assert values[1] > values[0] > values[2]
    assert sum(values) == pytest.approx(0, abs=1e-9)
    assert [float(reward) for (reward,) in alone] == pytest.approx(values)


def test_a_tournament_needs_two_and_takes_the_same_text_once() -> None:
    source = JudgeReward(engine(longer), task="tournament", hard=True)
    other = (Message("user", "Other?"),)
    alone, same, double = source.score_batch(
        [Response(prompt=other, response=said("x")), ranking("xx", "xx"), ranking("x", "xx", "x")]
    )
    assert [(reward.value, reward.reason) for reward in alone] == [(None, ALONE)]
    assert [reward.value for reward in same] == [0.0, 0.0]
    assert double[0].value == double[2].value
    assert float(double[1]) > float(double[0])
    assert source.counts.calls == 2  # one pair in both orders


def test_what_cannot_be_read_has_no_value_and_a_reason() -> None:
    source = JudgeReward(engine(lambda _: Completion(text="?")), task="outcome", retries=0)
    pair = Pair(prompt=QUESTION, first=said("a"), second=said(" "))
    ((first, second),) = source.score_batch([pair])
    assert (first.value, first.reason) == (None, "outcome: no verdict")
    assert (second.value, second.reason) == (None, EMPTY)
    with pytest.raises(InputError, match="no reward: outcome: no verdict"):
        float(first)


def test_of_a_tournament_that_falls_apart_the_largest_group_has_rewards() -> None:
    source = JudgeReward(engine(longer), task="tournament", hard=True, retries=0, tournament="full")
    ((first, second, lost),) = source.score_batch([ranking("x", "xx", "nothing to read")])
    assert float(second) > float(first)
    assert lost.value is None
    assert lost.reason.startswith("no comparison joins 1,2 and 3; 2 could not be read")


def test_an_engine_of_the_callers_own_stays_open() -> None:
    own = engine(lambda request: shares(request, (0.9, 0.1)))
    with JudgeReward(own, task="outcome", prompt="verdict") as source:
        source.score_batch([("How long?", "a")])
    assert own.closed == 0


def test_the_version_is_that_of_what_decides_rewards() -> None:
    own = engine(longer)
    versions = {
        JudgeReward(own, task="outcome").version,
        JudgeReward(own, task="outcome", seed=1).version,
        JudgeReward(own, task="outcome", prompt="verdict").version,
        JudgeReward(own, task="score").version,
        JudgeReward(engine(longer), task="outcome").version,  # the same again
    }
    assert len(versions) == 4
    assert JudgeReward(own, task="outcome").name == "test by outcome"


def test_opened_by_name_or_as_an_object(tmp_path: Path) -> None:
    own = engine(longer)
    opened = judge.open_reward(own, task="tournament")
    assert isinstance(opened, JudgeReward)
    assert judge.open_reward(opened) is opened
    rules = tmp_path / "rules.jsonl"
    rules.write_text('{"match": "x", "text": "[[right]]"}\n')
    assert isinstance(judge.open_reward(f"scripted:{rules}", task="outcome"), JudgeReward)
    with pytest.raises(UnknownNameError, match="unknown engine 'vlm'"):
        judge.open_reward("vlm:some/model")
    with pytest.raises(UnknownNameError, match="did you mean 'tournament'"):
        judge.open_reward(own, task="tournement")
    with pytest.raises(UnknownNameError, match="did you mean 'criterion'"):
        judge.open_reward(own, criterium="polite")
    with pytest.raises(ConfigError, match="are for task='tournament', found task='score'"):
        judge.open_reward(own, rounds=3)
    with pytest.raises(ConfigError, match="settings are for what is named"):
        judge.open_reward(opened, task="score")
    with pytest.raises(ConfigError, match="a reward of the type int"):
        judge.open_reward(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="reward"):
        judge.open_reward(tmp_path)


def test_calls_of_threads_wait_for_one_another() -> None:
    source = JudgeReward(engine(longer), task="tournament", hard=True, tournament="full")
    rows = [ranking("x" * (1 + number % 7), "x" * 9) for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(source.score_batch, [[row] for row in rows]))
    assert all(float(second) > float(first) for ((first, second),) in answers)


def test_what_a_prompt_refuses_leaves_the_judge_usable(tmp_path: Path) -> None:
    prompt = tmp_path / "picky.jinja"
    head = "task: outcome\nlabels: {right: right, wrong: wrong}\nvariables: [prompt, response]\n"
    body = "{% user %}{{ prompt }} {{ {'x': 'short'}[response] }}{% enduser %}"
    prompt.write_text(f"---\n{head}---\n{body}\n")
    source = JudgeReward(engine(lambda request: shares(request, (0.9, 0.1))), task="outcome", prompt=prompt)
    with pytest.raises(judge.TemplateError):
        source.score_batch([("?", "x"), ("?", "y")])
    ((reward,),) = source.score_batch([("?", "x")])
    assert reward.value == pytest.approx(0.9)


def test_a_judge_that_was_interrupted_is_not_asked_again() -> None:
    def interrupt(request: Request) -> Completion:
        raise KeyboardInterrupt

    source = JudgeReward(engine(interrupt), task="outcome")
    with pytest.raises(KeyboardInterrupt):
        source.score_batch([("?", "x")])
    with pytest.raises(judge.EngineError, match="an earlier call ended in the middle"):
        source.score_batch([("?", "x")])


def test_the_whole_of_a_score_is_the_reward_and_its_parts_stand_beside() -> None:
    judged = Score(verdict={"": 0, "a": 1, "b": 0}, expected={"": 0.25, "a": 0.5, "b": None})
    (reward,) = _rewards(judged)
    assert (reward.value, reward.objectives) == (0.25, {"a": 0.5, "b": 0.0})
    (lost,) = _rewards(Score(verdict={"": None, "a": 1}, reason="a: no verdict"))
    assert (lost.value, lost.reason) == (None, "a: no verdict")


def test_tasks_that_give_a_number() -> None:
    assert {"score", "outcome", "steps", "tournament"} <= set(reward_tasks())
    assert not {"preference", "critique", "ranking", "revision"} & set(reward_tasks())


def test_a_checklist_gives_the_share_of_its_points(tmp_path: Path) -> None:
    path = tmp_path / "judge.jsonl"
    path.write_text(json.dumps({"match": "", "text": "yes", "logprobs": {"yes": -0.0, "no": -50.0, "unsure": -50.0}}))
    rubric = [{"criterion": "Is short", "points": 3}, {"criterion": "Insults", "points": -1, "name": "insults"}]
    source = judge.open_reward(f"scripted:{path}", task="checklist", rubric=rubric)
    ((reward,), (own,), (none,)) = source.score_batch(
        [("Q", "A"), {"prompt": "Q", "response": "B", "rubric": ["Is B"]}, ("Q", "")]
    )
    assert reward.value == pytest.approx((3 - 1) / 3)
    assert reward.objectives == pytest.approx({"Is short": 1.0, "insults": 1.0})
    assert own.value == pytest.approx(1.0) and none.value is None
    bare = judge.open_reward(f"scripted:{path}", task="checklist")
    ((missing,),) = bare.score_batch([("Q", "A")])
    assert missing.value is None and "no rubric" in missing.reason
