"""What hooks have in common: groups, equal completions, what cannot be read, columns and shaping."""

import logging
import pickle
from pathlib import Path

import pytest

import judge
from judge.engines.base import Request
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError, InputError, UnknownNameError
from judge.hooks.scorer import Completion, HookScorer
from judge.rewards.shaping import Shaping
from tests.hooks.sources import Lengths


def asked(*texts: tuple[str, str]) -> list[Completion]:
    return [Completion(prompt=prompt, response=response, columns={"label": 1.0}) for prompt, response in texts]


def values(scorer: HookScorer, *texts: tuple[str, str]) -> list[float | None]:
    return [entry.reward.value for entry in scorer(asked(*texts))]


def test_completions_of_a_prompt_are_one_row_whatever_their_order() -> None:
    source = Lengths()
    rewards = values(HookScorer(source), ("p", "a"), ("q", "bbb"), ("p", "cc"))
    assert rewards == [1.0, 3.0, 2.0]
    assert source.batches == [[2, 1]] and source.prompts == [["p", "q"]]


def test_equal_completions_are_scored_once() -> None:
    source = Lengths()
    assert values(HookScorer(source), ("p", "aa"), ("p", "aa"), ("p", "b"), ("p", "aa")) == [2.0, 2.0, 1.0, 2.0]
    assert source.batches == [[2]]


def test_an_outcome_model_is_asked_answer_by_answer_for_its_probability() -> None:
    class Outcomes(Lengths):
        kind = "outcome"

    source = Outcomes()
    assert values(HookScorer(source), ("p", "a"), ("p", "bb"), ("p", "a"), ("q", "a")) == [1.0, 2.0, 1.0, 1.0]
    assert source.batches == [[1, 1, 1]]  # each distinct answer to a prompt, in one call


def test_one_unreadable_completion_takes_no_others_with_it(caplog: pytest.LogCaptureFixture) -> None:
    source = Lengths()
    scorer = HookScorer(source)
    with caplog.at_level(logging.WARNING, "judge.hooks"):
        assert values(scorer, ("p", "a"), ("p", "?"), ("p", "  "), ("q", "bb")) == [1.0, None, None, 2.0]
        assert values(scorer, ("p", "?")) == [None]
    assert source.batches[:2] == [[2, 1], [1, 1]]  # the whole group, then its two response by response
    assert [record.message for record in caplog.records] == [  # each reason once
        "lengths: no reward: cannot be read",
        "lengths: no reward: the completion is empty",
    ]


def test_a_tournament_judge_compares_the_completions_of_a_prompt() -> None:
    def longer(request: Request) -> str:
        texts = [line.strip() for line in request.messages[-1].content.splitlines() if set(line.strip()) == {"x"}]
        return "[[A]]" if len(texts[0]) > len(texts[1]) else "[[B]]"

    engine = ScriptedEngine(longer, name="test")
    scorer = HookScorer(engine, task="tournament", tournament="full", hard=True)
    first, second, alone, third = values(scorer, ("p", "x"), ("p", "xx"), ("q", "x"), ("p", "xxx"))
    assert first is not None and second is not None and third is not None
    assert first < second < third and first + second + third == pytest.approx(0, abs=1e-6)
    assert alone is None  # nobody to be compared with


def test_truth_is_a_column_or_a_function_and_shaping_takes_it() -> None:
    half = Shaping(truth_weight=0.5)
    assert values(HookScorer(Lengths(), shaping=half, truth="label"), ("p", "aaa")) == [2.0]  # (3 + 1) / 2

    def truth(prompt: str, completion: str, *, label: float) -> float:
        return float(prompt + completion == "paaa") + label

    assert values(HookScorer(Lengths(), shaping=half, truth=truth), ("p", "aaa")) == [2.5]  # (3 + 2) / 2
    with pytest.raises(UnknownNameError, match="unknown column 'labels'; did you mean 'label'"):
        HookScorer(Lengths(), truth="labels")(asked(("p", "a")))
    with pytest.raises(ConfigError, match=r"truth_weight needs truth= .accepted: a column or a function"):
        HookScorer(Lengths(), shaping={"truth_weight": 0.5})


def test_the_prompt_can_stand_in_a_column() -> None:
    source = Lengths()
    columns = {"problem": [{"role": "user", "content": "1 + 1?"}]}
    HookScorer(source, prompt_column="problem")([Completion(prompt="Think. 1 + 1?", response="2", columns=columns)])
    assert source.prompts == [["1 + 1?"]]


def test_a_source_that_gives_another_number_of_rewards_is_refused() -> None:
    class Short(Lengths):
        def score_batch(self, rows: object) -> list[list[judge.Reward]]:
            return [[judge.Reward(value=1.0)]]

    with pytest.raises(InputError, match=r"lengths: gave \[1\] rewards for \[2\] responses"):
        values(HookScorer(Short()), ("p", "a"), ("p", "b"))


def test_a_source_is_opened_when_it_is_needed_and_not_pickled(tmp_path: Path) -> None:
    scorer = pickle.loads(pickle.dumps(HookScorer(tmp_path / "nothing")))
    assert scorer.name == "nothing"
    with pytest.raises(InputError, match="nothing: no such directory"):
        values(scorer, ("p", "a"))
