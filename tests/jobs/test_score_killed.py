"""`judge.score` killed at random moments: the same rows as a run left alone, each once."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

import judge
from tests.test_fixtures import SAVED

ROWS = 1500


def data() -> list[dict[str, str]]:
    draw = random.Random(5)
    words = [f"w{number}" for number in range(6, 60)]
    return [
        {side: " ".join(draw.choices(words, k=40)) for side in ("prompt", "chosen", "rejected")} for _ in range(ROWS)
    ]


def score(out: Path) -> judge.Run:
    return judge.score(
        SAVED / "models" / "scalar", data(), out=out, window=32, batch_tokens=2048, device="cpu", progress=False
    )


def start(out: Path) -> int:
    """A process that scores: a fork, so that torch is imported once; its id."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        score(out)
    finally:
        os._exit(0)


def kill_often(folder: Path, kills: int) -> int:
    """A run killed so often at random moments; how many kills found it alive. A finished one is compared, and the
    next begins in a directory of its own."""
    whole = {row["id"]: row for row in score(folder / "whole").rows()}
    draw, alive, number = random.Random(7), 0, 0
    torch.set_num_threads(1)
    while alive < kills:
        out = folder / f"killed_{number}"
        child = start(out)
        labels, before = out / "labels.jsonl", _size(out / "labels.jsonl")
        moment = draw.choice(("rows", "any"))
        until = time.monotonic() + draw.uniform(0, 0.6)
        while time.monotonic() < until or (moment == "rows" and _size(labels) <= before):
            if os.waitpid(child, os.WNOHANG)[0]:
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


def check(out: Path, whole: dict[str, dict]) -> None:
    """Every row once, and its scores those of the run left alone, whatever batch they were computed in."""
    rows = list(judge.open_run(out).rows())
    assert sorted(row["id"] for row in rows) == sorted(whole)
    for row in rows:
        assert row["meta"]["reward"]["scores"] == pytest.approx(whole[row["id"]]["meta"]["reward"]["scores"], abs=1e-5)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def test_a_scoring_killed_six_times_equals_one_left_alone(tmp_path: Path) -> None:
    assert kill_often(tmp_path, 6) == 6


@pytest.mark.soak
def test_a_scoring_killed_sixty_times_equals_one_left_alone(tmp_path: Path) -> None:
    assert kill_often(tmp_path, 60) == 60
