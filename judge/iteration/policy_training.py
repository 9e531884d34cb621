"""A policy that gets better, by TRL: trained on the best of its own answers, or by GRPO against the reward."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from judge.agreement.best_of.truth import truth_of
from judge.errors import ConfigError, MissingExtraError
from judge.files import staged_directory, to_json
from judge.hooks.scorer import HookScorer
from judge.hooks.trl import TrlReward
from judge.iteration.answers import Answered
from judge.iteration.config import IterationConfig
from judge.pretrained import pretrained
from judge.prompting.template import load_template
from judge.records import Conversation, Message, Response, spoken
from judge.rewards.reward import RewardSource

LOG = "training.json"


def need_trl() -> None:
    """Refuse before anything is sampled.

    Raises:
        MissingExtraError: where TRL is not installed.
    """
    if find_spec("trl") is None:
        raise MissingExtraError("iterate trains its policy with TRL: pip install 'rmjudge[trl]'")


def policy_prompt(prompt: Conversation, answer_prompt: str) -> list[dict[str, str]]:
    """What the policy is shown of a prompt, as messages."""
    turns: Sequence[Message] = prompt
    if answer_prompt:
        turns = load_template("answer", answer_prompt).render(prompt=spoken(prompt))
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def train_on_best(
    policy: str | Path, chosen: Sequence[tuple[Conversation, str]], out: Path, config: IterationConfig
) -> None:
    """Fine-tune a policy on answers of its own (Dong et al. 2023, "RAFT"), by TRL's SFTTrainer.

    Args:
        policy: where training begins.
        chosen: prompts with the best answer to each.
        out: the directory of the new policy.
        config: of the iteration.
    """
    import trl
    from datasets import Dataset

    rows = [
        {
            "prompt": policy_prompt(prompt, config.answer_prompt),
            "completion": [{"role": "assistant", "content": answer}],
        }
        for prompt, answer in chosen
    ]
    model, tokenizer = _loaded(policy)
    arguments = trl.SFTConfig(max_length=None, **_arguments(out, config))
    trainer = trl.SFTTrainer(
        model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    _run(trainer, tokenizer, out)


def train_by_grpo(
    policy: str | Path, prompts: Sequence[Answered], source: RewardSource, out: Path, config: IterationConfig
) -> None:
    """Train a policy against a reward, by TRL's GRPOTrainer; each prompt once an epoch.

    Args:
        policy: where training begins.
        prompts: to learn from.
        source: what gives rewards.
        out: the directory of the new policy.
        config: of the iteration.
    """
    import trl
    from datasets import Dataset

    rows = [
        {
            "prompt": policy_prompt(entry.prompt, config.answer_prompt),
            "problem": [{"role": turn.role, "content": turn.content} for turn in entry.prompt],
            "reference": entry.reference,
        }
        for entry in prompts
    ]
    truth = _truth if config.shaping.truth_weight else None
    reward = TrlReward(HookScorer(source, shaping=config.shaping, truth=truth, prompt_column="problem"))
    model, tokenizer = _loaded(policy)
    arguments = trl.GRPOConfig(
        num_generations=config.n,
        max_completion_length=config.max_tokens,
        temperature=config.temperature,
        beta=0.0,
        **_arguments(out, config),
    )
    trainer = trl.GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    _run(trainer, tokenizer, out)


def _truth(prompt: str, completion: str, *, reference: str, **columns: Any) -> float | None:
    answer = Response(prompt=(), response=(Message("assistant", completion),), reference=reference)
    return truth_of(answer)[0]


def _arguments(out: Path, config: IterationConfig) -> dict[str, Any]:
    """What both trainers are told."""
    import torch

    return {
        "output_dir": str(out.with_name(f".{out.name}.trl")),
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.epochs,
        "per_device_train_batch_size": config.batch_size,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": torch.cuda.is_available(),
        "seed": config.seed,
    }


def _loaded(policy: str | Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = pretrained(AutoTokenizer, policy)
    if not tokenizer.chat_template:
        raise ConfigError(f"policy {policy}: has no chat template")
    return pretrained(AutoModelForCausalLM, policy, weights=True, dtype="float32"), tokenizer


def _run(trainer: Any, tokenizer: Any, out: Path) -> None:
    """Train, and write the policy with the log of its training; nothing is printed."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()
    history: Sequence[Mapping[str, Any]] = trainer.state.log_history
    with staged_directory(out) as folder:
        trainer.save_model(str(folder))
        tokenizer.save_pretrained(folder)
        (folder / LOG).write_text(to_json(list(history)), encoding="utf-8")
