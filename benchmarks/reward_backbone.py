"""A real language model as a reward model: `rmjudge distill`'s loop beside TRL's RewardTrainer.

    python benchmarks/reward_backbone.py                             SmolLM2 as `make real` makes it, LoRA, 600 pairs
    python benchmarks/reward_backbone.py --lora-rank 0               every weight
    python benchmarks/reward_backbone.py --pairs 48 --rounds 2       speed and memory alone
    python benchmarks/reward_backbone.py --whole --backbone DIR      accuracy too, of another model

Data: HH-RLHF's harmless dialogues, from RMJUDGE_DATA or shared/data, at most 512 tokens (a longer text loses tokens at
the left of its prompt, the same number for both responses). Both sides see the same pairs and tokens: AdamW, a linear
schedule with 5 % warm-up, clipping at 1, batches of 8 pairs, one epoch, bf16. TRL is as it comes (with gradient
checkpointing), and with --plain-trl without; `ours` never computes more than --batch-tokens at a time. Each side runs
in a process of its own, turn about. With --whole a part of the prompts is held out, and both are asked about it:
accuracies and their difference, with intervals from a bootstrap over prompts. Prints JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from reward_real import FILES, HELD_OUT, data_folder, hits, interval, sides_of

from judge.formats import read_records
from judge.records import Pair
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator
from judge.rewards.data.examples import Example, examples
from judge.rewards.data.grouping import split

REAL = Path(__file__).resolve().parents[1] / "build" / "real" / "SmolLM2-135M-Instruct"
LENGTH, BATCH = 512, 8


class Pairs(NamedTuple):
    """Training and test examples that fit, and the tokenizer and collator that both sides use."""

    training: list[Example]
    test: list[Example]
    collate: Collator
    tokenizer: Any


def main() -> None:
    """Read the options, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default=str(REAL), help="a model directory")
    parser.add_argument("--lora-rank", type=int, default=16, help="0 trains every weight")
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="2e-4 for adapters and 1e-5 for every weight unless given"
    )
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16"))
    parser.add_argument("--whole", action="store_true", help="hold prompts out and report accuracies")
    parser.add_argument("--plain-trl", action="store_true", help="TRL without gradient checkpointing")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="further settings of ours")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.rate = asked.rate or (2e-4 if asked.lora_rank else 1e-5)
    if asked.side:
        print(json.dumps(SIDES[asked.side](read(asked), asked)))
        return
    print(json.dumps(compare(asked), indent=2))


def compare(asked: argparse.Namespace) -> dict[str, Any]:
    """Medians of interleaved rounds; of accuracies the first round's."""
    rounds: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(asked.rounds):
        for side in SIDES:
            rounds[side].append(run(side))
    speed = {side: median(done["pairs"] / done["seconds"] for done in rounds[side]) for side in SIDES}
    cpu = {side: median(done["pairs"] / done["cpu_seconds"] for done in rounds[side]) for side in SIDES}
    memory = {side: median(done["memory_mib"] for done in rounds[side]) for side in SIDES}
    figures: dict[str, Any] = {
        "backbone": Path(asked.backbone).name,
        "training": f"LoRA {asked.lora_rank}" if asked.lora_rank else "every weight",
        "trl": "gradient checkpointing off" if asked.plain_trl else "as it comes",
        "pairs": rounds["ours"][0]["pairs"],
        "threads": rounds["ours"][0]["threads"],
        "pairs_per_second": {side: round(value, 3) for side, value in speed.items()},
        "pairs_per_cpu_second": {side: round(value, 3) for side, value in cpu.items()},
        "seconds": {side: [round(done["seconds"], 1) for done in rounds[side]] for side in SIDES},
        "memory_mib": memory,
        "ours / trl, pairs_per_second": round(speed["ours"] / speed["trl"], 3),
        "ours / trl, pairs_per_cpu_second": round(cpu["ours"] / cpu["trl"], 3),
        "ours / trl, memory": round(memory["ours"] / memory["trl"], 3),
        "last_loss": {side: round(rounds[side][0]["loss"], 4) for side in SIDES},
    }
    if asked.whole:
        figures["accuracy"] = accuracies({side: rounds[side][0]["rewards"] for side in SIDES}, read(asked).test)
    return figures


def accuracies(rewards: dict[str, Any], test: list[Example]) -> dict[str, str]:
    """Each side's accuracy and their difference, with 95 % intervals over prompts."""
    prompts = [example.group for example in test]
    right = {side: hits(values, test) for side, values in rewards.items()}
    shown = {}
    for name, values in {**right, "ours minus trl": right["ours"] - right["trl"]}.items():
        value, low, high = interval(np.asarray(values), prompts)
        shown[name] = f"{value:.1%} ({low:.1%} to {high:.1%})"
    return shown | {"test pairs": str(len(test))}


