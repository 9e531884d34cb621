"""One process, two with copies of the model (DDP) and two with half of each weight (FSDP2): the same training.

    python benchmarks/processes.py --pairs 600

Each is `torchrun -m judge.cli.main distill` on the CPU, of the embedded reader with every weight: one process
accumulates two batches of four pairs, each of two computes one. Prints JSON: the losses of the held-out part over the
training, how far the curves lie apart at most, and the accuracy at the end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import judge

SIDES = ("one", "ddp", "fsdp2")
FSDP2 = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
}


def main() -> None:
    """Read the options, train three times, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=600)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pairs.jsonl"
        rows = judge.generate_problems("pairs", asked.pairs, seed=7)
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        trained = {name: train(name, data, Path(folder) / name) for name in SIDES}
    print(json.dumps(compare(trained), indent=2))


def train(name: str, data: Path, out: Path) -> dict[str, Any]:
    """The metadata of the model that a launch trains, with its seconds."""
    processes = 1 if name == "one" else 2
    launch = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"]
    command = ["-m", "judge.cli.main", "distill", str(data), "--kind=scalar", "--backbone=tiny", "--labels=human"]
    command += [f"--out={out}", "--epochs=2", "--batch-size=4", "--learning-rate=3e-4", "--quiet"]
    for setting in (f"gradient_accumulation_steps={2 // processes}", "evaluations_per_epoch=5", "dtype=float32"):
        command += ["--set", setting]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    environment |= FSDP2 if name == "fsdp2" else {}
    started = time.monotonic()
    subprocess.run([*launch, *command], check=True, env=environment, stdout=subprocess.DEVNULL)
    metadata: dict[str, Any] = json.loads((out / "reward.json").read_text())
    return metadata | {"seconds": time.monotonic() - started}


def compare(trained: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Curves and accuracies beside each other."""
    curves = {name: curve(model["history"], "validation_loss") for name, model in trained.items()}
    training = {name: curve(model["history"], "loss") for name, model in trained.items()}
    return {
        "steps": {name: model["figures"]["steps"] for name, model in trained.items()},
        "validation loss": {name: [round(loss, 5) for loss in losses.values()] for name, losses in curves.items()},
        "validation loss apart": {name: apart(curves["one"], curves[name]) for name in SIDES[1:]},
        "training loss apart": {name: apart(training["one"], training[name]) for name in SIDES[1:]},
        "accuracy": {name: model["figures"]["validation"]["accuracy"] for name, model in trained.items()},
        "seconds": {name: round(model["seconds"], 1) for name, model in trained.items()},
    }


def curve(history: Iterable[Mapping[str, Any]], figure: str) -> dict[int, float]:
    """A figure by step."""
    return {row["step"]: row[figure] for row in history if figure in row}


def apart(first: Mapping[int, float], second: Mapping[int, float]) -> float:
    """The largest difference of two curves, over the same steps."""
    assert first.keys() == second.keys()
    return max(abs(first[step] - second[step]) for step in first)


if __name__ == "__main__":
    main()
