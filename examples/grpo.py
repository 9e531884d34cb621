"""GRPO with TRL: a small policy learns from a distilled reward, and its truth is watched beside the reward.

    python examples/grpo.py --out build/grpo                        # the embedded model, about ten minutes on two cores
    python examples/grpo.py --out build/grpo --seeds 1 --bias 0.02              # a reward that likes length, shaped
    python examples/grpo.py --out build/grpo --seeds 1 --bias 0.02 --unshaped   # the same without shaping: it is hacked
    python examples/grpo.py --out build/smol --policy build/real/SmolLM2-135M-Instruct --steps 3 \
        --reward hf:build/real/SmolLM2-135M-Instruct --criterion "steps=works it out step by step" --criterion correct

Problems are arithmetic whose truth is known. Unless `--reward` names a source, a process model is distilled first.
Answers are sampled at a temperature at which the policy is right about half the time; OUT/grpo.png shows reward and
truth by step, OUT/figures.json holds the truth of sampled answers on held-out problems before and after.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import judge
from judge.records import responses_of
from judge.tiny import READER
from judge.tiny.arithmetic import value
from judge.tiny.problems import Node, problem, question

ANSWER = re.compile(r"answer is (-?\d+)")
SHAPING = {"truth_weight": 0.5}


class LengthBiased:
    """A source with the fault that many judges have: it likes length, by so much a character."""

    def __init__(self, model: judge.RewardSource, bias: float) -> None:
        self.model, self.bias = model, bias
        self.name, self.version = "biased", f"{model.version}+{bias}"

    def score_batch(self, rows: Sequence[Any]) -> list[list[judge.Reward]]:
        """The rewards of the source, and something for every character."""
        return [
            [self._longer(reward, judge.spoken(text)) for reward, text in zip(rewards, responses_of(row), strict=True)]
            for row, rewards in zip(rows, self.model.score_batch(rows), strict=True)
        ]

    def _longer(self, reward: judge.Reward, text: str) -> judge.Reward:
        if reward.value is None:
            return reward
        return replace(reward, value=reward.value + self.bias * len(text))


def truth(prompt: str, completion: str, *, answer: int, **columns: Any) -> float:
    """1 where the completion ends in the right answer."""
    stated = ANSWER.findall(completion)
    return float(bool(stated) and int(stated[-1]) == answer)


def problems(count: int, seed: int, *, held_out: bool = False) -> Iterator[dict[str, Any]]:
    """Rows for TRL: two short brackets joined, each problem once. `problem` is what the reward model reads."""
    rng, asked, template = Random(seed), set[str](), judge.load_template("answer", "brief")
    while len(asked) < count:
        node = problem(rng, held_out=held_out)
        text = question(node)
        if text in asked or not is_short(node):
            continue
        asked.add(text)
        (message,) = template.render(prompt=text)
        prompt = [{"role": "user", "content": message.content}]
        yield {"prompt": prompt, "problem": text, "answer": value(node.tokens)}


def is_short(node: Node) -> bool:
    """Whether both sides of a problem are one bracket, of four numbers in all."""
    sides = [side for side in (node.left, node.right) if side is not None]
    return all(not side.operator for side in sides) and sum(isinstance(token, int) for token in node.tokens) <= 4


def distilled(out: Path, kind: str) -> Path:
    """A reward model of the embedded judge's field, made once."""
    model = out / "reward" / kind
    if not model.exists():
        name = "solutions" if kind == "process" else "pairs"
        rows = judge.generate_problems(name, 600, seed=7, neat=True) + judge.generate_problems(name, 300, seed=8)
        judge.distill(
            rows,
            kind=kind,
            backbone="tiny",
            labels="human",
            out=model,
            head="likelihood",
            optimizer="muon",
            learning_rate=1e-4,
            head_lr_multiplier=50,
            batch_size=12,
        )
    return model


