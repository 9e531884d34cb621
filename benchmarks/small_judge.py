"""What a small judge's replies are worth by the default prompts: how many can be read, and how they came to be.

python benchmarks/small_judge.py --model build/real/SmolLM2-135M-Instruct --data ../shared/data --show 30
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from judge.cli.main import main as rmjudge

TASKS = {
    "preference": ("llmbar/natural.json", "label", 100),
    "score": ("pandalm/testset-v1.json", "label", 100),
    "steps": ("mr-ben/math.json", "label", 30),
    "revise": ("hh-rlhf/harmless-base-test.jsonl.gz", "revise", 16),
}
"""task -> its data file, the verb, how many rows."""


def main() -> None:
    """Read the options, judge, print a line of JSON a task and engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a model directory or a hub name")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--engines", nargs="+", default=["vllm", "hf"])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--rows", type=int, help="rows of each task, instead of its own number")
    parser.add_argument("--max-tokens", type=int, help="the longest reply, else the prompts say")
    parser.add_argument("--out", type=Path, help="where the runs are kept")
    parser.add_argument("--show", type=int, default=0, help="print so many readings, to be read by a person")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for engine in asked.engines:
            for task in asked.tasks:
                out = (asked.out or Path(folder)) / f"{engine}-{task}"
                sys.stdout.write(json.dumps(measure(task, f"{engine}:{asked.model}", out, asked)) + "\n")
                sys.stdout.flush()
                for reading in sample(out, asked.show):
                    sys.stdout.write(f"--- {reading['verdict']} | {reading['reason']}\n{reading['text']}\n")


def measure(task: str, judge: str, out: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Judge the rows of a task and count what its readings are."""
    name, verb, rows = TASKS[task]
    arguments = [verb, str(asked.data / name), "--judge", judge, "--out", str(out), "--limit", str(asked.rows or rows)]
    arguments += ["--task", task] if verb == "label" else []
    arguments += ["--max-tokens", str(asked.max_tokens)] if asked.max_tokens else []
    start = time.perf_counter()
    if rmjudge(arguments) not in (0, 1):
        raise SystemExit(f"rmjudge {' '.join(arguments)} failed")
    readings = list(read(out))
    unreadable = [reading for reading in readings if reading.get("verdict") is None]
    return {
        "task": task,
        "judge": judge.partition(":")[0],
        "readings": len(readings),
        "unreadable": len(unreadable),
        "of_form": sum(bool(reading.get("reason")) for reading in readings) - len(unreadable),
        "reasons": sorted({reading["reason"] for reading in unreadable}),
        "attempts": round(sum(reading.get("attempts", 1) for reading in readings) / max(len(readings), 1), 2),
        "seconds": round(time.perf_counter() - start),
    }


def read(out: Path) -> Iterator[dict[str, Any]]:
    """The readings of a run, those of unreadable rows too."""
    for name in ("labels.jsonl", "failures.jsonl"):
        if (out / name).is_file():
            for line in (out / name).read_text(encoding="utf-8").splitlines():
                yield from json.loads(line)["judgement"].get("readings", ())


def sample(out: Path, count: int) -> list[dict[str, Any]]:
    """Some readings of a run, drawn alike each time."""
    readings = [{"verdict": None, "reason": "", "text": "", **reading} for reading in read(out)]
    return random.Random(0).sample(readings, min(count, len(readings)))


if __name__ == "__main__":
    main()
