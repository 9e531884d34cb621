"""Wrong labels and calibration: a fifth of the training labels flipped, each loss beside its own clean self.

    python benchmarks/reward_noise.py [--losses "bradley_terry; forward_correction, flipped 0.2"]
    python benchmarks/reward_noise.py --data FILE --backbone DIRECTORY [--full]

The first trains the embedded judge's backbone on pairs of its own field, by the library's own loop and with the
settings of benchmarks/distill.py. The second takes real preferences: the backbone is frozen and read once, and what
is trained, for every loss and several seeds, is a small network on its features (the library's losses, heads and
targets); with --full the backbone too. Labels of test and calibration are clean. Accuracy is of pairs that no
training saw, prompts apart, its interval by a bootstrap over prompts. Then the probabilities: expected calibration
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

        records = list(pairs(args.train + CALIBRATION + args.test, seed=1, ties=0.0, neat=True))
    made, _ = examples(((record, None) for record in records), "scalar", "human")
    made = [one for one in made if one.p_first != 0.5]
    groups = sorted({one.group for one in made})
    random.Random(0).shuffle(groups)
    place = {group: at for at, group in enumerate(groups)}
    return sorted(made, key=lambda one: place[one.group])


def parts(made: Sequence[Example], features: Tensor, args: argparse.Namespace) -> tuple[Part, Part, Part]:
    """Training, calibration and test: no prompt in two of them, at most as many as were asked for."""
    ends, at = [], 0
    for wanted in (CALIBRATION, min(args.test, len(made) // 3)):
        at += wanted
        while at < len(made) and made[at].group == made[at - 1].group:
            at += 1
        ends.append(at)
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
    order = sorted(range(len(fitted)), key=lambda at: lengths[at])
    seen: list[Tensor] = []
    model.head.register_forward_pre_hook(lambda _, given: seen.append(given[0].float()))
    rows: dict[int, Tensor] = {}
    bf16 = torch.cpu._is_avx512_bf16_supported()  # features of a frozen backbone bear it
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            model(collate([fitted[at] for at in places]))
        rows.update(zip(places, seen.pop().split(2), strict=True))
    return fitted, torch.cat([rows[at] for at in range(len(fitted))])


def flip(made: Sequence[Example], seed: int) -> list[Example]:
    """A fifth of the labels turned round."""
    draw = random.Random(seed)
    wrong = set(draw.sample(range(len(made)), round(FLIPPED * len(made))))
    return [replace(one, p_first=1 - (one.p_first or 0.0)) if at in wrong else one for at, one in enumerate(made)]


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
            targets = Targets.of([labels[at] for at in places.tolist()], "scalar")
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
    said = rewards.reshape(-1, 2)
    labels = torch.tensor([one.p_first or 0.0 for one in part.examples])
    hits = torch.sign(said[:, 0] - said[:, 1]) == torch.sign(labels - 0.5)
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
    label = np.array([one.p_first for one in part.examples], dtype=float)
    groups = np.unique([one.group for one in part.examples], return_inverse=True)[1]
    found = expected_calibration_error(
        np.concatenate([p, 1 - p]), np.concatenate([label, 1 - label]), np.tile(groups, 2)
    )
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def noise(train: Part, test: Part, args: argparse.Namespace) -> dict[tuple[str, bool], list[Any]]:
    """The table of losses; the heads of every seed."""
    groups = [one.group for one in test.examples]
    print(f"\n| loss | clean | {FLIPPED:.0%} flipped | lost | against clean bradley-terry |")
    print("|---|---:|---:|---:|---:|")
    heads: dict[tuple[str, bool], list[Any]] = {}
    plain = np.zeros(len(groups))
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
            hits[flipped] = np.mean([right(one, test)[0] for one in made], axis=0)
        if name == "bradley_terry":
            plain = hits[False]
        clean, noisy = (100 * hits[flipped].mean() for flipped in (False, True))
        told = " | ".join(points(apart, groups) for apart in (hits[False] - hits[True], plain - hits[True]))
        print(f"| {name} | {clean:.1f} % | {noisy:.1f} % | {told} |", flush=True)
    return heads


def calibration(heads: dict[tuple[str, bool], list[Any]], held: Part, test: Part) -> None:
    """The table of calibration errors, of the first seed's heads."""
    print(f"\n| trained on | ECE as it is, {len(test.examples)} test pairs | after calibration on {CALIBRATION} | by |")
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
    groups = [one.group for one in test.examples]
    print(f"{len(train.examples)} training, {len(held.examples)} calibration, {len(test.examples)} test pairs")
    print(f"\n| loss | labels | accuracy | lost | ECE as it is | after calibration on {CALIBRATION} | seconds |")
    print("|---|---|---:|---:|---:|---:|---:|")
    recipe = {} if args.data else RECIPE
    for name in args.losses:
        loss, arguments = LOSSES[name]
        config = args.config.updated(freeze_backbone=False, loss=loss, loss_arguments=arguments, **recipe)
        clean = np.zeros(0)
        for flipped in (False, True):
            labels = flip(train.examples, 0) if flipped else train.examples
            began = time.perf_counter()
            job, device = trained(config, labels)
            seconds = time.perf_counter() - began
            rows = (name, f"{FLIPPED:.0%} flipped" if flipped else "clean")
            told, clean = whole(job, device, held, test, groups, clean)
            print(f"| {' | '.join((*rows, *told))} | {seconds:.0f} |", flush=True)


def whole(job: Any, device: Any, held: Part, test: Part, groups: Sequence[str], clean: np.ndarray) -> Any:
    """Accuracy, points lost against `clean` (none: these are the clean ones), ECE before and after; and the hits."""
    from judge.rewards.training.loop import predict

    fitted = calibrate(*predict(job, job.model, held.examples, device), held.examples, RewardConfig.of())
    rewards, targets = predict(job, job.model, test.examples, device)
    assert targets.p_first is not None
    said = rewards[:, 0].reshape(-1, 2)
    hits = ((said[:, 0] > said[:, 1]) == (targets.p_first > 0.5)).double().numpy()
    plain = replace(fitted, temperature=1.0, knots=(), values=())
    lost = points(clean - hits, groups) if len(clean) else ""
    told = (f"{100 * hits.mean():.1f} %", lost, ece_of(rewards, test, plain), ece_of(rewards, test, fitted))
    return told, clean if len(clean) else hits


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
    args = parser.parse_args()
    from judge.tiny import READER

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
