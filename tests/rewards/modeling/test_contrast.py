"""The contrast of good texts with bad ones: by hand, in a training, and refused where nothing could come of it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from judge.errors import ConfigError
from judge.rewards.checkpoint.save_load import load
from judge.rewards.config import RewardConfig
from judge.rewards.data.targets import Targets
from judge.rewards.distill import distill
from judge.rewards.modeling.feature_bank import FeatureBank
from judge.rewards.modeling.reward_model import RewardModule
from judge.rewards.preparation import prepare
from judge.rewards.training.loop import make_accelerator, predict, train
from tests.rewards.modeling.test_feature_bank import unit
from tests.rewards.models import example
from tests.rewards.test_distill import config, scores
from tests.rewards.training.test_loop import StopAt, job, outcomes, pairs, run, same, solutions, weights

NAN = math.nan


def bank(*labels: float) -> FeatureBank:
    """Features at 0 and 90 degrees, and at 45 where there is a third; the temperature is 1."""
    made = FeatureBank(4, 2, 1, temperature=1.0, labelled=True)
    made.add(unit(0, 90, 45)[: len(labels)], torch.zeros(len(labels), 1), torch.tensor(labels))
    return made


def contrast(memory: FeatureBank, degrees: list[float], labels: list[float]) -> float:
    return float(memory.contrast(5 * unit(*degrees), torch.tensor(labels)))


def test_a_good_text_is_drawn_to_good_ones() -> None:
    """Cosines 1 and 0, so the share of the first is e / (e + 1) = 0.7310586, its −log is 0.3132617, and that of the
    other's share 1.3132617."""
    memory = bank(1.0, 0.0)
    assert contrast(memory, [0], [1.0]) == pytest.approx(0.3132617, abs=1e-5)
    assert contrast(memory, [0], [0.0]) == pytest.approx(1.3132617, abs=1e-5)
    assert contrast(memory, [0], [0.75]) == pytest.approx(0.75 * 0.3132617 + 0.25 * 1.3132617, abs=1e-5)
    # Remembered labels of 0.8 and 0.4: q = 0.7310586 · 0.8 + 0.2689414 · 0.4 = 0.6924234.
    assert contrast(bank(0.8, 0.4), [0], [1.0]) == pytest.approx(-math.log(0.6924234), abs=1e-5)
    assert contrast(bank(0.8, 0.4), [0], [0.0]) == pytest.approx(-math.log(1 - 0.6924234), abs=1e-5)


def test_several_of_a_class_count_together() -> None:
    """Two good ones at cosines 1 and √½, a bad one at 0."""
    good = math.e + math.exp(math.sqrt(0.5))
    assert contrast(bank(1.0, 0.0, 1.0), [0], [1.0]) == pytest.approx(-math.log(good / (good + 1)), abs=1e-5)


def test_what_says_nothing_counts_nothing() -> None:
    assert contrast(bank(1.0, 0.0), [0, 30], [1.0, NAN]) == pytest.approx(0.3132617 / 2, abs=1e-5)  # of all reads
    assert contrast(bank(1.0, 0.0, NAN), [0], [1.0]) == pytest.approx(0.3132617, abs=1e-5)  # what has no label is none
    for memory in (bank(1.0, NAN), bank(0.0, 0.0), bank(0.5, 0.5), bank(NAN, NAN), FeatureBank(4, 2, 1)):
        assert contrast(memory, [0], [1.0]) == 0.0
    features = unit(30).requires_grad_()
    bank(1.0, 0.0).contrast(features, torch.tensor([NAN])).backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None and not features.grad.any()


def test_its_gradient_turns_a_text_towards_its_class() -> None:
    features = unit(45).requires_grad_()
    bank(1.0, 0.0).contrast(features, torch.tensor([1.0])).backward()  # type: ignore[no-untyped-call]
    gradient = features.grad
    assert gradient is not None
    moved = normalize((features - 0.1 * gradient).detach(), dim=-1)
    assert float(moved[0, 0]) > math.cos(math.radians(45)) > float(moved[0, 1])


