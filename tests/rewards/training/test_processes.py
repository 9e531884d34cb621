"""Several processes, with copies of the model or with shards of it, do what one process does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from judge.rewards.checkpoint.save_load import load
from judge.rewards.training.resume import STATE

SCRIPT = Path(__file__).with_name("processes.py")
CONFIG: dict[str, Any] = {
    "kind": "scalar",
    "batch_size": 4,
    "learning_rate": 1e-3,
    "epochs": 4.0,
    "evaluations_per_epoch": 1,
    "early_stopping_patience": 50,
    "validation_fraction": 0.25,
    "dtype": "float32",
    "save_steps": 2,
}


def trained(
    backbone: Path,
    out: Path,
    processes: int,
    *,
    sharded: bool = False,
    stop: int = 0,
    labelled: str = "pairs",
    count: int = 32,
    error: str = "",
    **config: Any,
) -> dict[str, Any]:
    """The figures of a training in its own processes; {} where it was interrupted or refused."""
    settings = {"backbone": str(backbone), "out": str(out), "processes": processes, "sharded": sharded, "stop": stop}
    settings |= {"labelled": labelled, "count": count, "config": CONFIG | config}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), json.dumps(settings)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    assert (done.returncode != 0) == bool(error), done.stderr[-4000:]
    assert error in done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    figures: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return figures


def weights(model: Path) -> dict[str, torch.Tensor]:
    """All weights of a model's directory."""
    files = [model / name for name in ("model.safetensors", "head.safetensors", "adapter_model.safetensors")]
    return {name: tensor for file in files if file.is_file() for name, tensor in load_file(file).items()}


def assert_same_model(first: Path, second: Path, tolerance: float = 1e-5) -> None:
    """Weights within a tolerance, and the same calibration but for rounding."""
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.allclose(tensor, other[name], atol=tolerance, rtol=1e-4), name
    calibrations = [load(folder, device="cpu").calibration for folder in (first, second)]
    assert calibrations[0] is not None and calibrations[1] is not None
    for name in ("mean", "scale", "temperature"):
        assert getattr(calibrations[0], name) == pytest.approx(getattr(calibrations[1], name), rel=1e-3, abs=1e-5)


def assert_same_curves(first: Path, second: Path) -> None:
    """Losses, accuracies and margins of every row of the history, in training and in validation."""
    histories = [json.loads((folder / "reward.json").read_text())["history"] for folder in (first, second)]
    assert [row["step"] for row in histories[0]] == [row["step"] for row in histories[1]]
    for one, other in zip(*histories, strict=True):
        for name in ("loss", "accuracy", "margin", "validation_loss", "validation_accuracy"):
            assert one.get(name) == pytest.approx(other.get(name), abs=1e-5), (one["step"], name)


@pytest.fixture(scope="module")
def whole(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of one process that accumulates two batches a step: twelve steps, with the best weights of four."""
    out = tmp_path_factory.mktemp("whole") / "model"
    figures = trained(llama, out, 1, gradient_accumulation_steps=2)
    assert figures["steps"] == 12  # 24 examples are six batches, four times, two a step
    return out


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_training_goes_on_with_another_number_of_processes(
    before: int, after: int, whole: Path, llama: Path, tmp_path: Path
) -> None:
    """Where gradient accumulation makes up for it: a step takes two batches, of one process or of two."""
    out = tmp_path / "changed"
    assert not trained(llama, out, before, stop=5, gradient_accumulation_steps=2 // before)
    assert [path.name for path in (out / STATE).glob("step-*")] == ["step-4"]
    figures = trained(llama, out, after, gradient_accumulation_steps=2 // after)
    assert (figures["resumed_from_step"], figures["steps"]) == (4, 12)
    assert_same_model(whole, out)
    assert_same_curves(whole, out)


def test_shards_are_trained_resumed_and_calibrated_as_a_whole(whole: Path, llama: Path, tmp_path: Path) -> None:
    """Two processes hold half of each weight (FSDP2), one is taken up again in the middle."""
    out = tmp_path / "sharded"
    assert not trained(llama, out, 2, sharded=True, stop=5)
    assert list(out.glob(f"{STATE}/step-4/pytorch_model_fsdp*"))  # written by shards, not as a copy is
    figures = trained(llama, out, 2, sharded=True)
    assert (figures["resumed_from_step"], figures["steps"]) == (4, 12)
    assert_same_model(whole, out)
    assert_same_curves(whole, out)
    assert not (out / STATE).exists()


def test_shards_of_a_process_model_are_those_of_a_whole_one(llama: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"kind": "process", "labelled": "solutions", "epochs": 1.0, "lora_rank": 2}
    trained(llama, tmp_path / "one", 1, gradient_accumulation_steps=2, **settings)
    trained(llama, tmp_path / "two", 2, sharded=True, **settings)
    assert_same_model(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"optimizer": "muon"}, "optimizer muon needs whole weights, no shards (accepted: adamw)"),
        ({"batch_tokens": 100}, "sharded processes must take the same number of passes"),
    ],
)
def test_what_needs_whole_weights_is_refused(config: dict[str, Any], said: str, llama: Path, tmp_path: Path) -> None:
    trained(llama, tmp_path / "model", 2, sharded=True, error=said, **config)
