"""Does σ tell wrong verdicts from right ones? AUROC of "the model is wrong on this pair" by σ, σ/|d| and |d| alone.

    python benchmarks/uncertainty.py --data DIR                      HH-RLHF, FineGrainedRLHF, simulated labels; tiny
    python benchmarks/uncertainty.py --data DIR --set hh --pairs 600 --backbone MODEL --freeze

`DIR` holds hh-rlhf/harmless-base-test.jsonl.gz and finegrained-rlhf/dev_feedback.json as their authors published them.
A third of the prompts is held out, whole. One ensemble of five heads is trained on the rest by `rmjudge distill`'s
loop; all four methods are then fitted to that one model, so they speak of the same verdicts and differ in σ alone:

    members   what the trained heads say          refit     last layers refitted by bootstraps
    laplace   posterior of the last layer         dropout   the head under masks of its features

Simulated labels: a reward that is linear in the untrained backbone's features of HH-RLHF's texts, along the forty
directions in which these differ most, its differences' deviation 2; labels are drawn from it by Bradley and Terry's
model. "Wrong" is then held against the reward itself and not against a drawn label, so nothing but the model errs. The
heads alone are trained, and two thirds of the prompts are held out.

With `--freeze`, and for simulated labels, features are read once and the heads learn from them for ten epochs.

d is the difference of the rewards. Novelty is the feature bank's distance, the larger of a pair's two. An AUROC of 0.5
says nothing. Intervals: 95 %, 1000 draws of prompts. `minus |d|` is the AUROC less that of |d| on the same draws.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from judge.formats import read_records
from judge.records import Message, Pair
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator
from judge.rewards.data.examples import Example, examples
from judge.rewards.data.grouping import split
from judge.rewards.distill import training_job
from judge.rewards.modeling.feature_bank import FeatureBank
from judge.rewards.modeling.reward_model import RewardModule
from judge.rewards.modeling.uncertainty import Members, Uncertainty, fit_dropout, fit_laplace, fit_refit
from judge.rewards.preparation import PreparedTraining, load_tokenizer
from judge.rewards.training.after_training import statements_of
from judge.rewards.training.loop import TrainingJob, make_accelerator, predict, train
from judge.tiny import READER

Floats = NDArray[np.float64]
FILES = {
    "hh": Path("hh-rlhf") / "harmless-base-test.jsonl.gz",
    "finegrained": Path("finegrained-rlhf") / "dev_feedback.json",
}
SETS = (*FILES, "simulated")
MEMBERS, DRAWS, FROZEN_EPOCHS = 5, 1000, 10.0
FROZEN: dict[str, torch.Tensor] = {}  # features of the backbone as it is, which sets share
SIMULATED, SIMULATED_SPREAD = 40, 2.0  # directions of the simulated reward, and its differences' deviation


class Judged(NamedTuple):
    """The held-out pairs: whether each verdict is wrong, its |d|, σ of d by method, novelty, and prompts' numbers."""

    wrong: Floats
    size: Floats
    sigma: dict[str, Floats]
    novelty: Floats
    prompt: NDArray[np.int64]


