"""The memory of a training: every part of a small Llama by hand, and a real training's peak."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import judge
from judge.rewards.config import RewardConfig
from judge.rewards.training.memory import GIB, MemoryEstimate, Workload, estimate
from judge.rewards.training.preflight import empty_backbone
from tests.rewards import models

# H 32, I 64, two layers, 4 heads of 8 (2 of keys), 60 words.
EMBEDDINGS, NORMS = 60 * 32, 5 * 32
LINEAR = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32)
LEARNING = EMBEDDINGS + NORMS + LINEAR + 32  # and the head
ADAPTERS = 2 * 2 * ((32 + 32) * 2 + (32 + 16) * 2 + (32 + 64) * 3)  # rank 2: (inputs + outputs) of seven matrices
LAYER = 100 * (2 * 32 * 4 + (2 * 32 + 5 * 32 + 3 * 64) * 4)  # 100 tokens in fp32
WORK = Workload(tokens=100)


@pytest.fixture(scope="module")
def small(tmp_path_factory: Any) -> Path:
    return models.save(tmp_path_factory.mktemp("memory") / "llama", "llama")


def of(small: Path, training: Workload = WORK, **settings: Any) -> MemoryEstimate:
    config = RewardConfig.of(**{"backbone": str(small), "dtype": "float32", **settings})
    return estimate(empty_backbone(config), config, training, Workload(tokens=50), base=1000)


def test_every_weight_in_fp32(small: Path) -> None:
    memory = of(small)
    assert memory.weights == memory.gradients == 4 * LEARNING
    assert memory.optimizer == 8 * LEARNING
    assert memory.activations == 100 * 32 * 4 + 3 * LAYER  # the embeddings, two layers, and one that is worked on
    assert memory.evaluation == LAYER // 2
    assert memory.total == 1000 + 16 * LEARNING + memory.activations


def test_adapters_leave_the_weights_without_gradients(small: Path) -> None:
    memory = of(small, lora_rank=2)
    assert memory.weights == 4 * (LEARNING + ADAPTERS)
    assert memory.gradients == 4 * (ADAPTERS + 32)
    assert memory.optimizer == 8 * (ADAPTERS + 32)
    assert memory.activations == 100 * 32 * 4 + 3 * LAYER + 100 * 14 * 2 * 4  # fourteen adapters keep two numbers


def test_the_prompts_encoder_is_a_second_backbone(small: Path) -> None:
    """Its layer of fusion: a norm of 4 · 32 (two vectors), a matrix of 128 · 32 and 32 biases."""
    memory, fusion = of(small, encoder="fusion", separate_encoders=True), 2 * 128 + 128 * 32 + 32
    assert memory.weights == memory.gradients == 4 * (2 * (LEARNING - 32) + fusion + 32)
    assert memory.activations == of(small).activations  # of as many tokens, whichever weights read them
    adapted = of(small, encoder="fusion", separate_encoders=True, lora_rank=2)
    assert adapted.gradients == 4 * (2 * ADAPTERS + fusion + 32)
    half = of(small, encoder="fusion", separate_encoders=True, dtype="bfloat16")
    assert half.weights == memory.weights + 2 * 2 * LINEAR


def test_a_frozen_backbone_keeps_nothing(small: Path) -> None:
    memory = of(small, freeze_backbone=True)
    assert (memory.gradients, memory.optimizer, memory.activations) == (4 * 32, 8 * 32, LAYER)


def test_checkpointing_keeps_the_inputs_of_layers(small: Path) -> None:
    assert of(small, gradient_checkpointing=True).activations == 2 * 100 * 32 * 4 + 2 * LAYER


def test_half_precision_copies_the_matrices_for_its_products(small: Path) -> None:
    memory = of(small, dtype="bfloat16")
    assert memory.weights == 4 * LEARNING + 2 * LINEAR
    layer = 100 * (2 * 32 * 4 + (2 * 32 + 5 * 32 + 3 * 64) * 2)
    assert memory.activations == 100 * 32 * 4 + 3 * layer


def test_optimizers(small: Path) -> None:
    assert of(small, optimizer="muon").optimizer == 8 * (LEARNING - LINEAR) + 4 * LINEAR
    assert of(small, optimizer="adamw_8bit").optimizer == 8 * LEARNING  # no tensor has 4,096 numbers


def test_scores_are_kept_by_eager_attention(small: Path) -> None:
    pairs = Workload(tokens=100, scores=5000)
    assert of(small, pairs, attention="eager").activations == of(small).activations + 3 * 4 * 5000 * 4


def test_evaluation_takes_the_place_of_gradients_and_activations() -> None:
    parts = {"base": 1, "weights": 2, "gradients": 3, "optimizer": 4, "activations": 5}
    assert MemoryEstimate(**parts, evaluation=6).total == 1 + 2 + 4 + 8
    assert MemoryEstimate(**parts, evaluation=9).total == 1 + 2 + 4 + 9
    assert MemoryEstimate(**parts, evaluation=2 * GIB).to_dict()["total"] == 2.0


TRAIN = """
import re, sys, torch
import judge
torch.set_num_threads(1)
settings = {"kind": "scalar", "backbone": "tiny", "dtype": "float32", "progress": False}
plan = judge.distill(sys.argv[1], dry_run=True, **settings)
judge.distill(sys.argv[1], out=sys.argv[2], **settings)
# Not getrusage: its peak begins with that of the process that forked this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(plan.counts["memory_gib"]["total"], int(peak[1]) / 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is in other units there")
def test_a_real_training_needs_about_as_much(tmp_path: Path) -> None:
    judge.generate_problems("pairs", 24, seed=3, out=tmp_path / "pairs.jsonl")
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "pairs.jsonl"), str(tmp_path / "model")]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    estimated, measured = map(float, output.split()[-2:])
    assert 0.6 < estimated / measured < 1.6