def test_how_good_a_read_is_by_its_labels() -> None:
    pair = example("a", "b", "c", p_first=0.8)
    ranking = example("d", "e", "f", "g", order=(2, 0, 1))
    assert Targets.of([pair], "scalar").p_good(2).tolist() == pytest.approx([0.8, 0.2])
    # The best beats both others, the second one of two, the third none.
    assert Targets.of([pair, ranking], "scalar").p_good(5).tolist() == pytest.approx([0.8, 0.2, 0.5, 0.0, 1.0])
    outcome = Targets.of([example("a", "b", p_correct=0.9), example("a", "c")], "outcome").p_good(2)
    assert float(outcome[0]) == pytest.approx(0.9) and bool(outcome[1].isnan())
    steps = example("a", steps=("x", "y", "z"), step_probabilities=((0.7, 0.1, 0.2), (0, 1, 0), None))
    good = Targets.of([steps], "process").p_good(3)
    assert good[:2].tolist() == pytest.approx([0.9, 0.0]) and bool(good[2].isnan())


@torch.no_grad()
def separation(training: Any) -> float:
    """Mean cosine of texts of one class minus that of texts of both, on examples that training never saw."""

    class Features(torch.nn.Module):
        def forward(self, batch: Any) -> torch.Tensor:
            features: torch.Tensor = training.model.read(batch).features
            return features

    features, targets = predict(training, Features(), training.validation, "cpu")
    good = targets.p_good(len(features)) > 0.5
    cosines = normalize(features, dim=-1) @ normalize(features, dim=-1).T
    alike = good[:, None] == good[None]
    return float(cosines[alike].mean() - cosines[~alike].mean())


@pytest.mark.parametrize(("kind", "labelled"), [("scalar", pairs), ("process", solutions)])
def test_classes_come_apart_in_training(kind: str, labelled: Any, llama: Path, tmp_path: Path) -> None:
    apart = []
    for coefficient in (0.0, 1.0):
        settings = {"feature_bank": "fifo", "feature_bank_size": 64, "epochs": 6.0, "rate": 1e-3}
        training = job(llama, labelled(32), kind=kind, contrastive_coefficient=coefficient, **settings)
        run(training, tmp_path / str(coefficient))
        apart.append(separation(training))
    assert apart[1] > apart[0] + 0.1
    assert isinstance(training.model, RewardModule) and training.model.bank is not None
    assert not training.model.bank.labels[: training.model.bank.filled].isnan().any()


def test_a_crash_changes_nothing(llama: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"contrastive_coefficient": 0.5, "feature_bank": "reservoir", "feature_bank_size": 16}
    options |= {"save_every": 2, "accumulate": 2, "epochs": 2.0}
    whole = job(llama, **options)
    run(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(job(llama, **options), tmp_path / "broken", StopAt(3))
    again = job(llama, **options)
    train(again, tmp_path / "broken", make_accelerator(again.config, tmp_path / "broken"))
    assert same(weights(again), weights(whole))
    assert "bank.labels" in weights(again)


@pytest.mark.parametrize(("kind", "labelled"), [("ensemble", pairs), ("outcome", outcomes), ("hierarchical", pairs)])
def test_a_model_that_was_taught_so_is_loaded(kind: str, labelled: Any, llama: Path, tmp_path: Path) -> None:
    settings = {"kind": kind, "contrastive_coefficient": 0.1, "feature_bank": "fifo"}
    assert distill(prepare(labelled(24), config(llama, **settings)), tmp_path / "model") is not None
    memory = load(tmp_path / "model", device="cpu").model.bank
    assert memory is not None and memory.filled > 0
    assert not memory.labels[: memory.filled].isnan().any()


def test_where_nothing_could_come_of_it_it_is_refused(llama: Path) -> None:
    with pytest.raises(ConfigError, match="needs a memory to compare with"):
        RewardConfig.of(contrastive_coefficient=0.1)
    settings: dict[str, Any] = {"contrastive_coefficient": 0.1, "feature_bank": "fifo"}
    with pytest.raises(ConfigError, match="with the memory: no batch_tokens"):
        RewardConfig.of(**settings, batch_tokens=100)
    with pytest.raises(ConfigError, match="freeze_backbone keeps them as they are"):
        prepare(pairs(8), config(llama, **settings, freeze_backbone=True))
    with pytest.raises(ConfigError, match="loss regression reads scores, which call no text good or bad"):
        prepare(scores(20), config(llama, **settings))