def main() -> None:
    """Read the options, train on each set, print a table a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--set", choices=SETS, action="append", help="all, by default")
    parser.add_argument("--backbone", default=str(READER), help="a model directory; the embedded judge's by default")
    parser.add_argument("--pairs", type=int, default=0, help="at most so many, training and test together")
    parser.add_argument("--freeze", action="store_true", help="train the heads alone")
    parser.add_argument("--lora-rank", type=int, default=0)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=0.0, help="0: rmjudge's own")
    parser.add_argument("--dtype", default="auto", help="auto, float32 or bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.set or SETS:
        began = time.monotonic()
        judged, counts = run(name, options)
        show(name, judged, counts, time.monotonic() - began)


def run(name: str, options: argparse.Namespace) -> tuple[Judged, dict[str, int]]:
    """Train on one set and read the pairs that were held out."""
    simulated = name == "simulated"
    frozen = options.freeze or simulated
    config = RewardConfig.of(
        kind="ensemble",
        members=MEMBERS,
        backbone=options.backbone,
        freeze_backbone=frozen,
        lora_rank=0 if frozen else options.lora_rank,
        max_length=options.max_length,
        epochs=max(options.epochs, FROZEN_EPOCHS) if frozen else options.epochs,
        learning_rate=options.rate,
        dtype=options.dtype,
        seed=options.seed,
    )
    prepared = read("hh" if simulated else name, config, 2 / 3 if simulated else 1 / 3, options)
    job = training_job(prepared)
    model, count = job.model, len(prepared.examples)
    assert isinstance(model, RewardModule)
    every, truth = [*prepared.examples, *prepared.validation], None
    with tempfile.TemporaryDirectory() as folder:
        accelerator = make_accelerator(config, Path(folder))
        if not frozen:
            train(job, Path(folder), accelerator)
        features = read_features(job, every, accelerator.device, known=FROZEN if frozen else {})
        if simulated:
            every, truth = simulate(every, features, options.seed)
        heads = Heads(model.head, {example.id: row for example, row in zip(every, features.split(2), strict=True)})
        job = replace(job, model=heads, collate=heads, examples=every[:count], validation=every[count:])
        if frozen:
            train(job, Path(folder), accelerator)
    judged = judge_pairs(job, heads.head.cpu(), features, truth)
    return judged, {"training pairs": count, "test pairs": len(every) - count}


def read_features(
    job: TrainingJob, every: Sequence[Example], device: Any, known: dict[str, torch.Tensor]
) -> torch.Tensor:
    """(N, F) of pairs; those that are known are not read again."""
    unknown = [example for example in every if example.id not in known]
    if unknown:
        features, _ = predict(job, FeaturesOf(job.model.to(device)), unknown, device)
        known |= {example.id: rows for example, rows in zip(unknown, features.split(2), strict=True)}
    return torch.cat([known[example.id] for example in every])


def read(name: str, config: RewardConfig, held_out: float, options: argparse.Namespace) -> PreparedTraining:
    """Decided pairs of a set, split by prompt."""
    records = [record for _, record in read_records(options.data / FILES[name]) if isinstance(record, Pair)]
    made, _ = examples([(question_alone(record), None) for record in records], "scalar", "human")
    decided = [example for example in made if example.p_first not in (None, 0.5)]
    drawn = np.random.default_rng(options.seed).permutation(len(decided))[: options.pairs or None]
    tokenizer = load_tokenizer(config.model.backbone)
    collate = Collator(tokenizer, config.model.kind, config.data.max_length, "packed", cache_size=10**9)
    fitting = collate.fit([decided[place] for place in sorted(drawn)]).examples
    training, test = split(fitting, held_out, options.seed)
    return PreparedTraining(
        config=config,
        labels="human",
        parents=(),
        tokenizer=tokenizer,
        collate=collate,
        examples=training,
        validation=test,
        dropped=Counter(),
        cut=0,
        tokens=0,
        steps=0,
    )


def question_alone(record: Pair) -> Pair:
    """FineGrainedRLHF without its passages, with which most texts would be cut; other pairs as they are."""
    if "question" not in record.meta:
        return record
    prompt = (Message("user", str(record.meta["question"])),)
    return Pair(prompt=prompt, first=record.first, second=record.second, human=record.human, meta=record.meta)


def simulate(every: Sequence[Example], features: torch.Tensor, seed: int) -> tuple[list[Example], Floats]:
    """The same pairs with labels drawn from a known reward, and its difference for each pair."""
    inputs = features[0::2].double() - features[1::2].double()
    variances, directions = torch.linalg.eigh(inputs.T @ inputs / len(inputs))
    # The reward varies alike along the directions in which the texts differ most, so it can be learnt.
    draw = np.random.default_rng(seed)
    weights = torch.tensor(draw.normal(size=SIMULATED)) / variances[-SIMULATED:].clamp(min=1e-9).sqrt()
    difference: Floats = (inputs @ directions[:, -SIMULATED:] @ weights).numpy()
    difference *= SIMULATED_SPREAD / difference.std()
    first = draw.random(len(every)) < 1 / (1 + np.exp(-difference))
    labelled = [replace(example, p_first=float(better)) for example, better in zip(every, first, strict=True)]
    return labelled, difference


class FeaturesOf(torch.nn.Module):
    """The features that the head reads."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any) -> torch.Tensor:
        features: torch.Tensor = self.model.read(batch).features
        return features


class FeatureBatch(NamedTuple):
    """Features (N, F) as a batch."""

    features: torch.Tensor

    @property
    def size(self) -> int:
        """Of the batch, in texts."""
        return len(self.features)

    def to(self, device: Any) -> "FeatureBatch":
        """The same on another device."""
        return FeatureBatch(self.features.to(device))


