"""The verl hook against what verl's reward managers do with it (experimental/reward_loop/reward_manager)."""

import asyncio
import functools
import importlib
import inspect
from typing import Any

import numpy as np
import pytest

import judge
from judge.errors import InputError
from judge.hooks import verl
from tests.hooks.sources import Lengths

EXTRA = {"question": "1 + 1?", "index": 3, "split": "train"}


def test_one_answer() -> None:
    source = Lengths()
    compute_score = judge.hooks.verl_reward(source)
    assert compute_score("gsm8k", "two", "2", EXTRA) == 3.0
    assert source.prompts == [["1 + 1?"]]


def test_ground_truth_reaches_the_truth() -> None:
    def truth(prompt: str, completion: str, *, ground_truth: str, data_source: str, **extra: Any) -> float:
        return float(completion == ground_truth and data_source == "gsm8k" and extra["index"] == 3)

    compute_score = judge.hooks.verl_reward(Lengths(), truth=truth, shaping={"truth_weight": 0.5})
    assert compute_score(data_source="gsm8k", solution_str="2", ground_truth="2", extra_info=EXTRA) == 1.0


def test_a_batch_with_the_arrays_that_verl_hands_over() -> None:
    source = Lengths()
    rewards = judge.hooks.verl_reward(source)(
        data_sources=np.array(["gsm8k"] * 3, dtype=object),
        solution_strs=["2", "two", "2"],
        ground_truths=["2"] * 3,
        extra_infos=np.array([EXTRA, EXTRA, EXTRA | {"question": "1 + 0?"}], dtype=object),
    )
    assert rewards == [1.0, 3.0, 1.0]
    assert source.batches == [[2, 1]]


def test_the_prompt_may_be_messages_and_stand_elsewhere() -> None:
    source = Lengths()
    messages = np.array([{"role": "user", "content": "1 + 1?"}], dtype=object)
    compute_score = judge.hooks.verl_reward(source, prompt_key="prompt")
    assert compute_score("gsm8k", "two", "2", {"prompt": messages}) == 3.0
    assert source.prompts == [["1 + 1?"]]


def test_what_cannot_be_said() -> None:
    compute_score = judge.hooks.verl_reward(Lengths())
    with pytest.raises(InputError, match=r"no 'question' to read the prompt from .it has: index, split; name another"):
        compute_score("gsm8k", "2", "2", {"index": 1, "split": "train"})
    with pytest.raises(InputError, match="answer 1: no reward: cannot be read"):
        compute_score("gsm8k", "?", "2", EXTRA)
    assert judge.hooks.verl_reward(Lengths(), missing=0.0)("gsm8k", "?", "2", EXTRA) == 0.0


def test_as_verl_configures_and_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By module and name with `reward_kwargs`, from an executor's threads; the model is opened once."""
    source = Lengths()
    opened: list[str] = []

    def reward_of(model: str, **options: Any) -> Any:
        opened.append(model)
        return judge.hooks.verl_reward(source, **options)

    monkeypatch.setattr(verl, "verl_reward", reward_of)
    verl._compute_score.cache_clear()
    function = importlib.import_module("judge.hooks.verl").verl_compute_score
    assert not inspect.iscoroutinefunction(function)
    compute_score = functools.partial(_merged, function, {"model": "models/reward", "missing": 0.5})

    async def samples() -> list[float]:
        loop = asyncio.get_running_loop()
        calls = [
            loop.run_in_executor(
                None,
                lambda text=text: compute_score(
                    data_source="gsm8k", solution_str=text, ground_truth="2", extra_info=dict(EXTRA)
                ),
            )
            for text in ("2", "two", "?")
        ]
        return await asyncio.gather(*calls)

    assert asyncio.run(samples()) == [1.0, 3.0, 0.5]
    assert opened == ["models/reward"]
    assert compute_score(data_sources=["a"], solution_strs=["2"], ground_truths=["2"], extra_infos=[EXTRA]) == [1.0]


def _merged(function: Any, more: dict[str, Any], **columns: Any) -> Any:
    return function(**{**columns, **more})
