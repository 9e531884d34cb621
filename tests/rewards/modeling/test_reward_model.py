"""Every kind and arrangement: shapes, independence of the batch, seeds, and what the model says besides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from judge.rewards.config import RewardConfig
from judge.rewards.data.examples import Example
from judge.rewards.modeling.heads import Gate
from judge.rewards.modeling.reward_model import RewardModule, build_reward_model
from tests.rewards.models import example, pairs, said, tokenizer

EXAMPLES = pairs(5)
KINDS: list[tuple[str, dict[str, Any], int]] = [
    ("scalar", {}, 1),
    ("outcome", {}, 1),
    ("multi", {"objectives": ("helpful", "honest", "harmless")}, 3),
    ("ensemble", {"members": 4}, 4),
    ("hierarchical", {}, 1),
]


def read(model: RewardModule, examples: Sequence[Example], tokens: Any = None) -> Tensor:
    with torch.no_grad():
        values: Tensor = model.eval()(model.collator(tokens or tokenizer())(examples))
    return values


@pytest.mark.parametrize("backbone", ["llama", "bert"])
@pytest.mark.parametrize(("kind", "more", "outputs"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_a_number_for_each_read_and_the_batch_changes_none(
    kind: str, more: dict[str, Any], outputs: int, backbone: str, request: pytest.FixtureRequest
) -> None:
    model = build_reward_model(RewardConfig.of(kind=kind, backbone=str(request.getfixturevalue(backbone)), **more))
    together = read(model, EXAMPLES)
    assert together.shape == (10, outputs) and together.dtype == torch.float32
    assert len(together.unique(dim=0)) > 1
    alone = torch.cat([read(model, [one]) for one in EXAMPLES])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ["fusion", "cross"])
@pytest.mark.parametrize("backbone", ["llama", "bert"])
def test_two_encoders_read_whatever_the_batch(encoder: str, backbone: str, request: pytest.FixtureRequest) -> None:
    model = build_reward_model(RewardConfig.of(encoder=encoder, backbone=str(request.getfixturevalue(backbone))))
    assert model.layout == "apart"
    together = read(model, EXAMPLES)
    alone = torch.cat([read(model, [one]) for one in EXAMPLES])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    (first, *_rest) = EXAMPLES
    other = example("w50 w51", *(response[0].content for response in first.responses))
    assert not torch.allclose(read(model, [first]), read(model, [other]), atol=1e-3)  # the prompt matters


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("backbone", ["llama", "bert"])
def test_a_process_model_reads_every_step(classes: int, backbone: str, request: pytest.FixtureRequest) -> None:
    some = [
        Example(id="a", group="a", prompt=said("user", "w10"), steps=("w20 w21", "w22", "w23")),
        Example(id="b", group="b", prompt=said("user", "w11 w12"), steps=("w30",)),
    ]
    model = build_reward_model(
        RewardConfig.of(kind="process", classes=classes, backbone=str(request.getfixturevalue(backbone)))
    )
    together = read(model, some)
    assert together.shape == (4, classes)
    alone = torch.cat([read(model, [one]) for one in some])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_step_is_judged_by_what_came_before_it_alone(llama: Path) -> None:
    model = build_reward_model(RewardConfig.of(kind="process", backbone=str(llama)))
    steps = ("w20 w21", "w22", "w23")
    some = [Example(id=str(n), group=str(n), prompt=said("user", "w10"), steps=steps[:n]) for n in (1, 2, 3)]
    rows = [read(model, [one]) for one in some]
    torch.testing.assert_close(rows[2][:2], rows[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rows[1][:1], rows[0], rtol=1e-4, atol=1e-5)


def test_a_pad_token_that_is_the_end_token_changes_nothing(llama: Path) -> None:
    for layout in ("packed", "padded"):
        model = build_reward_model(RewardConfig.of(backbone=str(llama), layout=layout))
        usual, same = read(model, EXAMPLES), read(model, EXAMPLES, tokenizer(pad="<eos>"))
        torch.testing.assert_close(usual, same)


def test_the_seed_alone_decides_the_head(llama: Path) -> None:
    first = build_reward_model(RewardConfig.of(backbone=str(llama), seed=1)).own_state()
    torch.rand(100)
    again, other = (build_reward_model(RewardConfig.of(backbone=str(llama), seed=seed)).own_state() for seed in (1, 2))
    assert torch.equal(first["head.score.weight"], again["head.score.weight"])
    assert not torch.equal(first["head.score.weight"], other["head.score.weight"])


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_members_of_an_ensemble_begin_apart(llama: Path, head: str) -> None:
    values = read(
        build_reward_model(RewardConfig.of(kind="ensemble", members=5, head=head, backbone=str(llama))), EXAMPLES
    )
    apart = (values[:, :, None] - values[:, None]).abs().mean(0)
    assert float(apart[~torch.eye(5, dtype=torch.bool)].min()) > 0.01


def test_members_of_adapters_learn_each_for_itself(llama: Path) -> None:
    config = RewardConfig.of(kind="ensemble", members=3, member_kind="adapters", lora_rank=2, backbone=str(llama))
    model = build_reward_model(config)
    values = model(model.collator(tokenizer())(EXAMPLES))
    assert values.shape == (10, 3)
    values[:, 1].sum().backward()
    moved = {name.split(".")[-2] for name, weight in model.named_parameters() if "lora_" in name and _moves(weight)}
    assert moved == {"member1"}


def _moves(weight: Tensor) -> bool:
    return weight.grad is not None and bool(weight.grad.abs().max() > 0)


def test_objectives_under_fixed_weights(llama: Path) -> None:
    config = RewardConfig.of(kind="multi", objectives=("a", "b"), objective_weights=(3.0, 1.0), backbone=str(llama))
    model = build_reward_model(config)
    rewards = model.rewards(model.collator(tokenizer())(EXAMPLES))
    torch.testing.assert_close(rewards.combined[:, 0], 0.75 * rewards.values[:, 0] + 0.25 * rewards.values[:, 1])


def test_objectives_under_gated_weights(llama: Path) -> None:
    model = build_reward_model(RewardConfig.of(kind="multi", objectives=("a", "b"), gated=True, backbone=str(llama)))
    assert isinstance(model.gate, Gate)
    torch.nn.init.normal_(model.gate.layers[-1].weight)  # type: ignore[arg-type]
    with torch.no_grad():
        rewards = model.rewards(model.collator(tokenizer())(EXAMPLES))
    assert rewards.weights is not None
    torch.testing.assert_close(rewards.weights.sum(-1), torch.ones(10))
    assert float(rewards.weights.std(0).max()) > 0.01
    torch.testing.assert_close(rewards.combined[:, 0], (rewards.values * rewards.weights).sum(-1))


def test_the_bank_fills_in_training_and_speaks_in_rewards(llama: Path) -> None:
    model = build_reward_model(RewardConfig.of(feature_bank="fifo", feature_bank_size=64, backbone=str(llama)))
    collate = model.collator(tokenizer())
    batch = collate(EXAMPLES)
    assert model.bank is not None and model.bank.filled == 0
    before = model.eval()(batch)
    assert model.bank.filled == 0
    model.train()(batch)
    assert model.bank.filled == 10
    known = model.eval().rewards(batch)
    far = model.rewards(collate(pairs(5, seed=9)))
    assert known.novelty is not None and far.novelty is not None
    assert float(far.novelty.mean()) > float(known.novelty.mean())
    torch.testing.assert_close(model(batch), before)  # the head's own numbers are left alone


def test_own_state_is_all_but_the_backbone(llama: Path) -> None:
    model = build_reward_model(
        RewardConfig.of(kind="multi", objectives=("a", "b"), gated=True, feature_bank="reservoir", backbone=str(llama))
    )
    names = {name.split(".")[0] for name in model.own_state()}
    assert names == {"head", "gate", "bank", "score_mean", "score_scale"}
    assert set(model.own_state()) | {f"backbone.{name}" for name in model.backbone.state_dict()} == set(
        model.state_dict()
    )