class Heads(torch.nn.Module):
    """Heads on features that were read once: a model for the loop, and its collator."""

    def __init__(self, head: torch.nn.Module, features: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.head, self.features = head, features

    def forward(self, batch: FeatureBatch | Sequence[Example]) -> Any:
        """Rewards of a batch, or a batch of examples."""
        if isinstance(batch, FeatureBatch):
            return self.head(batch.features)
        return FeatureBatch(torch.cat([self.features[example.id] for example in batch]))

    def lengths(self, examples: Sequence[Example]) -> list[int]:
        """Of each example, in texts."""
        return [2] * len(examples)


@torch.no_grad()
def judge_pairs(job: TrainingJob, head: torch.nn.Module, features: torch.Tensor, truth: Floats | None) -> Judged:
    """What the head says of the held-out pairs, and σ of their differences by each method."""
    test, split_at = job.validation, 2 * len(job.examples)
    known, new = features[:split_at], features[split_at:]
    values = head.eval()(new)
    values = values - values.mean(0)
    rewards = values.mean(-1)
    difference = (rewards[0::2] - rewards[1::2]).double().numpy()
    if truth is None:
        preferred = np.array([2.0 * (example.p_first or 0.0) - 1 for example in test])
    else:
        preferred = truth[len(job.examples) :]
    statements = statements_of(job, job.examples, known, "cpu")
    assert statements is not None
    methods: tuple[Uncertainty, ...] = (
        Members(),
        fit_refit(statements),
        fit_laplace(statements),
        fit_dropout(known, head, 0.0, job.config.training.seed),
    )
    sigma = {}
    for method in methods:
        deviations = method.deviations(new, values, head)
        sigma[method.name] = (deviations[0::2] - deviations[1::2]).norm(dim=-1).double().numpy()
    bank = FeatureBank(len(known), known.shape[1], MEMBERS)
    bank.add(known, torch.zeros(len(known), MEMBERS))
    novelty = bank.nearest(new).distance
    codes = {group: number for number, group in enumerate(dict.fromkeys(example.group for example in test))}
    return Judged(
        wrong=(np.sign(difference) != np.sign(preferred)).astype(float),
        size=np.abs(difference),
        sigma=sigma,
        novelty=torch.maximum(novelty[0::2], novelty[1::2]).double().numpy(),
        prompt=np.array([codes[example.group] for example in test]),
    )


# ---- figures ---------------------------------------------------------------------------------------------------------


def show(name: str, judged: Judged, counts: dict[str, int], seconds: float) -> None:
    """A table of one set."""
    indicators = {"|d|": -judged.size}
    for method, sigma in judged.sigma.items():
        indicators[f"{method}: σ"] = sigma
        indicators[f"{method}: σ/|d|"] = sigma / np.maximum(judged.size, 1e-9)
    indicators["novelty"] = judged.novelty
    counted = ", ".join(f"{count:,} {what}" for what, count in counts.items())
    print(f"\n{name}: {counted}, accuracy {1 - judged.wrong.mean():.1%}, {seconds:.0f} s", flush=True)
    print("| by | AUROC of wrong | minus \\|d\\| |\n|---|---|---|")
    for label, indicator in indicators.items():
        value, gain = intervals(indicator, indicators["|d|"], judged)
        print(f"| {label.replace('|', chr(92) + '|')} | {value} | {'' if label == '|d|' else gain} |", flush=True)


def intervals(indicator: Floats, baseline: Floats, judged: Judged) -> tuple[str, str]:
    """The AUROC of an indicator, and how much more it is than the baseline's, with intervals over prompts."""
    members = [np.flatnonzero(judged.prompt == number) for number in range(int(judged.prompt.max()) + 1)]
    draw, drawn = np.random.default_rng(0), []
    for _ in range(DRAWS):
        rows = np.concatenate([members[number] for number in draw.integers(len(members), size=len(members))])
        wrong = judged.wrong[rows]
        if 0 < wrong.sum() < len(wrong):
            value = auroc(indicator[rows], wrong)
            drawn.append((value, value - auroc(baseline[rows], wrong)))
    (low, low_gain), (high, high_gain) = np.quantile(drawn, [0.025, 0.975], axis=0)
    value = auroc(indicator, judged.wrong)
    gain = value - auroc(baseline, judged.wrong)
    return f"{value:.3f} ({low:.3f} to {high:.3f})", f"{gain:+.3f} ({low_gain:+.3f} to {high_gain:+.3f})"


def auroc(indicator: Sequence[float] | Floats, wrong: Floats) -> float:
    """P(a wrong verdict's indicator is above a right one's), ties counted half: Mann-Whitney's U over all pairs."""
    from scipy.stats import rankdata

    ranks, count = rankdata(indicator), wrong.sum()
    return float((ranks[wrong == 1].sum() - count * (count + 1) / 2) / (count * (len(wrong) - count)))


if __name__ == "__main__":
    main()
