"""The scheduler alone: rows a second on one core, and how peak memory grows with the data.

    python benchmarks/scheduler.py                 10,000 and 1,000,000 rows, each in a process of its own
    python benchmarks/scheduler.py --rows 10000    one size, in this process

Everything but the model is real: rows are read from a JSONL file, the prompt `preference/verdict` is rendered in both
orders, verdicts are read from log-probabilities and merged, judgements are journalled and forced to the disk. The
engine answers at once. Prints JSON; seconds are of the wall and of the CPU, since other work may share the core.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import judge
from judge.engines.base import Completion, Request

SIZES = (10_000, 1_000_000)
ANSWER = {"A": math.log(0.7), "B": math.log(0.2), "C": math.log(0.1)}
PROMPT = "Explain to a child of ten, in a few sentences, why the sky is blue and sunsets are red. Variant {}."
CHOSEN = (
    "Sunlight is made of all colours. The air scatters blue light far more than red, so blue comes from all sides. "
)
REJECTED = "The sky mirrors the blue of the sea, and at sunset the sun is nearer and so it looks warmer and redder. "


class AtOnce:
    """An engine that answers everything at once, always alike."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def submit(self, ticket: int, request: Request) -> None:
        self._open.append(ticket)

    def step(self) -> list[tuple[int, Completion]]:
        done, self._open = self._open, []
        return [(ticket, Completion(text="A", logprobs=ANSWER, prompt_tokens=300, output_tokens=1)) for ticket in done]

    def count_tokens(self, request: Request) -> int:
        return 300

    def describe(self) -> dict[str, Any]:
        return {"engine": "at-once"}

    def close(self) -> None:
        pass


def write_data(path: Path, rows: int) -> None:
    """Pairs of about 200 characters a response, none like another."""
    with path.open("w") as file:
        for number in range(rows):
            row = {"prompt": PROMPT.format(number), "chosen": CHOSEN * 2, "rejected": REJECTED * 2}
            file.write(json.dumps(row) + "\n")


def measure(rows: int, folder: Path) -> dict[str, Any]:
    """Judge so many rows in this process."""
    data = folder / "pairs.jsonl"
    write_data(data, rows)
    options = {"task": "preference", "prompt": "preference/verdict", "out": folder / "run", "progress": False}
    started, busy = time.monotonic(), time.process_time()
    run = judge.label(data, judges=AtOnce(), **options)
    seconds, cpu = time.monotonic() - started, time.process_time() - busy
    assert run.counts.labelled == rows, run.counts
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "rows": rows,
        "rows_per_second": round(rows / seconds),
        "rows_per_cpu_second": round(rows / cpu),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mib": round(peak, 1),
    }


def one(rows: int) -> dict[str, Any]:
    """One size in a process of its own, held to one core where the system can."""
    pin = (
        (lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})) if hasattr(os, "sched_setaffinity") else None
    )
    done = subprocess.run(
        [sys.executable, __file__, "--rows", str(rows)], preexec_fn=pin, check=True, stdout=subprocess.PIPE, text=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int)
    rows = parser.parse_args().rows
    if rows:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(rows, Path(folder))))
        return
    results = [one(size) for size in SIZES]
    growth = results[-1]["peak_mib"] - results[0]["peak_mib"]
    print(json.dumps({"benchmark": "scheduler", "sizes": results, "peak_growth_mib": round(growth, 1)}, indent=2))


if __name__ == "__main__":
    main()
