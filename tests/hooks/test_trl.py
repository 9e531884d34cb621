"""The TRL hook: its contract by hand, and real steps of GRPOTrainer and RLOOTrainer."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import judge
from judge.errors import ConfigError
from judge.tiny import READER
from tests.hooks.sources import Lengths


def test_a_reward_a_completion_and_none_where_there_is_none() -> None:
    reward = judge.hooks.trl_reward(Lengths())
    rewards = reward(prompts=["p", "p", "q"], completions=["aa", "?", "a"], completion_ids=[[1], [2], [3]])
    assert rewards == [2.0, None, 1.0]
    assert reward.__name__ == "lengths"


def test_conversations_and_columns() -> None:
    seen: list[dict[str, Any]] = []

    def truth(prompt: str, completion: str, **columns: Any) -> float:
        seen.append({"prompt": prompt, "completion": completion, **columns})
        return columns["answer"]

    reward = judge.hooks.trl_reward(Lengths(), truth=truth, shaping={"truth_weight": 0.5})
    rewards = reward(
        prompts=[[{"role": "user", "content": "1 + 1?"}]] * 2,
        completions=[[{"role": "assistant", "content": "2"}], [{"role": "assistant", "content": "three"}]],
        completion_ids=[[1], [2]],
        answer=[1.0, 0.0],
        trainer_state=object(),
    )
    assert rewards == [1.0, 2.5]  # (1 + 1) / 2, (5 + 0) / 2
    assert seen[1] == {"prompt": "1 + 1?", "completion": "three", "answer": 0.0}


def test_what_trl_logs_beside_the_reward() -> None:
    logged: dict[str, float] = {}
    reward = judge.hooks.trl_reward(Lengths(), truth="answer", shaping={"clip": (0, 1)})
    reward(prompts=["p"] * 4, completions=["a", "aa", "aaa", "?"], answer=[1, 0, 0, 1], log_metric=logged.__setitem__)
    assert logged == {
        "lengths/unshaped": 2.0,
        "lengths/std": 0.5,
        "lengths/truth": 0.5,
        "lengths/without_reward": 0.25,
    }


def test_the_asynchronous_function_is_one_to_trl() -> None:
    from trl.trainer.utils import is_async_callable

    reward = judge.hooks.trl_reward(Lengths(), asynchronous=True)
    assert is_async_callable(reward) and not is_async_callable(judge.hooks.trl_reward(Lengths()))
    answer = reward(prompts=["p"], completions=["aa"])
    assert inspect.isawaitable(answer) and asyncio.run(_awaited(answer)) == [2.0]


async def _awaited(answer: Any) -> Any:
    return await answer


def test_a_shaping_that_lacks_its_column_is_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="kl_coefficient needs kl="):
        judge.hooks.trl_reward(Lengths(), shaping=judge.Shaping(kl_coefficient=0.1))


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random causal model with the embedded judge's tokenizer."""
    folder = tmp_path_factory.mktemp("policy")
    torch.manual_seed(0)
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "pad_token_id": 0, "eos_token_id": 1}
    config = LlamaConfig(vocab_size=458, hidden_size=32, intermediate_size=32, bos_token_id=None, **heads)
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(READER).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("default")  # those of TRL and torch are theirs
@pytest.mark.parametrize("trainer", ["GRPO", "RLOO"])
@pytest.mark.parametrize("conversational", [False, True], ids=["plain", "messages"])
def test_a_real_step_of_trls_trainers(trainer: str, conversational: bool, policy: Path, tmp_path: Path) -> None:
    import trl

    source, plain = Lengths(), Lengths()
    plain.name = "plain"
    problem = "1 + 1 ="
    prompt: Any = [{"role": "user", "content": problem}] if conversational else problem
    data = Dataset.from_list([{"prompt": prompt, "answer": 0.5, "problem": problem}] * 4)
    config = getattr(trl, f"{trainer}Config")(
        output_dir=str(tmp_path),
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
    functions: list[Any] = [
        judge.hooks.trl_reward(source, truth="answer", shaping={"truth_weight": 0.5}, prompt_column="problem"),
        judge.hooks.trl_reward(plain, asynchronous=True),
    ]
    run = getattr(trl, f"{trainer}Trainer")(model=str(policy), reward_funcs=functions, args=config, train_dataset=data)
    before = {name: weight.clone() for name, weight in run.model.named_parameters()}
    run.train()
    assert source.prompts and all(prompt == problem for batch in source.prompts for prompt in batch)
    logged = run.state.log_history[0]
    assert logged["lengths/truth"] == 0.5
    # The second function gives the length alone, the first (length + 0.5) / 2.
    assert logged["rewards/plain/mean"] == pytest.approx(logged["plain/unshaped"])
    assert logged["rewards/lengths/mean"] == pytest.approx((logged["plain/unshaped"] + 0.5) / 2)
    assert any(not torch.equal(weight, before[name]) for name, weight in run.model.named_parameters())
