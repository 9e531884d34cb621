"""Scoring N responses to one long prompt with a model that others trained: ours beside two loops of transformers.

    python benchmarks/score_n.py [--model build/real/SmolLM2-135M-Instruct] [--responses 16] [--rounds 3]

A sequence classifier is made of the model (its head drawn by a seed) and saved; all sides read it from that directory,
in fp32, texts and tokens included in the times:

    loop       each text by itself through the classifier
    batches    texts sorted by length, padded on the right, 8 a batch
    ours       `judge.open_reward(DIRECTORY).score_batch`: one packed row, the prompt computed once

Rounds are interleaved; a ratio is the median of the rounds' ratios. The responses have 50 to 250 words.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

import judge

WORDS = (
    "the a sum answer follows from both sides and is checked once more so it holds for every case that we know".split()
)
BATCH = 8
Side = Callable[[], list[float]]


def main() -> None:
    """Print each side's seconds, the ratios, and how far the scores lie apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("build/real/SmolLM2-135M-Instruct"))
    parser.add_argument("--responses", type=int, default=16)
    parser.add_argument("--prompt", type=int, default=1000, help="tokens of the prompt")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rmjudge-score-n-") as name:
        folder = classifier(arguments.model, Path(name))
        sides = sides_of(folder, *texts(folder, arguments.prompt, arguments.responses))
        scores, seconds = measure(sides, arguments.rounds)
    for side, taken in seconds.items():
        print(f"{side}: {statistics.median(taken):.2f} s ({', '.join(f'{value:.2f}' for value in taken)})")
    for side in ("loop", "batches"):
        ratios = [theirs / ours for theirs, ours in zip(seconds[side], seconds["ours"], strict=True)]
        print(f"{side} / ours: {statistics.median(ratios):.2f} ({', '.join(f'{ratio:.2f}' for ratio in ratios)})")
        difference = max(abs(one - other) for one, other in zip(scores[side], scores["ours"], strict=True))
        spread = f"{min(scores[side]):.2f} to {max(scores[side]):.2f}"
        print(f"  largest difference of a score: {difference:.1e} (scores {spread})")


def classifier(model: Path, folder: Path) -> Path:
    """A sequence classifier of one output made of a language model, saved in fp32."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.float32).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


def texts(folder: Path, length: int, count: int) -> tuple[str, list[str]]:
    """A prompt of so many tokens in the chat template, and responses to it."""
    from transformers import AutoTokenizer

    tokenizer, rng = AutoTokenizer.from_pretrained(folder), random.Random(0)
    words: list[str] = []
    while len(_tokens(tokenizer, [{"role": "user", "content": " ".join(words)}])) < length:
        words += rng.choices(WORDS, k=5)
    return " ".join(words), [" ".join(rng.choices(WORDS, k=rng.randint(50, 250))) for _ in range(count)]


def _tokens(tokenizer: Any, turns: list[dict[str, str]]) -> list[int]:
    ids: list[int] = tokenizer.apply_chat_template(turns, tokenize=True)["input_ids"]
    return ids


def sides_of(folder: Path, prompt: str, responses: Sequence[str]) -> dict[str, Side]:
    """What is timed; every model is loaded already."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    ours = judge.open_reward(folder, dtype="float32", device="cpu")
    ours.score_batch([("warm", "up")])

    def encoded() -> list[list[int]]:
        question = {"role": "user", "content": prompt}
        return [_tokens(tokenizer, [question, {"role": "assistant", "content": answer}]) for answer in responses]

    @torch.inference_mode()
    def loop() -> list[float]:
        return [float(model(torch.tensor([ids])).logits[0, 0]) for ids in encoded()]

    @torch.inference_mode()
    def batches() -> list[float]:
        ids = encoded()
        order = sorted(range(len(ids)), key=lambda place: -len(ids[place]))
        scores = [0.0] * len(ids)
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            batch = tokenizer.pad({"input_ids": [ids[place] for place in places]}, return_tensors="pt")
            for place, logit in zip(places, model(**batch).logits[:, 0].tolist(), strict=True):
                scores[place] = logit
        return scores

    def packed() -> list[float]:
        return [float(reward) for (reward,) in ours.score_batch([(prompt, answer) for answer in responses])]

    return {"loop": loop, "batches": batches, "ours": packed}


def measure(sides: dict[str, Side], rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Scores of each side, and its seconds in each round; the order of the sides turns from round to round."""
    scores: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            began = time.perf_counter()
            scores[name] = sides[name]()
            seconds[name].append(time.perf_counter() - began)
    return scores, seconds


if __name__ == "__main__":
    main()
