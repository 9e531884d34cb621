"""Trainings that are killed at random moments, also while they save, end in the weights of one left alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from judge.tiny import READER

SCRIPT = Path(__file__).with_name("killed.py")
# 40 kills in all, over every kind, with one process and with two.
SOAKED = [
    ("scalar", 1, 6),
    ("multi", 1, 4),
    ("outcome", 1, 4),
    ("process", 1, 5),
    ("ensemble", 1, 5),
    ("hierarchical", 1, 4),
    ("scalar", 2, 4),
    ("process", 2, 4),
    ("ensemble", 2, 4),
]


def killed(kind: str, processes: int, kills: int, backbone: Path, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", str(SCRIPT), kind, str(processes), str(kills), "7"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [*command, str(backbone), str(folder)], capture_output=True, text=True, timeout=3000, check=False, env=env
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shown: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return shown


@pytest.mark.parametrize(("kind", "processes", "kills"), [("ensemble", 1, 4), ("scalar", 2, 2)])
def test_a_training_killed_a_few_times_ends_in_the_same_weights(
    kind: str, processes: int, kills: int, llama: Path, tmp_path: Path
) -> None:
    shown = killed(kind, processes, kills, llama, tmp_path)
    assert shown["equal"]
    assert sum(shown["kills"].values()) == kills


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "processes", "kills"), SOAKED)
def test_a_training_killed_often_ends_in_the_same_weights(
    kind: str, processes: int, kills: int, tmp_path: Path
) -> None:
    shown = killed(kind, processes, kills, READER, tmp_path)
    assert shown["equal"]
    assert sum(shown["kills"].values()) == kills
