"""What the embedded judge and its reader know at once: values of short expressions, said with no working.

`python benchmarks/values.py [MODEL ...] [--pages 40]` asks for each value of pages that are drawn as the lesson `facts`
draws them (training may have seen single expressions of them), greedily, and prints the share that is right by the
operations and by how many digits the numbers have. A minute on one core.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch

from judge.tiny import MODEL, READER
from judge.tiny.arithmetic import OPERATORS, parse
from judge.tiny.lessons import facts
from judge.tiny.tokenizer import load_tokenizer

LEAST = 40  # of a kind, to be shown


def kind(expression: str) -> str:
    """What sort of expression it is, whatever the order: of 5 * -12 + 3 "* ±, 1 1 2 digits"."""
    tokens = parse(expression)
    signs = sorted("*" if token == "*" else "±" for token in tokens if token in OPERATORS)
    digits = sorted(len(str(abs(token))) for token in tokens if isinstance(token, int))
    return f"{' '.join(signs)}, {' '.join(map(str, digits))} digits"


@torch.no_grad()
def told(model: Any, tokenizer: Any, seed: int) -> Iterator[tuple[str, bool]]:
    """Each expression of a page, and whether every token of its value is what the model would have said."""
    ids: list[int] = []
    spans: list[tuple[str, int, int]] = []
    asked = ""
    for piece in facts(Random(seed)):
        own = tokenizer(piece.text, add_special_tokens=False).input_ids
        if piece.learn:
            spans.append((asked, len(ids), len(ids) + len(own)))
        asked = piece.text.removesuffix(" is")
        ids += own
    said = model(torch.tensor([ids])).logits[0].argmax(-1).tolist()
    for expression, start, end in spans:
        yield expression, said[start - 1 : end - 1] == ids[start:end]


def main() -> None:
    from transformers import AutoModelForCausalLM

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=[MODEL, READER], help="directories")
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--seed", type=int, default=90_000)
    options = parser.parse_args()
    right: dict[Path, Counter[str]] = {}
    count: Counter[str] = Counter()
    for folder in options.models:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer, right[folder] = load_tokenizer(folder), Counter()
        found = [one for page in range(options.pages) for one in told(model, tokenizer, options.seed + page)]
        count = Counter(kind(expression) for expression, _ in found)
        right[folder].update(kind(expression) for expression, good in found if good)
    print(f"| operations | asked |{''.join(f' {folder.name} |' for folder in options.models)}")
    print(f"|---|---:|{'---:|' * len(options.models)}")
    for name, asked in count.most_common():
        if asked >= LEAST:
            shares = "".join(f" {right[folder][name] / asked:.1%} |" for folder in options.models)
            print(f"| {name} | {asked} |{shares}")


if __name__ == "__main__":
    main()
