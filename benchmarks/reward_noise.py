"""Wrong labels and calibration: a fifth of the training labels flipped, each loss beside its own clean self.

    python benchmarks/reward_noise.py [--losses "bradley_terry; forward_correction, flipped 0.2"]
    python benchmarks/reward_noise.py --data FILE --backbone DIRECTORY [--full [--lora 16]]

The first trains the embedded judge's backbone on pairs of its own field, by the library's own loop and with the
settings of benchmarks/distill.py. The second takes real preferences: the backbone is frozen and read once, and what
is trained, for every loss and several seeds, is a small network on its features (the library's losses, heads and
targets); with --full the backbone too. Labels of test and calibration are clean. Accuracy is of pairs that no
training saw, prompts apart, its interval by a bootstrap over prompts; "against plain" is each loss minus
bradley_terry, both on flipped labels, pair by pair. Then the probabilities: expected calibration
error (15 bins) on test pairs, as they are and after calibration on 500 others.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example, examples
from judge.rewards.data.targets import Targets
from judge.rewards.evaluation.calibration import calibrate, expected_calibration_error
from judge.rewards.losses.registry import get_loss
from judge.rewards.modeling.heads import make_head
from judge.rewards.modeling.reward_model import build_reward_model

# What a user names on the command line: a loss and its arguments. All but the first bear wrong labels.
LOSSES: dict[str, tuple[str, dict[str, float]]] = {
    "bradley_terry": ("bradley_terry", {}),
    "bradley_terry, smoothing 0.2": ("bradley_terry", {"smoothing": 0.2}),
    "forward_correction, flipped 0.2": ("forward_correction", {"flipped": 0.2}),
    "rdpo, flipped 0.2": ("rdpo", {"flipped": 0.2}),
    "generalized_cross_entropy, q 0.7": ("generalized_cross_entropy", {"q": 0.7}),
    "symmetric_cross_entropy": ("symmetric_cross_entropy", {}),
    "trimmed, share 0.2": ("trimmed", {"share": 0.2}),
}
_NAMES = "with --full, separated by semicolons: " + "; ".join(LOSSES)
RECIPE: dict[str, Any] = {
    "head": "likelihood",
    "optimizer": "muon",
    "learning_rate": 5e-4,
    "head_lr_multiplier": 10.0,
    "batch_size": 8,
    "dtype": "bfloat16",
}  # of benchmarks/distill.py
FLIPPED = 0.2
CALIBRATION = 500


class Part(NamedTuple):
    """Examples with the features (2E, H) of their responses."""

    examples: list[Example]
    features: Tensor

    def targets(self) -> Targets:
        return Targets.of(self.examples, "scalar")


def read(args: argparse.Namespace) -> list[Example]:
    """Decided pairs, in an order drawn by prompt."""
    if args.data:
        from judge.formats import read_records

        records: Any = [record for _, record in read_records(args.data)]
    else:
        from judge.tiny.samples import pairs

        records = list(pairs(args.train + args.held + args.test, seed=1, ties=0.0, neat=True))
    made, _ = examples(((record, None) for record in records), "scalar", "human")
    made = [example for example in made if example.p_first != 0.5]
    groups = sorted({example.group for example in made})
    random.Random(0).shuffle(groups)
    place = {group: number for number, group in enumerate(groups)}
    ordered = sorted(made, key=lambda example: place[example.group])
    return ordered[: args.train + args.held + args.test]


def parts(made: Sequence[Example], features: Tensor, args: argparse.Namespace) -> tuple[Part, Part, Part]:
    """Training, calibration and test: no prompt in two of them, at most as many as were asked for."""
    ends, end = [], 0
    for wanted in (args.held, min(args.test, len(made) // 3)):
        end += wanted
        while end < len(made) and made[end].group == made[end - 1].group:
            end += 1
        ends.append(end)
    last = min(len(made), ends[1] + args.train)
    cut = [(ends[1], last), (0, ends[0]), (ends[0], ends[1])]
    train, held, test = (Part(list(made[low:high]), features[2 * low : 2 * high]) for low, high in cut)
    return train, held, test


@torch.no_grad()
def read_features(made: Sequence[Example], config: RewardConfig, batch: int = 32) -> tuple[list[Example], Tensor]:
    """Those examples that fit, and what the frozen backbone makes of their responses, (2E, H)."""
    from transformers import AutoTokenizer

    model = build_reward_model(config, AutoTokenizer.from_pretrained(config.model.backbone)).eval()
    collate = model.collator(AutoTokenizer.from_pretrained(config.model.backbone))
    fitted = collate.fit(made).examples
    lengths = collate.lengths(fitted)
    order = sorted(range(len(fitted)), key=lambda place: lengths[place])
    seen: list[Tensor] = []
    model.head.register_forward_pre_hook(lambda _, given: seen.append(given[0].float()))
    rows: dict[int, Tensor] = {}
    bf16 = torch.cpu._is_avx512_bf16_supported()  # features of a frozen backbone bear it
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            model(collate([fitted[place] for place in places]))
        rows.update(zip(places, seen.pop().split(2), strict=True))
    return fitted, torch.cat([rows[place] for place in range(len(fitted))])


def flip(made: Sequence[Example], seed: int) -> list[Example]:
    """A fifth of the labels turned round."""
    draw = random.Random(seed)
    wrong = set(draw.sample(range(len(made)), round(FLIPPED * len(made))))
    return [
        replace(example, p_first=1 - (example.p_first or 0.0)) if place in wrong else example
        for place, example in enumerate(made)
    ]


def train_head(
    part: Part, labels: Sequence[Example], loss: str, arguments: dict[str, float], args: Any, seed: int
) -> Any:
    """A reward head on features, AdamW and a cosine, the epochs that were asked for."""
    torch.manual_seed(seed)
    made = make_head(args.head, part.features.shape[1], 1, args.dropout)
    cost = get_loss(loss, **arguments)
    optimizer = torch.optim.AdamW(made.parameters(), lr=args.rate, weight_decay=args.decay)
    steps = args.epochs * (len(labels) // args.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    features = part.features.unflatten(0, (-1, 2))
    for _ in range(args.epochs):
        order = torch.randperm(len(labels))
        for places in order[: len(labels) // args.batch * args.batch].split(args.batch):
            targets = Targets.of([labels[place] for place in places.tolist()], "scalar")
            value = cost(made(features[places].flatten(0, 1)), targets)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
    return made.eval()


@torch.no_grad()
def right(made: Any, part: Part) -> tuple[np.ndarray, Tensor]:
    """(E,) whether each pair is told right, and the rewards (2E, 1)."""
    rewards = made(part.features)
    first, second = rewards.reshape(-1, 2).unbind(-1)
    labels = torch.tensor([example.p_first or 0.0 for example in part.examples])
    hits = torch.sign(first - second) == torch.sign(labels - 0.5)
    return hits.double().numpy(), rewards


def interval(values: np.ndarray, groups: Sequence[str], resamples: int = 2000) -> tuple[float, float, float]:
    """Mean of values (E,) with a 95 % interval, prompts drawn whole."""
    _, code = np.unique(np.array(groups), return_inverse=True)
    sums, sizes = np.bincount(code, weights=values), np.bincount(code).astype(float)
    weights = np.random.default_rng(0).multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=resamples)
    low, high = np.quantile((weights @ sums) / (weights @ sizes), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def points(values: np.ndarray, groups: Sequence[str]) -> str:
    """Percentage points with their interval, in words."""
    mean, low, high = (100 * value for value in interval(values, groups))
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"


def ece_of(rewards: Tensor, part: Part, by: Any) -> str:
    """Error of the probabilities of test pairs, each in both orders."""
    differences = (rewards[0::2, 0] - rewards[1::2, 0]).double()
    p = np.array([by.pair(float(d)) for d in differences])
    label = np.array([example.p_first for example in part.examples], dtype=float)
    groups = np.unique([example.group for example in part.examples], return_inverse=True)[1]
    error = expected_calibration_error(
        np.concatenate([p, 1 - p]), np.concatenate([label, 1 - label]), np.tile(groups, 2)
    )
    return f"{error.value:.3f} ({error.low:.3f} to {error.high:.3f})"


def noise(train: Part, test: Part, args: argparse.Namespace) -> dict[tuple[str, bool], list[Any]]:
    """The table of losses; the heads of every seed."""
    groups = [example.group for example in test.examples]
    print(f"\n| loss | clean | {FLIPPED:.0%} flipped | lost | against clean bradley-terry | against plain, flipped |")
    print("|---|---:|---:|---:|---:|---:|")
    heads: dict[tuple[str, bool], list[Any]] = {}
    plain: dict[bool, np.ndarray] = {}
    for name, (loss, arguments) in LOSSES.items():
        hits: dict[bool, np.ndarray] = {}
        for flipped in (False, True):
            made = [
                train_head(
                    train, flip(train.examples, seed) if flipped else train.examples, loss, arguments, args, seed
                )
                for seed in range(args.seeds)
            ]
            heads[name, flipped] = made
            hits[flipped] = np.mean([right(head, test)[0] for head in made], axis=0)
        plain = plain or hits
        clean, noisy = (points(hits[flipped], groups) for flipped in (False, True))
        differences = (hits[False] - hits[True], plain[False] - hits[True], hits[True] - plain[True])
        cells = " | ".join(points(difference, groups) for difference in differences)
        print(f"| {name} | {clean} | {noisy} | {cells} |", flush=True)
    return heads


def calibration(heads: dict[tuple[str, bool], list[Any]], held: Part, test: Part) -> None:
    """The table of calibration errors, of the first seed's heads."""
    count, fitted_on = len(test.examples), len(held.examples)
    print(f"\n| trained on | ECE as it is, {count} test pairs | after calibration on {fitted_on} | by |")
    print("|---|---:|---:|---|")
    for name, flipped in heads:
        if name not in ("bradley_terry", "forward_correction, flipped 0.2"):
            continue
        made = heads[name, flipped][0]
        fitted = calibrate(right(made, held)[1], held.targets(), held.examples, RewardConfig.of())
        rewards = right(made, test)[1]
        plain = replace(fitted, temperature=1.0, knots=(), values=())
        how = f"T = {fitted.temperature:.2f}" if fitted.method == "temperature" else fitted.method
        labels = f"{FLIPPED:.0%} flipped" if flipped else "clean"
        print(f"| {labels} labels, {name} | {ece_of(rewards, test, plain)} | {ece_of(rewards, test, fitted)} | {how} |")


