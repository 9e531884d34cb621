"""The OpenRLHF hook against what OpenRLHF's own code does with it (openrlhf/utils/agent.py, samples_generator.py)."""

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

import judge
from judge.errors import InputError
from judge.hooks.openrlhf import openrlhf_columns
from judge.hooks.scorer import Rewarded
from tests.hooks.sources import Lengths

PROMPT = "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n"


def query(answer: str) -> str:
    return f"{PROMPT}{answer}<|im_end|>"


def test_a_batch_by_hand() -> None:
    source = Lengths()
    reward_func = judge.hooks.openrlhf_reward(source)
    answer = reward_func([query("2"), query("two")], [PROMPT, PROMPT], ["2", "2"])
    assert answer["rewards"].tolist() == [1.0, 3.0] and answer["scores"].tolist() == [1.0, 3.0]
    assert answer["extra_logs"]["unshaped"].tolist() == [1.0, 3.0]
    assert source.prompts == [["1 + 1?"]] and source.batches == [[2]]


def test_labels_give_the_truth_which_is_the_score() -> None:
    def truth(prompt: str, completion: str, *, label: str) -> float:
        return float(completion == label)

    reward_func = judge.hooks.openrlhf_reward(Lengths(), truth=truth, shaping={"truth_weight": 0.5})
    answer = reward_func([query("2"), query("two")], [PROMPT, PROMPT], ["2", "2"])
    assert answer["rewards"].tolist() == [1.0, 1.5]  # (1 + 1) / 2, (3 + 0) / 2
    assert answer["scores"].tolist() == [1.0, 0.0]


def test_what_cannot_be_said() -> None:
    with pytest.raises(InputError, match="query 1: no reward: cannot be read"):
        judge.hooks.openrlhf_reward(Lengths())([query("?")], [PROMPT], [None])
    stands = judge.hooks.openrlhf_reward(Lengths(), missing=-1.0)([query("?")], [PROMPT], [None])
    assert stands["rewards"].tolist() == [-1.0]
    with pytest.raises(InputError, match="2 queries, 1 prompts, 1 labels"):
        judge.hooks.openrlhf_reward(Lengths())([query("1"), query("2")], [PROMPT], [None])


def test_the_score_is_p_correct_where_a_model_says_it() -> None:
    raw = judge.Reward(value=1.5, probability=0.8)
    columns = openrlhf_columns([Rewarded(reward=raw, raw=raw)])
    assert columns == {"rewards": [1.5], "scores": [0.8], "unshaped": [1.5]}


def test_as_openrlhf_calls_it(tmp_path: Path) -> None:
    """A file loaded by path, one query a call in threads at once, and one tensor a sample of what comes back."""
    path = tmp_path / "reward.py"
    path.write_text(
        "import judge\nfrom tests.hooks.sources import Lengths\n"
        "source = Lengths()\nreward_func = judge.hooks.openrlhf_reward(source, group_size=4)\n"
    )
    spec = importlib.util.spec_from_file_location("reward_func", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    async def sampled(answer: str) -> dict[str, Any]:
        return await asyncio.to_thread(module.reward_func, [query(answer)], [PROMPT], ["2"])

    async def all_sampled() -> list[dict[str, Any]]:
        return await asyncio.gather(*(sampled("x" * size) for size in (1, 2, 3, 4)))

    answers = asyncio.run(all_sampled())
    assert [torch.tensor([answer["rewards"]]).tolist() for answer in answers] == [[1.0], [2.0], [3.0], [4.0]]
    logs = [{name: values.flatten()[0].item() for name, values in answer["extra_logs"].items()} for answer in answers]
    assert logs[3] == {"unshaped": 4.0}
    assert module.source.batches == [[4]]  # the four answers to one prompt were one ranking
