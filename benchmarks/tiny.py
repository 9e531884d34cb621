"""How good the embedded judge is: on its own held-out problems and on real traces that people marked.

`python benchmarks/tiny.py [--judge tiny:vllm] [--count 500] [--mistakes FILE]` runs `rmjudge label` for preferences
(both orders), steps and outcomes on generated held-out problems, and for steps on BIG-Bench Mistake's multistep
arithmetic, and prints one JSON object a task.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from judge.files import write_rows
from judge.formats import to_row
from judge.records import Record
from judge.tiny.samples import pairs, responses, solutions

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "big-bench-mistake" / "multistep_arithmetic.dev.jsonl"


def label(data: Path, task: str, judge: str, out: Path, extra: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of one labelling run by the command, the unreadable ones too."""
    command = ["rmjudge", "label", str(data), "--task", task, "--judge", judge, "--out", str(out), "--quiet", *extra]
    subprocess.run([sys.executable, "-m", "judge.cli.main", *command[1:]], check=True, stdout=subprocess.DEVNULL)
    for name in ("labels.jsonl", "failures.jsonl"):
        if (out / name).exists():
            with (out / name).open(encoding="utf-8") as lines:
                yield from map(json.loads, lines)


def write(records: Iterable[Record], path: Path) -> Path:
    """Records as rows of ours."""
    write_rows(path, map(to_row, records))
    return path


def share(hits: Iterable[bool]) -> float | None:
    """Per cent of hits; None of nothing."""
    values = list(hits)
    return round(100 * sum(values) / len(values), 2) if values else None


def truth(row: dict[str, Any]) -> Any:
    """The one human label of a row."""
    return row["human"][0]["verdict"]


def preferences(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy of the merged verdict, of decided pairs alone, and how often the order changed the verdict."""
    told = [(row, row["judgement"].get("verdict")) for row in rows]
    flips = [row["judgement"].get("consistent") for row in rows]
    return {
        "pairs": len(rows),
        "right, both orders merged %": share(verdict == truth(row) for row, verdict in told),
        "right where one is better %": share(verdict == truth(row) for row, verdict in told if truth(row) != "tie"),
        "position flips %": share(flip is False for flip in flips if flip is not None),
        "unreadable": sum(verdict is None for _, verdict in told),
    }


def steps(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Share of step verdicts right (where every step's truth is known) and of first wrong steps found exactly."""
    verdicts = [
        (said, right)
        for row in rows
        if "right" in row.get("meta", {})
        for said, right in zip(row["judgement"]["verdict"], row["meta"]["right"], strict=True)
    ]
    found = [row["judgement"].get("first_wrong") for row in rows]
    return {
        "solutions": len(rows),
        "step verdicts right %": share((said == "right") == right and said is not None for said, right in verdicts),
        "first wrong step exactly right %": share(told == truth(row) for row, told in zip(rows, found, strict=True)),
        "always 'no mistake' would get %": share(truth(row) == -1 for row in rows),
        "unreadable": sum(told is None for told in found),
    }


def outcomes(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy of right and wrong."""
    told = [row["judgement"].get("verdict") for row in rows]
    return {
        "responses": len(rows),
        "right %": share(
            verdict == ("right" if truth(row) else "wrong") for row, verdict in zip(rows, told, strict=True)
        ),
        "unreadable": sum(verdict is None for verdict in told),
    }


def main() -> None:
    """Label, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", default="tiny")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--mistakes", type=Path, default=DATA)
    parser.add_argument("--only", default="", help="letters of p(airs) s(teps) o(utcomes) b(ig-bench)")
    parser.add_argument("extra", nargs="*", help="after --: further options of rmjudge label")
    arguments = parser.parse_args()
    only = arguments.only or "psob"
    seed, count = arguments.seed, arguments.count
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        work = {
            "p": ("preference", preferences, lambda: write(pairs(count, seed=seed), here / "pairs.jsonl")),
            "s": ("steps", steps, lambda: write(solutions(count, seed=seed + 1), here / "solutions.jsonl")),
            "o": ("outcome", outcomes, lambda: write(responses(count, seed=seed + 2), here / "responses.jsonl")),
            "b": ("steps", steps, lambda: arguments.mistakes),
        }
        for letter in only:
            task, figures, data = work[letter]
            started = time.monotonic()
            if letter == "b" and not arguments.mistakes.exists():
                print(f"skipped: {arguments.mistakes} is not there", file=sys.stderr)
                continue
            rows = list(label(data(), task, arguments.judge, here / letter, arguments.extra))
            name = arguments.mistakes.name if letter == "b" else f"held-out, {task}"
            print(
                json.dumps({"on": name, **figures(rows), "seconds": round(time.monotonic() - started, 1)}), flush=True
            )


if __name__ == "__main__":
    main()
