"""What a step does to the weights: rows of embeddings added up in place, and a pull to where they began."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from judge.errors import ConfigError
from judge.rewards.config import RewardConfig
from judge.rewards.training.embedding_gradients import EmbeddingGradients
from judge.rewards.training.updates import PullToStart
from tests.rewards.training.test_loop import job, run, same, weights

ALONE = SimpleNamespace(num_processes=1, device=torch.device("cpu"))


def test_rows_are_added_to_a_gradient_that_stays() -> None:
    model = nn.Embedding(4, 2)
    gradients = EmbeddingGradients(model, ALONE)
    gradient = model.weight.grad
    for tokens in ([1, 1, 3], [3]):  # two parts of a batch
        model(torch.tensor(tokens)).sum().backward()
    assert model.weight.grad is gradient
    assert gradient is not None and not gradient.is_sparse
    assert gradient.tolist() == [[0, 0], [2, 2], [0, 0], [2, 2]]
    model.weight.grad = None  # as an optimizer forgets it
    gradients.reset()
    assert model.weight.grad is gradient
    assert gradient.tolist() == [[0, 0]] * 4
    gradients.end()
    assert model.weight.grad is None
    assert not model.sparse


@pytest.mark.parametrize("accelerator", [SimpleNamespace(num_processes=2, device=torch.device("cpu"))])
def test_processes_that_share_gradients_keep_whole_ones(accelerator: SimpleNamespace) -> None:
    model = nn.Embedding(4, 2)
    EmbeddingGradients(model, accelerator)
    assert model.weight.grad is None
    assert not model.sparse


def test_a_training_ends_in_the_weights_of_whole_gradients(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place = job(llama, epochs=2.0, batch_tokens=64)
    run(in_place, tmp_path / "in-place")
    monkeypatch.setattr(EmbeddingGradients, "__init__", lambda self, *_: self.__dict__.update(_embeddings=[], _kept={}))
    whole = job(llama, epochs=2.0, batch_tokens=64)
    run(whole, tmp_path / "whole")
    got, wanted = weights(in_place), weights(whole)
    assert not same(got, weights(job(llama)))
    assert max(float((got[name] - wanted[name]).abs().max()) for name in wanted) < 1e-6


def test_a_pull_moves_weights_by_rate_times_coefficient() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(2.0)
    pull = PullToStart([model.weight], 5.0)
    with torch.no_grad():
        model.weight.fill_(4.0)
    pull.pull([{"params": [model.weight], "lr": 0.1}])
    assert model.weight.item() == pytest.approx(3.0)  # 4 + 0.1 · 5 · (2 − 4)
    pull.pull([{"params": [model.weight], "lr": 1.0}])
    assert model.weight.item() == pytest.approx(2.0)  # never past its start


def test_a_backbone_under_a_strong_pull_stays_and_its_head_learns(llama: Path, tmp_path: Path) -> None:
    made = job(llama, l2_sp=1e9, lr_scheduler_type="constant", warmup_ratio=0.0)
    before = weights(made)
    run(made, tmp_path)
    moved = {name for name, value in weights(made).items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("head.") for name in moved)


def test_adapters_have_no_start_to_be_pulled_to() -> None:
    with pytest.raises(ConfigError, match="l2_sp"):
        RewardConfig.of(l2_sp=0.1, lora_rank=4)
