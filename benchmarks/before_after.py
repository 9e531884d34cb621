"""Labelling and training of two checkouts beside each other: seconds, medians of interleaved rounds, and their ratio.

    python benchmarks/before_after.py --before DIR --after DIR [--rounds 3] [--pairs 150] [--examples 160]

Each checkout runs its own .venv/bin/rmjudge on the same problems: `label` with the embedded judge (start-up
included), and `distill` of a scalar model on true labels. A ratio above 1 says that the second one is faster.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median

LABEL = ["label", "pairs.jsonl", "--task", "preference", "--judge", "tiny"]
TRAIN = ["distill", "examples.jsonl", "--labels", "human", "--kind", "scalar", "--backbone", "tiny"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=150)
    parser.add_argument("--examples", type=int, default=160)
    asked = parser.parse_args()
    commands = {name: path.resolve() / ".venv/bin/rmjudge" for name, path in vars(asked).items() if name in SIDES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, count, extra in (("pairs", asked.pairs, []), ("examples", asked.examples, ["--neat"])):
            arguments = ["tiny", "generate", "pairs", "--count", count, "--seed", 9, "--out", f"{file}.jsonl", *extra]
            run(commands["after"], arguments, folder)
        for verb in (LABEL, TRAIN):
            seconds: dict[str, list[float]] = {side: [] for side in SIDES}
            for number in range(asked.rounds):
                for side in SIDES if number % 2 == 0 else SIDES[::-1]:
                    out = f"{verb[0]}-{side}-{number}"
                    text = run(commands[side], [*verb, "--out", out, "--json", "--quiet"], folder)
                    seconds[side].append(json.loads(text[text.index("{") :])["seconds"])
            before, after = (median(seconds[side]) for side in SIDES)
            print(f"{verb[0]}: {before:.1f} s before, {after:.1f} s after, {before / after:.3f}  {seconds}", flush=True)


SIDES = ("before", "after")


def run(command: Path, arguments: list[object] | list[str], folder: Path) -> str:
    """What a command prints, in a folder."""
    line = [str(command), *map(str, arguments)]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
