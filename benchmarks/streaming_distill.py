"""What a training takes of memory with the size of its data: prepared, and after some steps; and how fast it is read.

    python benchmarks/streaming_distill.py [--sizes 20000 200000] [--before DIR] [--steps 5]
    python benchmarks/streaming_distill.py --rows 20000        one size, in this process

Short pairs are read from a JSONL file, tokenized for the embedded judge's reader and prepared by `judge.RewardTrainer`,
and the reader is trained for a few steps. Each size has a process of its own; with --before it is measured in another
checkout as well. Prints JSON; the growth is that of the peak, from the first size to the last.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
SIZES = (20_000, 200_000)
WORDS = ("seven", "eleven", "apples", "pears", "each", "baskets", "left", "gives", "twice", "half")


def write_data(path: Path, rows: int) -> None:
    """Pairs of about 300 characters, none like another, each prompt in two of them."""
    with path.open("w") as file:
        for number in range(rows):
            words = " ".join(WORDS[(number // 2 + place * place) % len(WORDS)] for place in range(12))
            prompt = f"Problem {number // 2}: {words}. How many are there?"
            row = {
                "prompt": prompt,
                "chosen": f"There are {number} of them, since {words}.",
                "rejected": f"There are {number + 1} of them, I think, because {words}.",
            }
            file.write(json.dumps(row) + "\n")


def peak() -> float:
    """MiB that this process had at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(rows: int, steps: int, folder: Path) -> dict[str, Any]:
    """Prepare and train on so many rows in this process."""
    import torch

    import judge

    torch.set_num_threads(1)
    data = folder / "pairs.jsonl"
    write_data(data, rows)
    batch = 8
    options: Any = {"kind": "scalar", "backbone": "tiny", "batch_size": batch, "uncertainty": "none", "progress": False}
    options |= {"validation_fraction": 0.0, "freeze_backbone": False, "epochs": steps * batch / rows}
    started, busy = time.monotonic(), time.process_time()
    trainer = judge.RewardTrainer(data, out=folder / "model", **options)
    seconds, cpu = time.monotonic() - started, time.process_time() - busy
    prepared = peak()
    started = time.monotonic()
    trainer.train()
    assert trainer.prepared.to_dict()["examples"] == rows
    return {
        "rows": rows,
        "prepare_seconds": round(seconds, 1),
        "rows_per_second": round(rows / seconds),
        "rows_per_cpu_second": round(rows / cpu),
        "prepared_peak_mib": round(prepared),
        "trained_peak_mib": round(peak()),
        "train_seconds": round(time.monotonic() - started, 1),
    }


def one(rows: int, steps: int, checkout: Path) -> dict[str, Any]:
    """One size in a process of its own, with the code of a checkout."""
    command = [sys.executable, "-W", "ignore", __file__, "--rows", str(rows), "--steps", str(steps)]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def growth(results: list[dict[str, Any]], name: str) -> float:
    """MiB that a peak grows by with 100,000 examples, from the first size to the last."""
    first, last = results[0], results[-1]
    return round((last[name] - first[name]) / (last["rows"] - first["rows"]) * 100_000, 1)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--before", type=Path)
    asked = parser.parse_args()
    if asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(asked.rows, asked.steps, Path(folder))))
        return
    checkouts = {"now": HERE} | ({"before": asked.before.resolve()} if asked.before else {})
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
    for size in asked.sizes:
        for name, checkout in checkouts.items():
            results[name].append(one(size, asked.steps, checkout))
            print(name, results[name][-1], file=sys.stderr, flush=True)
    for name, sizes in results.items():
        grown = {f"{key}_growth_per_100k": growth(sizes, key) for key in ("prepared_peak_mib", "trained_peak_mib")}
        print(json.dumps({"benchmark": "streaming_distill", "code": name, "sizes": sizes, **grown}, indent=2))


if __name__ == "__main__":
    main()
