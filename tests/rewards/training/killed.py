"""Trains models that are killed at random moments, and says whether they end in the weights of one left alone.

    python tests/rewards/training/killed.py KIND PROCESSES KILLS SEED BACKBONE OUT

A training runs in forked processes (torch is imported once), one or several that share its steps by gloo. A kill comes
after a drawn time, while a checkpoint is written, or while the finished model is. Where a model is finished before it
can be killed, its weights are compared, and another training begins in a new directory. Prints JSON.
"""

import json
import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from judge.rewards.config import RewardConfig
from judge.rewards.distill import distill
from judge.rewards.preparation import prepare
from judge.rewards.training.claim import SAVING
from judge.rewards.training.resume import STATE
from tests.rewards.test_distill import scores
from tests.rewards.training.test_loop import outcomes, pairs, solutions

LABELLED = {
    "scalar": pairs,
    "multi": scores,
    "outcome": outcomes,
    "process": solutions,
    "ensemble": pairs,
    "hierarchical": pairs,
}
WEIGHTS = ("model.safetensors", "head.safetensors", "adapter_model.safetensors")


def settings(kind: str, backbone: str, processes: int) -> RewardConfig:
    """A training of a few steps, most of them followed by a checkpoint, with dropout and a memory of features."""
    return RewardConfig.of(
        kind=kind,
        backbone=backbone,
        batch_size=4,
        learning_rate=1e-3,
        epochs=2.0 * processes,
        validation_fraction=0.25,
        dropout=0.1,
        save_steps=2,
        patience=50,
        feature_bank="reservoir" if kind == "ensemble" else "",
    )


def train(kind: str, backbone: str, processes: int, out: Path) -> list[int]:
    """Fork the processes of a training; their ids."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        child = os.fork()
        if not child:
            _work(kind, backbone, processes, out, rank, port)
        children.append(child)
    return children


def _work(kind: str, backbone: str, processes: int, out: Path, rank: int, port: int) -> None:
    """What a forked process does; it never comes back."""
    code = 1
    try:
        os.environ["ACCELERATE_USE_CPU"] = "true"
        if processes > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
            os.environ |= {"LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        config = settings(kind, backbone, processes)
        distill(prepare(LABELLED[kind](32), config, out=out, source=kind), out)
        code = 0
    except BaseException as error:
        (out.parent / "error.txt").write_text(f"{type(error).__name__}: {error}")
        raise
    finally:
        os._exit(code)


def wait(children: list[int]) -> None:
    """Until all have ended, each well."""
    for child in children:
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"a training ended with {status}")


def kill(children: list[int], out: Path, moment: str, seconds: float) -> bool:
    """Kill a training at a moment; whether it was alive then."""
    signs = {"checkpoint": out / STATE / "new", "saving": out / STATE / SAVING}
    until = time.monotonic() + (seconds if moment == "any" else 600)
    alive = True
    while alive and time.monotonic() < until:
        if moment != "any" and signs[moment].exists():
            time.sleep(seconds / 100)
            break
        done, status = os.waitpid(children[0], os.WNOHANG)
        if done and status:
            raise SystemExit(f"a training ended with {status}: {(out.parent / 'error.txt').read_text()}")
        alive = not done
        time.sleep(0.0005)
    for child in children if alive else children[1:]:
        if alive:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return alive


def weights(model: Path) -> dict[str, bytes]:
    """The bytes of a finished model's weights."""
    return {name: (model / name).read_bytes() for name in WEIGHTS if (model / name).is_file()}


def main(kind: str, processes: int, kills: int, seed: int, backbone: str, folder: Path) -> dict[str, Any]:
    """Kill so many times, and compare."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    wait(train(kind, backbone, processes, folder / "whole"))
    seconds = time.monotonic() - began
    draw, expected, moments = random.Random(seed), weights(folder / "whole"), Counter[str]()
    equal, finished = True, 0
    while moments.total() < kills:
        out = folder / f"killed-{finished}"
        moment = draw.choices(("any", "checkpoint", "saving"), (6, 3, 1))[0]
        if kill(train(kind, backbone, processes, out), out, moment, draw.uniform(0, seconds)):
            moments[moment] += 1
        if (out / "reward.json").is_file():
            equal, finished = equal and weights(out) == expected, finished + 1
    out = folder / f"killed-{finished}"
    wait(train(kind, backbone, processes, out))
    equal, finished = equal and weights(out) == expected and not (out / STATE).exists(), finished + 1
    return {"kind": kind, "processes": processes, "kills": dict(moments), "finished": finished, "equal": equal}


if __name__ == "__main__":
    kind_, processes_, kills_, seed_, backbone_, folder_ = sys.argv[1:]
    print(json.dumps(main(kind_, int(processes_), int(kills_), int(seed_), backbone_, Path(folder_))))
