"""A gate learns which objective counts for which prompt, and nothing else moves."""

from pathlib import Path

import pytest
import torch

from judge.errors import ConfigError, InputError
from judge.rewards.config import RewardConfig
from judge.rewards.modeling.gating import fit_gate
from judge.rewards.modeling.reward_model import build_reward_model
from tests.rewards.models import example, pairs, tokenizer


def test_a_gate_learns_what_counts(llama: Path) -> None:
    model = build_reward_model(RewardConfig.of(kind="multi", objectives=("a", "b"), gated=True, backbone=str(llama)))
    collate = model.collator(tokenizer())
    some = pairs(40, seed=5)
    with torch.no_grad():  # the truth: objective b alone decides
        second = model.read(collate(some)).values[:, 1]
    better = (second[0::2] > second[1::2]).float().tolist()
    taught = [
        example(one.prompt[0].content, *(r[0].content for r in one.responses), group=one.group, p_first=p)
        for one, p in zip(some, better, strict=True)
    ]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loss = fit_gate(model, collate, taught, steps=100)
    assert loss < 0.6
    rewards = model.rewards(collate(taught))
    assert rewards.weights is not None
    assert float(rewards.weights.detach().mean(0)[1]) > 0.6
    moved = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"gate"}


def test_a_gate_needs_itself_and_pairs(llama: Path) -> None:
    plain = build_reward_model(RewardConfig.of(kind="multi", objectives=("a", "b"), backbone=str(llama)))
    with pytest.raises(ConfigError, match="no gate"):
        fit_gate(plain, plain.collator(tokenizer()), pairs(2))
    gated = build_reward_model(RewardConfig.of(kind="multi", objectives=("a", "b"), gated=True, backbone=str(llama)))
    with pytest.raises(InputError, match="there is none"):
        fit_gate(gated, gated.collator(tokenizer()), [example("w10", "w20")])
