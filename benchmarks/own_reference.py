"""Does a judge gain by answering first? The same pairs with and without its own answer as the reference.

    python benchmarks/own_reference.py --judge vllm:build/real/SmolLM2-135M-Instruct --pairs 100

Pairs are generated problems of arithmetic, each with a right and a wrong solution, whose truth is known. Both runs use
the prompt `preference/reference` in both orders; only the second fills its place for a reference. Prints JSON: accuracy
of each, a tie half right, their difference with a 95 % interval over pairs, and the tokens of both.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import judge
from judge.files import write_rows
from judge.formats import to_row
from judge.judgements import Preference
from judge.records import Pair
from judge.tiny.samples import pairs

DRAWS = 10_000
HALF = {"first": 1.0, "tie": 0.5, "second": 0.0}


def main() -> None:
    """Read the options, judge twice, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="vllm:build/real/SmolLM2-135M-Instruct")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--max-tokens", type=int, default=256, help="of a reply, and of the judge's own answer")
    parser.add_argument("--seed", type=int, default=20261128)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pairs.jsonl"
        records = list(pairs(asked.pairs, seed=asked.seed, ties=0.0))
        write_rows(data, map(to_row, records))
        engine = judge.load_engine(asked.judge)
        runs = {own: labelled(data, engine, Path(folder), own=own, asked=asked) for own in (False, True)}
        engine.close()
    print(json.dumps(compared(records, runs), indent=2))


def labelled(data: Path, engine: Any, folder: Path, *, own: bool, asked: argparse.Namespace) -> dict[str, Any]:
    """The worth of each pair's verdict, by id, and what the run cost."""
    run = judge.label(
        data,
        judges=engine,
        task="preference",
        prompt="preference/reference",
        own_reference=own,
        max_tokens=asked.max_tokens,
        out=folder / f"own-{own}",
        progress=False,
    )
    verdicts = {judged.record.id: judged.judgement for judged in run}
    return {"verdicts": verdicts, "tokens": run.manifest["tokens"], "counts": run.manifest["counts"]}


def compared(records: list[Pair], runs: dict[bool, dict[str, Any]]) -> dict[str, Any]:
    """Accuracies on the pairs that both runs could read."""
    read = [pair for pair in records if all(pair.id in run["verdicts"] for run in runs.values())]
    hits = {own: np.array([hit(pair, run["verdicts"][pair.id]) for pair in read]) for own, run in runs.items()}
    gain = hits[True] - hits[False]
    draws = np.random.default_rng(0).integers(0, len(gain), (DRAWS, len(gain)))
    low, high = np.quantile(gain[draws].mean(axis=1), (0.025, 0.975))
    return {
        "pairs": len(read),
        "accuracy": {
            "without": round(float(hits[False].mean()), 3),
            "own reference": round(float(hits[True].mean()), 3),
        },
        "difference": f"{gain.mean():+.3f} ({low:+.3f} to {high:+.3f})",
        "tokens": {"without": runs[False]["tokens"], "own reference": runs[True]["tokens"]},
        "unreadable": {
            "without": len(records) - len(runs[False]["verdicts"]),
            "own reference": len(records) - len(runs[True]["verdicts"]),
        },
    }


def hit(pair: Pair, judgement: Preference) -> float:
    """1 for the truth, 0.5 for a tie."""
    worth = HALF[str(judgement.verdict)]
    return worth if pair.human[0].verdict == "first" else 1 - worth


if __name__ == "__main__":
    main()