def full(made: Sequence[Example], args: argparse.Namespace) -> None:
    """The whole model trained by the library's own loop, on clean and on flipped labels."""
    fitted = training_job(args.config, []).collate.fit(made).examples
    train, held, test = parts(fitted, torch.zeros(2 * len(fitted), 0), args)
    groups = [example.group for example in test.examples]
    print(f"{len(train.examples)} training, {len(held.examples)} calibration, {len(test.examples)} test pairs")
    print(
        f"\n| loss | labels | accuracy | lost | against plain | ECE as it is | after calibration on {args.held} | s |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    recipe = {"lora_rank": args.lora, "epochs": float(args.epochs)} if args.data else RECIPE
    plain: dict[bool, np.ndarray] = {}
    for name in args.losses:
        loss, arguments = LOSSES[name]
        config = args.config.updated(freeze_backbone=False, loss=loss, loss_arguments=arguments, **recipe)
        hits: dict[bool, np.ndarray] = {}
        for flipped in args.flipped:
            labels = flip(train.examples, 0) if flipped else train.examples
            began = time.perf_counter()
            job, device = trained(config, labels)
            seconds = time.perf_counter() - began
            hits[flipped], errors = whole(job, device, held, test)
            lost = points(hits[False] - hits[flipped], groups) if flipped and False in hits else ""
            against = points(hits[flipped] - plain[flipped], groups) if plain else ""
            named = (name, f"{FLIPPED:.0%} flipped" if flipped else "clean", points(hits[flipped], groups))
            print(f"| {' | '.join((*named, lost, against, *errors))} | {seconds:.0f} |", flush=True)
        plain = plain or hits


def whole(job: Any, device: Any, held: Part, test: Part) -> tuple[np.ndarray, tuple[str, str]]:
    """Which test pairs are told right, and the ECE before and after calibration."""
    from judge.rewards.training.loop import predict

    fitted = calibrate(*predict(job, job.model, held.examples, device), held.examples, RewardConfig.of())
    rewards, targets = predict(job, job.model, test.examples, device)
    assert targets.p_first is not None
    first, second = rewards[:, 0].reshape(-1, 2).unbind(-1)
    hits = ((first > second) == (targets.p_first > 0.5)).double().numpy()
    uncalibrated = replace(fitted, temperature=1.0, knots=(), values=())
    return hits, (ece_of(rewards, test, uncalibrated), ece_of(rewards, test, fitted))


def trained(config: RewardConfig, labels: Sequence[Example]) -> tuple[Any, Any]:
    """A whole model after its training, and its device."""
    from judge.rewards.training.loop import make_accelerator, train

    job = training_job(config, labels)
    with tempfile.TemporaryDirectory() as folder:
        accelerator = make_accelerator(config, Path(folder))
        train(job, Path(folder), accelerator)
    job.model.to(accelerator.device)
    return job, accelerator.device


def training_job(config: RewardConfig, labels: Sequence[Example]) -> Any:
    """A new model with a new head, and all that its training needs."""
    from transformers import AutoTokenizer

    from judge.rewards.losses.registry import training_loss
    from judge.rewards.training.loop import TrainingJob

    tokenizer = AutoTokenizer.from_pretrained(config.model.backbone)
    model = build_reward_model(config, tokenizer)
    return TrainingJob(
        model=model,
        collate=model.collator(tokenizer),
        loss=training_loss(config),
        examples=labels,
        validation=[],
        config=config,
        targets=lambda some: Targets.of(some, config.model.kind),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="preferences in any format that rmjudge reads; none are generated")
    parser.add_argument("--backbone", default="", help="a directory; the embedded judge's")
    parser.add_argument("--train", type=int, default=1200, help="training pairs")
    parser.add_argument("--test", type=int, default=1000, help="test pairs, a third of all at most")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--decay", type=float, default=0.01)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--head", default="mlp", choices=("linear", "mlp"))
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument(
        "--losses",
        default="bradley_terry; forward_correction, flipped 0.2; generalized_cross_entropy, q 0.7",
        help=_NAMES,
    )
    parser.add_argument("--full", action="store_true", help="train the backbone too (minutes); always without --data")
    parser.add_argument("--lora", type=int, default=0, help="with --full and --data: rank of low-rank adapters")
    parser.add_argument("--held", type=int, default=CALIBRATION, help="pairs to calibrate on")
    parser.add_argument("--noisy-only", action="store_true", help="with --full: no training on clean labels")
    args = parser.parse_args()
    from judge.tiny import READER

    args.flipped = (True,) if args.noisy_only else (False, True)
    args.losses = [name.strip() for name in args.losses.split(";")]
    args.config = RewardConfig.of(
        backbone=args.backbone or str(READER), freeze_backbone=True, max_length=args.max_length
    )
    made = read(args)
    if args.full or not args.data:
        full(made, args)
        return
    began = time.perf_counter()
    made, features = read_features(made, args.config)
    train, held, test = parts(made, features, args)
    sizes = ", ".join(f"{len(part.examples)} {name}" for name, part in zip(_PARTS, (train, held, test), strict=True))
    print(f"{sizes} pairs; features of width {features.shape[1]} in {time.perf_counter() - began:.0f} s")
    began = time.perf_counter()
    heads = noise(train, test, args)
    calibration(heads, held, test)
    print(f"\n{len(LOSSES)} losses, {args.seeds} seeds, clean and flipped: {time.perf_counter() - began:.0f} s")


_PARTS = ("training", "calibration", "test")

if __name__ == "__main__":
    main()