def run(side: str) -> dict[str, Any]:
    """One side in a process of its own, with the options of this one."""
    command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--side", side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def read(asked: argparse.Namespace) -> Pairs:
    """The same pairs and tokens for both sides."""
    from transformers import AutoTokenizer

    records = (record for _, record in read_records(data_folder() / FILES["hh"]) if isinstance(record, Pair))
    wanted = round(1.2 * asked.pairs / (1 - HELD_OUT if asked.whole else 1)) + 4 * BATCH  # a few are dropped
    made, _ = examples(((record, None) for record in islice(records, wanted)), "scalar", "human")
    decided = [example for example in made if example.p_first is not None and example.p_first != 0.5]
    tokenizer = AutoTokenizer.from_pretrained(asked.backbone)
    collate = Collator(tokenizer, "scalar", LENGTH, "packed", cache_size=10**9)
    kept = collate.fit(decided).examples
    training, test = split(kept, HELD_OUT, asked.seed) if asked.whole else (kept, [])
    return Pairs(training[: asked.pairs], test, collate, tokenizer)


class _Clock:
    """Seconds and processor seconds of a training."""

    def __init__(self) -> None:
        self.begun = self.ended = (0.0, 0.0)

    def start(self) -> None:
        self.begun = (time.perf_counter(), time.process_time())

    def stop(self) -> None:
        self.ended = (time.perf_counter(), time.process_time())

    def result(self, pairs: Pairs, loss: float, rewards: list[Any]) -> dict[str, Any]:
        import torch

        cuda = torch.cuda.is_available()
        memory = (
            torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        )
        return {
            "pairs": len(pairs.training),
            "seconds": self.ended[0] - self.begun[0],
            "cpu_seconds": self.ended[1] - self.begun[1],
            "memory_mib": round(memory / 2**20),
            "threads": torch.get_num_threads(),
            "loss": loss,
            "rewards": rewards,
        }


def ours(pairs: Pairs, asked: argparse.Namespace) -> dict[str, Any]:
    """`rmjudge distill`'s loop."""
    from judge.engines.spec import read_settings
    from judge.rewards.distill import training_job
    from judge.rewards.preparation import PreparedTraining
    from judge.rewards.training.loop import make_accelerator, predict, train
    from judge.rewards.training.training_log import NoCallback

    class Timed(NoCallback):
        def on_start(self, step: int, steps: int) -> None:
            clock.start()

        def on_step(self, row: dict[str, Any]) -> None:
            clock.stop()

    clock = _Clock()
    config = RewardConfig.of(
        **{
            "kind": "scalar",
            "backbone": asked.backbone,
            "max_length": LENGTH,
            "batch_size": BATCH,
            "batch_tokens": asked.batch_tokens,
            "lora_rank": asked.lora_rank,
            "lr_scheduler_type": "linear",
            "learning_rate": asked.rate,
            "seed": asked.seed,
            "dtype": asked.dtype,
            **read_settings(asked.set),
        }
    )
    prepared = PreparedTraining(
        config=config,
        labels="human",
        parents=(),
        tokenizer=pairs.tokenizer,
        collate=pairs.collate,
        examples=pairs.training,
        validation=[],
        dropped=Counter(),
        cut=0,
        tokens=0,
        steps=0,
    )
    job = training_job(prepared)
    with tempfile.TemporaryDirectory() as folder:
        accelerator = make_accelerator(config, Path(folder))
        trained = train(job, Path(folder), accelerator, Timed())
    losses = [row["loss"] for row in trained.history if "loss" in row]
    memory = clock.result(pairs, losses[-1], [])
    if pairs.test:
        rewards, _ = predict(job, job.model, pairs.test, accelerator.device)
        memory["rewards"] = rewards.reshape(len(pairs.test), 2, 1).tolist()
    return memory


def trl(pairs: Pairs, asked: argparse.Namespace) -> dict[str, Any]:
    """TRL's RewardTrainer on the same tokens, with its own head and pooling, as its documentation has it."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import RewardConfig as TrlConfig
    from trl import RewardTrainer

    clock, bf16 = _Clock(), asked.dtype == "bfloat16"

    class Timed(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, *state: Any, **more: Any) -> None:
            clock.start()

        def on_step_end(self, *state: Any, **more: Any) -> None:
            clock.stop()

    adapters = LoraConfig(r=asked.lora_rank, lora_alpha=16, target_modules="all-linear", modules_to_save=["score"])
    with tempfile.TemporaryDirectory() as folder:
        config = TrlConfig(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            learning_rate=asked.rate,
            lr_scheduler_type="linear",
            warmup_steps=0.05,
            max_length=None,
            bf16=bf16,
            gradient_checkpointing=not asked.plain_trl,
            use_cpu=not torch.cuda.is_available(),
            seed=asked.seed,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            model_init_kwargs={"dtype": torch.bfloat16 if bf16 and asked.lora_rank else torch.float32},
        )
        trainer = RewardTrainer(
            model=asked.backbone,
            args=config,
            train_dataset=Dataset.from_list([sides_of(pairs, example) for example in pairs.training]),
            processing_class=pairs.tokenizer,
            peft_config=adapters if asked.lora_rank else None,
            callbacks=[Timed()],
        )
        trainer.train()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    result = clock.result(pairs, losses[-1], [])
    model = trainer.model.eval()
    padded = Collator(pairs.tokenizer, "scalar", LENGTH, "padded")
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        for example in pairs.test:
            batch = padded([example]).to(model.device)
            logits = model(input_ids=batch.tokens, attention_mask=batch.mask).logits
            result["rewards"].append(logits.float().cpu().tolist())
    return result


SIDES = {"trl": trl, "ours": ours}

if __name__ == "__main__":
    main()
