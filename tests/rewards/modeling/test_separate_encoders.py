"""Prompts and responses read by encoders with weights of their own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from judge.errors import ConfigError
from judge.rewards.checkpoint.save_load import export_merged, load
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Apart
from judge.rewards.distill import distill
from judge.rewards.inference.scoring import collator_for, compute_rewards
from judge.rewards.modeling.encoders import pooled
from judge.rewards.modeling.quantization import bitsandbytes
from judge.rewards.modeling.reward_model import RewardModule, build_reward_model
from judge.rewards.modeling.states import hidden_states
from judge.rewards.preparation import prepare
from judge.rewards.training.loop import make_accelerator, train
from tests.rewards.models import example, save, tokenizer, words
from tests.rewards.test_distill import config
from tests.rewards.training.test_loop import StopAt, job, pairs, run, same, weights

TEXTS = [example(words(10, 11), words(20, 21, 22)), example(words(12), words(23))]


def separate(llama: Path, **settings: Any) -> RewardModule:
    values = {"encoder": "fusion", "separate_encoders": True, **settings}
    return build_reward_model(RewardConfig.of(backbone=str(llama), **values)).eval()


@torch.no_grad()
def test_each_side_is_read_by_its_own_weights(llama: Path) -> None:
    """Features [u, v, |u − v|, u ⊙ v]: u by the prompts' encoder, v by the responses'."""
    model = separate(llama)
    model.encoder.layer = torch.nn.Identity()  # type: ignore[assignment]
    model.head = torch.nn.Identity()
    batch = model.collator(tokenizer())(TEXTS)
    assert isinstance(batch, Apart)
    before = model(batch)
    shared = build_reward_model(RewardConfig.of(backbone=str(llama), encoder="fusion")).eval()
    shared.encoder.layer = shared.head = torch.nn.Identity()  # type: ignore[assignment]
    torch.testing.assert_close(before, shared(batch))  # they begin as one
    model.prompt_backbone.layers[0].mlp.up_proj.weight.mul_(-2)
    u = pooled(hidden_states(model.prompt_backbone, batch.prompts), batch.prompts.mask)
    v = pooled(hidden_states(model.backbone, batch.responses), batch.responses.mask)
    assert (u - before[:, :32]).abs().max() > 0.1
    torch.testing.assert_close(v, before[:, 32:64])
    torch.testing.assert_close(model(batch), torch.cat([u, v, (u - v).abs(), u * v], -1))


def rewards_of(folder: Path) -> list[float]:
    loaded = load(folder, device="cpu")
    return [read.reward for reads in compute_rewards(loaded, collator_for(loaded), TEXTS) for read in reads]


@pytest.mark.parametrize("encoder", ["fusion", "cross"])
def test_both_are_trained_saved_and_loaded(encoder: str, llama: Path, tmp_path: Path) -> None:
    settings = {"encoder": encoder, "separate_encoders": True, "batch_tokens": 40}
    assert distill(prepare(pairs(40), config(llama, **settings)), tmp_path / "model") is not None
    model, began = load(tmp_path / "model", device="cpu").model, load_file(llama / "model.safetensors")
    name = "layers.0.mlp.up_proj.weight"
    ours, prompts = (reader.state_dict()[name] for reader in (model.backbone, model.prompt_backbone))
    assert not torch.equal(ours, began[name])
    assert not torch.equal(prompts, began[name])
    assert not torch.equal(prompts, ours)
    rewards = rewards_of(tmp_path / "model")
    again = tmp_path / "again"
    export_merged(tmp_path / "model", again)  # of a whole model a copy
    assert rewards_of(again) == pytest.approx(rewards, abs=1e-5)


@pytest.mark.parametrize("settings", [{}, {"kind": "ensemble", "members": 2, "member_kind": "adapters"}])
def test_adapters_are_saved_alone_and_merged_on_both_sides(
    settings: dict[str, Any], llama: Path, tmp_path: Path
) -> None:
    values = {"encoder": "fusion", "separate_encoders": True, "lora_rank": 2, "rate": 3e-2, **settings}
    made = job(llama, **values)
    run(made, tmp_path / "training")
    state = made.model.state_dict()
    moved = [name for name, value in state.items() if "lora_B" in name and value.abs().max() > 1e-3]
    members = 2 if settings else 1
    assert len(moved) == 2 * members * 14  # two readers, two layers of seven matrices
    assert distill(prepare(pairs(24), config(llama, **values)), tmp_path / "model") is not None
    names = load_file(tmp_path / "model" / "head.safetensors").keys()
    assert not [name for name in names if "base_layer" in name or "embed" in name]
    rewards = rewards_of(tmp_path / "model")
    assert rewards[0] != pytest.approx(rewards[1], abs=1e-3)
    if not settings:
        export_merged(tmp_path / "model", tmp_path / "merged")
        assert rewards_of(tmp_path / "merged") == pytest.approx(rewards, abs=1e-5)


def test_a_token_added_for_padding_has_a_row_on_both_sides(tmp_path: Path) -> None:
    """A vocabulary of 60 words without one for padding: a 61st is added."""
    backbone = save(tmp_path / "llama", "llama")
    tokenizer(pad="<eos>").save_pretrained(backbone)
    for file in (backbone / "tokenizer.json", backbone / "tokenizer_config.json"):
        file.write_text(file.read_text("utf-8").replace("<pad>", "<zero>"), "utf-8")
    settings = {"encoder": "fusion", "separate_encoders": True}
    assert distill(prepare(pairs(24), config(backbone, **settings)), tmp_path / "model") is not None
    model = load(tmp_path / "model", device="cpu").model
    assert len(model.backbone.get_input_embeddings().weight) == 61
    assert len(model.prompt_backbone.get_input_embeddings().weight) == 61


def test_a_crash_changes_nothing(llama: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"encoder": "cross", "separate_encoders": True, "save_every": 2, "dropout": 0.1}
    whole = job(llama, **options)
    run(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(job(llama, **options), tmp_path / "broken", StopAt(3))
    again = job(llama, **options)
    train(again, tmp_path / "broken", make_accelerator(again.config, tmp_path / "broken"))
    assert same(weights(again), weights(whole))
    assert any(name.startswith("prompt_backbone.") for name in weights(again))


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_both_bases_may_be_quantized(bits: str, tmp_path: Path) -> None:
    package = bitsandbytes()
    wide = save(tmp_path / "wide", "llama", hidden_size=64, intermediate_size=128, head_dim=16, vocab_size=128)
    settings = {"encoder": "fusion", "separate_encoders": True, "lora_rank": 2, "quantization": bits}
    training = job(wide, pairs(16), dtype="auto", **settings)
    kinds = (package.nn.Linear4bit, package.nn.Linear8bitLt)
    assert sum(isinstance(part, kinds) for part in training.model.modules()) == 28
    rows = [row for row in run(training, tmp_path / "model").history if "loss" in row]
    assert rows[-1]["grad_norm"] > 0


def test_what_stands_still_has_no_weights_of_its_own(llama: Path) -> None:
    with pytest.raises(ConfigError, match="separate_encoders begin as one, and freeze_backbone keeps them so"):
        prepare(pairs(8), config(llama, encoder="fusion", separate_encoders=True, freeze_backbone=True))
