"""How much critique and revision help: the embedded judge on held-out problems with half of the answers wrong.

`python benchmarks/revision.py [--judge tiny] [--count 500] [--rounds 2] [-- --margin 0.5]` runs `rmjudge revise` by the
constitution careful-mathematics and prints one JSON object: the share of right answers before and after, and how many
of the kept revisions are truly no worse than the text that they replaced. Whether an answer is right is read off its
last sentence and compared with the problem's value; no model has a say in it.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from judge.formats import to_row
from judge.tiny.samples import responses

ANSWER = re.compile(r"answer is (-?\d+)\.?\s*\Z")


def right(text: str, reference: str) -> bool:
    """Whether a solution ends with the true answer; one that ends with none is wrong."""
    found = ANSWER.search(text)
    return found is not None and int(found[1]) == int(reference)


def rows(run: Path) -> Iterator[dict[str, Any]]:
    """The rows of a run, those that could not be read too: their text stays what it was."""
    for name in ("labels.jsonl", "failures.jsonl"):
        with (run / name).open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def share(hits: int, count: int) -> float | None:
    return round(100 * hits / count, 2) if count else None


def figures(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Before and after by text, round by round, and what was kept."""
    lower = kept = no_worse = judged = 0
    stopped: Counter[str] = Counter()
    rounds: Counter[int] = Counter()
    for row in found:
        said, reference = row["judgement"], row["reference"]
        text = said["original"]
        was = right(text, reference)
        rounds[0] += was
        for one in said.get("rounds", []):
            judged += one.get("verdict") is not None
            if one.get("kept"):
                kept += 1
                no_worse += right(one["text"], reference) or not right(text, reference)
                rounds[one["number"]] += right(one["text"], reference) - right(text, reference)
                text = one["text"]
        lower += was and not right(text, reference)
        stopped[said.get("stopped") or "unreadable"] += 1
    count = len(found)
    after = list(accumulate(rounds[number] for number in range(max(rounds, default=0) + 1)))
    return {
        "problems": count,
        "right before %": share(rounds[0], count),
        "right after %": share(after[-1], count),
        "right after each round %": [share(hits, count) for hits in after[1:]],
        "right answers lost": lower,
        "revisions judged": judged,
        "revisions kept": kept,
        "kept and truly no worse %": share(no_worse, kept),
        "unreadable": sum(row["judgement"]["verdict"] is None for row in found),
        "stopped": dict(stopped.most_common()),
    }


def main() -> None:
    """Revise, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", default="tiny")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--constitution", default="careful-mathematics")
    parser.add_argument("--out", type=Path, help="keep the run here")
    parser.add_argument("extra", nargs="*", help="after --: further options of rmjudge revise")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder) / "responses.jsonl", given.out or Path(folder) / "run"
        records = responses(given.count, seed=given.seed)
        data.write_text("".join(json.dumps(to_row(record)) + "\n" for record in records), encoding="utf-8")
        words = ["revise", str(data), "--constitution", given.constitution, "--judge", given.judge]
        words += ["--rounds", str(given.rounds), "--out", str(run), *given.extra]
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "judge.cli.main", *words], check=True, stdout=subprocess.DEVNULL)
        print(json.dumps({**figures(list(rows(run))), "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
