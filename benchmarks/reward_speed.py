"""`rmjudge distill`'s training loop beside TRL's RewardTrainer: pairs a second, the same losses, and memory.

    python benchmarks/reward_speed.py                     the three cases of lengths, interleaved rounds, medians
    python benchmarks/reward_speed.py --case long --rounds 1
    python benchmarks/reward_speed.py --curves 40         loss curves of both, laid over each other (curves.svg)
    python benchmarks/reward_speed.py --ensemble          five heads beside one

Both sides train the same random Llama (4 layers of width 512, 8,192 words) with the same first weights on the same
tokens in the same batches of 8 prompts, with AdamW at the same rate, in bf16 autocast, without gradient checkpointing
(TRL's default would slow it down further). Lengths are log-normal with sigma 0.6. Each side runs in a process of its
own, turn about; a step is timed from end to end of its neighbours, and the first is left out. With K = 4 responses
TRL trains on their six pairs, in 6 accumulated batches of 8 pairs. On a machine with a GPU both use it. Prints JSON.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

WORDS = 8192
RATE = 1e-4


class Case(NamedTuple):
    """Means of tokens, how many responses, and how many steps are enough for a figure."""

    prompt: int
    response: int
    responses: int
    steps: int
    wanted: float


CASES = {
    "long": Case(512, 128, 2, 9, 3.0),
    "short": Case(128, 128, 2, 17, 2.0),
    "four": Case(512, 128, 4, 4, 4.0),
}


def main() -> None:
    """Read the options, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0, help="steps of a round instead of the case's own")
    parser.add_argument("--curves", type=int, default=0, metavar="STEPS")
    parser.add_argument("--ensemble", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("curves.svg"))
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    names = asked.case or list(CASES)
    if asked.side:
        print(json.dumps(SIDES[asked.side](asked.model, names[0], asked.steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder))
        if asked.curves:
            print(json.dumps(curves(model, names[0] if asked.case else "short", asked.curves, asked.out), indent=2))
        elif asked.ensemble:
            print(json.dumps(compare(model, names[0], asked, ("ensemble", "ours")), indent=2))
        else:
            for name in names:
                print(json.dumps(compare(model, name, asked, ("trl", "ours")), indent=2), flush=True)


def compare(model: Path, name: str, asked: argparse.Namespace, sides: tuple[str, str]) -> dict[str, Any]:
    """Medians of interleaved rounds, and the ratio of the first side's seconds to the second's."""
    case, steps = CASES[name], asked.steps or CASES[name].steps
    rounds: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for _ in range(asked.rounds):
        for side in sides:
            rounds[side].append(_run(model, side, name, steps))
    seconds = {side: median(go["seconds"] for go in rounds[side]) for side in sides}
    first, second = sides
    return {
        "case": f"{case.prompt} / {case.responses}x{case.response}",
        "device": rounds[second][0]["device"],
        "pairs/s": {side: round(_pairs(case, steps) / seconds[side], 3) for side in sides},
        "seconds": {side: [round(go["seconds"], 2) for go in rounds[side]] for side in sides},
        "cpu_seconds": {side: [round(go["cpu"], 2) for go in rounds[side]] for side in sides},
        "memory_mib": {side: median(go["memory"] for go in rounds[side]) for side in sides},
        f"{first} / {second}, seconds": round(seconds[first] / seconds[second], 3),
        f"{first} / {second}, cpu seconds": round(
            median(go["cpu"] for go in rounds[first]) / median(go["cpu"] for go in rounds[second]), 3
        ),
        f"{first} / {second}, memory": round(rounds[first][0]["memory"] / rounds[second][0]["memory"], 3),
    } | ({"wanted": f">= {case.wanted}"} if first == "trl" else {"wanted": "<= 1.10"})


def curves(model: Path, name: str, steps: int, out: Path) -> dict[str, Any]:
    """Both sides' losses step by step, their largest difference, and the picture."""
    losses = {side: _run(model, side, name, steps)["losses"] for side in ("trl", "ours")}
    _draw(losses, out)
    apart = [abs(a - b) for a, b in zip(losses["trl"], losses["ours"], strict=True)]
    tail = max(1, steps // 4)
    return {
        "case": name,
        "steps": steps,
        "first_loss": {side: round(rows[0], 4) for side, rows in losses.items()},
        "last_quarter_mean": {side: round(sum(rows[-tail:]) / tail, 4) for side, rows in losses.items()},
        "largest_difference": round(max(apart), 4),
        "losses": {side: [round(one, 4) for one in rows] for side, rows in losses.items()},
    }


def _pairs(case: Case, steps: int) -> int:
    """Pairs in the timed steps: all but the first."""
    return (steps - 1) * 8 * math.comb(case.responses, 2)


def _run(model: Path, side: str, name: str, steps: int) -> dict[str, Any]:
    arguments = ["--side", side, "--model", str(model), "--case", name, "--steps", str(steps)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


# ---- the same model and the same data for both -----------------------------------------------------------------------


def _model(folder: Path) -> Path:
    """A random Llama with its tokenizer of whole words, saved as a classification model with one output."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

    words = {"<pad>": 0, "<eos>": 1} | {f"w{number}": number for number in range(2, WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=16384,
        num_labels=1,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(config)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def _texts(case: Case, count: int) -> list[tuple[str, list[str]]]:
    """(prompt, responses, best first): the better a response, the more of its words are even-numbered."""
    rng = Random(7)

    def length(mean: int) -> int:
        return max(4, round(rng.lognormvariate(math.log(mean) - 0.18, 0.6)))

    def words(number: int, even: float) -> str:
        return " ".join(f"w{2 * rng.randrange(1, WORDS // 2) + (rng.random() >= even)}" for _ in range(number))

    made = []
    for _ in range(count):
        prompt = words(length(case.prompt), 0.5)
        shares = [0.65 - 0.3 * place / (case.responses - 1) for place in range(case.responses)]
        made.append((prompt, [words(length(case.response), share) for share in shares]))
    return made


def _result(clock: "_Clock", losses: Sequence[float]) -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    memory = (
        torch.cuda.max_memory_allocated() / 2**20 if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    return {
        "seconds": clock.wall[-1] - clock.wall[0],
        "cpu": clock.cpu[-1] - clock.cpu[0],
        "losses": list(losses),
        "memory": round(memory),
        "device": torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads",
    }


class _Clock:
    """Notes the moments at which steps end."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def tick(self) -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.wall.append(time.perf_counter())
        self.cpu.append(time.process_time())


# ---- the sides -------------------------------------------------------------------------------------------------------


def ours(folder: Path, name: str, steps: int, **more: Any) -> dict[str, Any]:
    """The house's own loop, as `rmjudge distill` runs it."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    from judge.rewards.data.collate import Collator
    from judge.rewards.data.examples import Example
    from judge.rewards.data.targets import Targets
    from judge.rewards.losses.registry import get_loss
    from judge.rewards.modeling.reward_model import build_reward_model
    from judge.rewards.training.loop import NoCallback, TrainingJob, make_accelerator, train

    class Drawn(Collator):
        """Batches come in the order of the data, so that both sides see the same."""

        def lengths(self, examples: Sequence[Example]) -> list[int]:
            return [0] * len(examples)

    class Timed(NoCallback):
        def __init__(self) -> None:
            self.clock, self.losses = _Clock(), list[float]()

        def on_step(self, row: dict[str, Any]) -> None:
            self.clock.tick()
            self.losses.append(row["loss"])

    case = CASES[name]
    config = _settings(folder, more)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    examples = _examples(case, 8 * steps)
    model = build_reward_model(config, tokenizer)
    if config.model.kind == "scalar":
        model.head.load_state_dict({"score.weight": load_file(folder / "model.safetensors")["score.weight"]})
    collate = Drawn(tokenizer, config.model.kind, config.data.max_length, model.layout)
    timed = Timed()
    with tempfile.TemporaryDirectory() as out:
        job = TrainingJob(
            model=model,
            collate=collate,
            loss=get_loss(config.loss_name),
            examples=_in_order(examples, config),
            validation=[],
            config=config,
            targets=lambda some: Targets.of(some, config.model.kind, config.model.objectives),
        )
        train(job, Path(out), make_accelerator(config, Path(out)), timed)
    assert torch.isfinite(torch.tensor(timed.losses)).all()
    return _result(timed.clock, timed.losses)


def _settings(folder: Path, more: dict[str, Any]) -> Any:
    from judge.rewards.config import RewardConfig

    return RewardConfig.of(
        **{"kind": "scalar"} | more,
        backbone=str(folder),
        optimizer="adamw",
        learning_rate=RATE,
        lr_scheduler_type="constant",
        warmup_ratio=0.0,
        dtype="bfloat16",
        max_length=16384,
        evaluations_per_epoch=1,
    )


def _examples(case: Case, count: int) -> list[Any]:
    from judge.records import Message
    from judge.rewards.data.examples import Example

    order = tuple(range(case.responses))
    return [
        Example(
            id=str(number),
            group=str(number),
            prompt=(Message("user", prompt),),
            responses=tuple((Message("assistant", text),) for text in texts),
            p_first=1.0 if case.responses == 2 else None,
            order=order if case.responses > 2 else (),
        )
        for number, (prompt, texts) in enumerate(_texts(case, count))
    ]


def _in_order(examples: list[Any], config: Any) -> list[Any]:
    """The examples placed so that the loop's drawn batches are data's own batches, in their order."""
    from judge.rewards.data.grouping import batches

    drawn = [
        one for batch in batches(examples, 8, config.training.seed, 0, lengths=[0] * len(examples)) for one in batch
    ]
    placed: list[Any] = [None] * len(examples)
    for wanted, was in zip(examples, drawn, strict=True):
        placed[int(was.id)] = wanted
    return placed


def ensemble(folder: Path, name: str, steps: int) -> dict[str, Any]:
    """The same with five heads."""
    return ours(folder, name, steps, kind="ensemble", members=5)


def trl(folder: Path, name: str, steps: int) -> dict[str, Any]:
    """TRL's RewardTrainer on the same tokens, in the same batches."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback
    from trl import RewardConfig, RewardTrainer

    clock = _Clock()

    class TrainingCallback(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *state: Any, **more: Any) -> None:
            clock.tick()

    case = CASES[name]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for prompt, texts in _texts(case, 8 * steps):
        ids = [tokenizer(f"{prompt}\n\n{text}")["input_ids"] for text in texts]
        rows += [{"chosen_ids": better, "rejected_ids": worse} for better, worse in combinations(ids, 2)]
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    with tempfile.TemporaryDirectory() as out:
        arguments = RewardConfig(
            output_dir=out,
            per_device_train_batch_size=8,
            gradient_accumulation_steps=math.comb(case.responses, 2),
            max_steps=steps,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            adam_beta2=0.98,
            max_grad_norm=1.0,
            bf16=True,
            use_cpu=not torch.cuda.is_available(),
            gradient_checkpointing=False,
            max_length=None,
            train_sampling_strategy="sequential",
            logging_steps=1,
            logging_strategy="steps",
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = RewardTrainer(
            model,
            arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[TrainingCallback()],
        )
        trainer.train()
    return _result(clock, [row["loss"] for row in trainer.state.log_history if "loss" in row])


def _draw(losses: dict[str, list[float]], out: Path) -> None:
    """Both curves in one picture."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    for (side, rows), style in zip(losses.items(), ("-", "--"), strict=True):
        axes.plot(range(1, len(rows) + 1), rows, style, label=side)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    figure.savefig(out)


SIDES = {"ours": ours, "trl": trl, "ensemble": ensemble}

if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
