"""Scores in processes that are killed at random moments, and compares the run with one that was left alone.

    python tests/jobs/killed_scores.py KILLS FOLDER [SEED]

Each process is a fork, so that torch is imported once. A run that ends before it can be killed is compared, and the
next one begins in a directory of its own. Prints how many kills found a process alive.
"""

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import judge

MODEL = Path(__file__).parents[1] / "fixtures" / "v0_1" / "models" / "scalar"
ROWS = 1500


def data() -> list[dict[str, str]]:
    """Pairs of forty words a text."""
    draw = random.Random(5)
    words = [f"w{number}" for number in range(6, 60)]
    return [
        {side: " ".join(draw.choices(words, k=40)) for side in ("prompt", "chosen", "rejected")} for _ in range(ROWS)
    ]


def score(out: Path) -> judge.Run:
    """Score, or go on."""
    return judge.score(MODEL, data(), out=out, window=32, batch_tokens=2048, device="cpu", progress=False)


def start(out: Path) -> int:
    """A process that scores; its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        score(out)
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(code)


def kill_often(folder: Path, kills: int, seed: int = 7) -> int:
    """How many kills found a process alive."""
    torch.set_num_threads(1)
    whole = {row["id"]: row for row in score(folder / "whole").rows()}
    draw, alive, number = random.Random(seed), 0, 0
    while alive < kills:
        out = folder / f"killed_{number}"
        child = start(out)
        labels, before = out / "labels.jsonl", _size(out / "labels.jsonl")
        moment = draw.choice(("rows", "any"))
        until = time.monotonic() + draw.uniform(0, 0.6)
        while time.monotonic() < until or (moment == "rows" and _size(labels) <= before):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                assert status == 0, "a scoring failed"
                check(out, whole)
                number += 1
                break
            time.sleep(0.001)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            alive += 1
    score(out)
    check(out, whole)
    return alive


def check(out: Path, whole: dict[str, dict[str, Any]]) -> None:
    """Every row once, and its scores those of the run left alone, whatever batch they were computed in."""
    rows = list(judge.open_run(out).rows())
    assert sorted(row["id"] for row in rows) == sorted(whole)
    for row in rows:
        scores = zip(row["meta"]["reward"]["scores"], whole[row["id"]]["meta"]["reward"]["scores"], strict=True)
        assert all(abs(one - other) < 1e-5 for one, other in scores), row["id"]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


if __name__ == "__main__":
    print(kill_often(Path(sys.argv[2]), int(sys.argv[1]), *map(int, sys.argv[3:])))