def sampled_truth(model: Any, tokenizer: Any, rows: list[dict[str, Any]], options: argparse.Namespace) -> list[float]:
    """Of each problem, whether one sampled answer is right."""
    import torch

    texts = [tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False) for row in rows]
    torch.manual_seed(0)
    batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    with torch.inference_mode():
        tokens = model.generate(
            **batch,
            do_sample=True,
            temperature=options.temperature,
            max_new_tokens=options.max_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
    answers = tokenizer.batch_decode(tokens[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return [truth(row["problem"], answer, answer=row["answer"]) for row, answer in zip(rows, answers, strict=True)]


def train(options: argparse.Namespace, reward: Any, seed: int) -> dict[str, Any]:
    """One training: truth before and after, and the log of its steps."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(options.policy)
    policy = AutoModelForCausalLM.from_pretrained(options.policy, dtype="float32")
    held_out = list(problems(options.held_out, seed=100 + seed, held_out=True))
    for name, weight in policy.named_parameters():
        weight.requires_grad_(not options.only or options.only in name)
    before = sampled_truth(policy, tokenizer, held_out, options)
    data = Dataset.from_list(list(problems(options.steps * options.prompts, seed=seed)))
    config = GRPOConfig(
        output_dir=str(options.out / f"policy-{seed}"),
        max_steps=options.steps,
        per_device_train_batch_size=options.prompts * options.group,
        num_generations=options.group,
        max_completion_length=options.max_tokens,
        temperature=options.temperature,
        learning_rate=options.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=2,
        adam_beta2=0.95,
        beta=0.0,
        logging_steps=1,
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        seed=seed,
    )
    checklist = {"task": "score", "criterion": options.criterion, "low": 0, "high": 1}
    settings = checklist if options.criterion else {}
    # The one line that this example is about:
    shaping = None if options.unshaped else {**SHAPING, "length_penalty": options.bias}
    function = judge.hooks.trl_reward(reward, truth=truth, shaping=shaping, prompt_column="problem", **settings)

    trainer = GRPOTrainer(
        model=policy, reward_funcs=function, args=config, train_dataset=data, processing_class=tokenizer
    )
    trainer.train()
    after = sampled_truth(trainer.model, tokenizer, held_out, options)
    name = function.__name__
    steps = [
        {
            "step": row["step"],
            "reward": row["reward"],
            "unshaped": row[f"{name}/unshaped"],
            "truth": row[f"{name}/truth"],
            "length": row["completions/mean_length"],
        }
        for row in trainer.state.log_history
        if "reward" in row
    ]
    return {"seed": seed, "before": before, "after": after, "steps": steps}


def gain(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Points of truth gained on held-out problems with their 95 % interval; problems are drawn within seeds."""
    rng = np.random.default_rng(0)
    differences = [np.array(run["after"]) - np.array(run["before"]) for run in runs]
    drawn = [np.mean([rng.choice(row, len(row)).mean() for row in differences]) for _ in range(2000)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "before": 100 * float(np.mean([np.mean(run["before"]) for run in runs])),
        "after": 100 * float(np.mean([np.mean(run["after"]) for run in runs])),
        "gain": 100 * float(np.mean([row.mean() for row in differences])),
        "low": 100 * float(low),
        "high": 100 * float(high),
    }


def plot(arms: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Truth (left axis) and reward (right) of the sampled answers by step, a panel an arm, thin lines single seeds."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(arms), figsize=(6 * len(arms), 4), squeeze=False)
    for panel, (arm, runs) in zip(panels[0], arms.items(), strict=True):
        right = panel.twinx()
        for axis, name, label, colour in (
            (panel, "truth", "truth", "tab:blue"),
            (right, "unshaped", "reward, unshaped", "tab:orange"),
        ):
            curves = np.array([[step[name] for step in run["steps"]] for run in runs])
            for curve in curves:
                axis.plot(curve, color=colour, alpha=0.25, linewidth=1)
            axis.plot(curves.mean(axis=0), color=colour, linewidth=2, label=label)
            axis.set_ylabel(f"{label}, mean of the sampled answers", color=colour)
        panel.set(title=arm, xlabel="step", ylim=(0, 1.02))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Distil, train, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="reward model, figures and chart")
    parser.add_argument("--policy", default=str(READER))
    parser.add_argument("--reward", default="", help="what judge.open_reward takes; else a model is distilled")
    parser.add_argument("--criterion", action="append", help="a point of a judge's checklist, NAME or NAME=MEANING")
    parser.add_argument("--kind", default="process", choices=("process", "ensemble"))
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--prompts", type=int, default=8, help="problems a step")
    parser.add_argument("--group", type=int, default=8, help="answers a problem")
    parser.add_argument("--temperature", type=float, default=1.6)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--only", default="norm", help="train parameters with this in their names; empty: all")
    parser.add_argument("--max-tokens", type=int, default=112)
    parser.add_argument("--held-out", type=int, default=96)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--bias", type=float, default=0.0, help="reward for each character, as a fault")
    parser.add_argument("--unshaped", action="store_true", help="the reward model alone")
    options = parser.parse_args()
    reward: Any = options.reward or distilled(options.out, options.kind)
    if options.bias:
        reward = LengthBiased(judge.open_reward(reward), options.bias)
    arm = ("a reward that likes length, " if options.bias else "") + ("unshaped" if options.unshaped else "shaped")
    path = options.out / "figures.json"
    arms: dict[str, list[dict[str, Any]]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    runs = {run["seed"]: run for run in arms.get(arm, [])}
    for seed in options.seeds:
        if seed not in runs:
            runs[seed] = train(options, reward, seed)
            arms[arm] = list(runs.values())
            path.write_text(json.dumps(arms), encoding="utf-8")
    plot(arms, options.out / "grpo.png")
    for name, finished in arms.items():
        print(name, json.dumps({figure: round(number, 1) for figure, number in gain(finished).items()}))


if __name__ == "__main__":
    main()
