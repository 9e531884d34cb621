"""A batch in parts: the gradients add up to those of the batch, and what cannot be parted stays whole."""

from pathlib import Path
from typing import Any

import pytest
import torch

from judge.rewards.config import RewardConfig
from judge.rewards.data.targets import Targets
from judge.rewards.losses.registry import get_loss, training_loss
from judge.rewards.training.parts import parts_of
from tests.rewards.models import example
from tests.rewards.training.test_loop import job, pairs, run, same, weights


def cut(examples: list[Any], lengths: list[int], most: int, loss: Any) -> list[Any]:
    return parts_of(
        examples, lengths, most, lambda some: Targets.of(some, "scalar"), loss, 1, lambda one: len(one.responses)
    )


def test_groups_stay_together_and_parts_hold_so_many_tokens() -> None:
    """Tokens 3 + 3 of one group, 5, 2, 9: with 8 at most {6}, {5, 2}, {9}; shares by pairs are 2/5, 2/5, 1/5."""
    prompts = ["a", "a", "b", "c", "d"]
    examples = [example(f"w{6 + n}", "w10", "w20", group=g, p_first=1.0) for n, g in enumerate(prompts)]
    parts = cut(examples, [3, 3, 5, 2, 9], 8, get_loss("bradley_terry"))
    assert [[one.group for one in part.examples] for part in parts] == [["a", "a"], ["b", "c"], ["d"]]
    assert [part.share for part in parts] == pytest.approx([0.4, 0.4, 0.2], abs=1e-5)
    assert len(cut(examples, [3, 3, 5, 2, 9], 0, get_loss("bradley_terry"))) == 1
    assert len(cut(examples, [3, 3, 5, 2, 9], 99, get_loss("bradley_terry"))) == 1


def test_unlabelled_examples_count_nothing() -> None:
    examples = [example("w6", "w10", "w20", p_first=1.0), example("w7", "w10", "w20", p_first=None)]
    examples += [example("w8", "w10", "w20", p_first=0.5)]
    parts = cut(examples, [5, 5, 5], 10, get_loss("bradley_terry"))
    assert [part.share for part in parts] == pytest.approx([0.5, 0.5], abs=1e-5)  # one labelled pair of two each


def test_a_loss_that_compares_examples_stays_whole() -> None:
    """`trimmed` leaves out the largest losses of a batch, so no part can be computed alone."""
    examples = [example(f"w{6 + n}", "w10", "w20", p_first=1.0) for n in range(4)]
    assert len(cut(examples, [5] * 4, 5, get_loss("trimmed", share=0.5))) == 1
    assert len(cut(examples, [5] * 4, 5, training_loss(RewardConfig.of(l2_coefficient=0.1, brier_coefficient=1)))) == 4


def test_training_in_parts_is_training_whole(llama: Path, tmp_path: Path) -> None:
    whole, parted = job(llama, pairs(16)), job(llama, pairs(16), batch_tokens=24)
    # A pair: <bos> <user> wA wB <eos> <assistant> shared, then two responses wN wM <eos>: 12 tokens.
    assert [len(part.examples) for part in parted.parts(parted.examples[:4])] == [2, 2]
    history = [run(one, tmp_path / str(number)).history for number, one in enumerate((whole, parted))]
    for name, value in weights(whole).items():
        assert torch.allclose(weights(parted)[name], value, atol=1e-5), name
    assert [row["loss"] for row in history[0] if "loss" in row] == pytest.approx(
        [row["loss"] for row in history[1] if "loss" in row], abs=1e-5
    )
    assert not same(weights(whole), weights(job(llama, pairs(16))))
