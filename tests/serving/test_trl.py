"""A step of TRL's GRPOTrainer whose reward is a judge behind the server, from end to end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import judge
from judge.engines.base import Completion, Request
from judge.engines.scripted import ScriptedEngine
from judge.serving import create_app
from judge.tiny import READER
from tests.serving.conftest import Live


@pytest.mark.filterwarnings("default")  # those of TRL and torch are theirs
def test_a_grpo_step_with_a_judge_behind_the_server(live: Callable[..., Live], tmp_path: Path) -> None:
    import trl

    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=458, pad_token_id=0, eos_token_id=1, bos_token_id=None, **small)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "policy")
    AutoTokenizer.from_pretrained(READER).save_pretrained(tmp_path / "policy")
    asked: list[str] = []

    def judged(request: Request) -> Completion:
        """P(right) is a half for a text of an even length, else 0.8."""
        asked.append(request.messages[-1].content)
        right, wrong = (0.5, 0.5) if len(asked[-1]) % 2 else (0.8, 0.2)
        return Completion(text="right", logprobs=dict(zip(request.choices, map(_log, (right, wrong)), strict=True)))

    rewards = judge.JudgeReward(ScriptedEngine(judged, name="test"), task="outcome", prompt="verdict")
    server = live(create_app(rewards, unreadable=0.0))
    given: list[float] = []

    def served_reward(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
        query = [prompt + completion for prompt, completion in zip(prompts, completions, strict=True)]
        answer = server.ask("/get_reward", {"query": query, "prompts": prompts, "labels": [None] * len(query)})
        assert answer.status == 200
        given.extend(answer.body["rewards"])
        return list(answer.body["rewards"])

    arguments = trl.GRPOConfig(
        output_dir=str(tmp_path / "out"),
        max_steps=1,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=8,
        learning_rate=1e-2,
        logging_steps=1,
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        report_to=[],
        disable_tqdm=True,
        seed=1,
    )
    data = Dataset.from_list([{"prompt": "1 + 1 ="}] * 4)
    run = trl.GRPOTrainer(str(tmp_path / "policy"), reward_funcs=served_reward, args=arguments, train_dataset=data)
    before = {name: weight.clone() for name, weight in run.model.named_parameters()}
    run.train()
    assert len(given) == 4
    assert asked and all("1 + 1 =" in text for text in asked)
    assert run.state.log_history[0]["rewards/served_reward/mean"] == pytest.approx(sum(given) / 4)
    if len(set(given)) > 1:
        assert any(not torch.equal(weight, before[name]) for name, weight in run.model.named_parameters())


def _log(share: float) -> float:
    return float(torch.tensor(share).log())
