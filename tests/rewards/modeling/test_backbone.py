"""What backbones can do is found by trial, and packed rows give plain rows' numbers and gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from judge.errors import ConfigError, EngineError
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Collator, Document
from judge.rewards.data.targets import Targets
from judge.rewards.losses.registry import get_loss
from judge.rewards.modeling import cpu_attention as products
from judge.rewards.modeling.attention import PackedAttention, attend
from judge.rewards.modeling.backbone import cpu_multiplies_bf16, mixed_precision, weights_dtype
from judge.rewards.modeling.reward_model import RewardModule, build_reward_model
from judge.rewards.modeling.states import core
from tests.rewards.models import example, pairs, save, tokenizer, words

EXAMPLES = pairs(6, responses=2)


def losses(model: RewardModule, name: str = "bradley-terry") -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of one batch and every gradient."""
    loss = get_loss(name)(model(model.collator(tokenizer())(EXAMPLES)), Targets.of(EXAMPLES, "scalar"))
    loss.backward()
    return loss.detach(), {key: weight.grad for key, weight in model.named_parameters() if weight.grad is not None}


def compare(folder: Path, **changes: Any) -> None:
    """Packed beside padded rows, the same weights, in fp32: losses to 1e-5, gradients to 1e-4 of the largest."""
    packed = build_reward_model(RewardConfig.of(backbone=str(folder), **changes))
    plain = build_reward_model(
        RewardConfig.of(backbone=str(folder), **changes | {"layout": "padded", "attention": "auto"})
    )
    plain.load_state_dict(packed.state_dict())
    assert packed.layout == "packed" and plain.layout == "padded"
    (loss, gradients), (wanted, expected) = losses(packed), losses(plain)
    assert abs(float(loss - wanted)) <= 1e-5
    assert set(gradients) == set(expected) and expected
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        assert float((gradients[name] - gradient).abs().max()) <= 1e-4 * largest, name
        norm = float(gradient.norm())
        assert float((gradients[name] - gradient).norm()) <= 1e-4 * max(norm, 1e-3 * largest), name


@pytest.mark.parametrize("attention", ["products", "sdpa"])
def test_packed_rows_give_plain_losses_and_gradients(llama: Path, attention: str) -> None:
    compare(llama, attention=attention)


@pytest.mark.parametrize("family", ["gpt2", "qwen3", "mistral"])
def test_so_they_do_in_other_families(tmp_path: Path, family: str) -> None:
    more = {"sliding_window": 6} if family == "mistral" else {}
    compare(save(tmp_path / family, family, **more))


@pytest.mark.parametrize("attention", ["products", "sdpa"])
def test_a_sliding_window_counts_positions_not_places_in_the_row(tmp_path: Path, attention: str) -> None:
    compare(save(tmp_path / "mistral", "mistral", sliding_window=4), attention=attention)


def test_without_sharing_too(llama: Path) -> None:
    compare(llama, shared_prefix=False)


def test_with_checkpointing_too(llama: Path) -> None:
    compare(llama, checkpointing=True)


def test_with_low_rank_adapters_too(llama: Path) -> None:
    compare(llama, lora_rank=4)


def test_blocks_and_made_again_probabilities_change_nothing(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judge.rewards.modeling.attention.ROWS", 3)
    monkeypatch.setattr(products, "MAX_SAVED_BYTES", 0)
    compare(llama)


def test_ragged_runs_name_each_segments_queries_and_keys() -> None:
    documents = (Document(0, 2, ((2, 4), (4, 5))), Document(5, 7, ()))
    plan = PackedAttention(documents, torch.tensor([0, 1, 2, 3, 2, 0, 1]), "flash")
    queries, keys, places, longest_query, longest_key = plan.ragged
    assert queries.tolist() == [0, 2, 4, 5, 7]
    assert keys.tolist() == [0, 2, 6, 9, 11]
    assert places.tolist() == [0, 1, 0, 1, 2, 3, 0, 1, 4, 5, 6]
    assert (longest_query, longest_key) == (2, 4)


@pytest.mark.parametrize("window", [None, 3])
def test_every_way_sees_the_same(window: int | None) -> None:
    documents = (Document(0, 4, ((4, 9), (9, 10))), Document(10, 17, ()), Document(17, 17, ((17, 18), (18, 20))))
    positions = torch.tensor([*range(9), 4, *range(7), 0, 0, 1])
    drawn = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, heads, 20, 8, generator=drawn) for heads in (4, 2, 2))
    seen = [
        attend(
            torch.nn.Identity(),
            query,
            key,
            value,
            None,
            packed=PackedAttention(documents, positions, way),
            sliding_window=window,
        )
        for way in ("products", "sdpa", "flex")
    ]
    for other, _ in seen[1:]:
        torch.testing.assert_close(other, seen[0][0], rtol=1e-5, atol=1e-5)


def test_ways_of_a_gpu_are_left_for_it(llama: Path) -> None:
    for way in ("flash", "flex"):  # a model is built on the CPU, whatever it will train on
        compare(llama, attention=way)


def test_the_last_layer_is_computed_where_it_is_read(llama: Path) -> None:
    model = build_reward_model(RewardConfig.of(backbone=str(llama)))
    rows: list[tuple[int, ...]] = []
    for layer in model.backbone.layers:
        layer.mlp.gate_proj.register_forward_hook(lambda module, given, out: rows.append(tuple(out.shape)))
    batch = model.collator(tokenizer())(EXAMPLES)
    model(batch)
    assert rows == [(1, batch.size, 64), (1, len(batch.reads), 64)]
    rows.clear()
    unnarrowed = build_reward_model(RewardConfig.of(backbone=str(llama), gradient_checkpointing=True))
    torch.testing.assert_close(unnarrowed(batch), model(batch))


def test_what_no_packed_attention_can_do_is_refused() -> None:
    states = torch.zeros(1, 1, 2, 4)
    plan = PackedAttention((Document(0, 2, ()),), torch.arange(2), "products")
    with pytest.raises(ConfigError, match="layout padded"):
        attend(torch.nn.Identity(), states, states, states, None, packed=plan, softcap=30.0)
    with pytest.raises(ConfigError, match="does not pass a packed batch on"):
        attend(torch.nn.Identity(), states, states, states, None)


def test_a_backbone_that_takes_no_positions_reads_padded_rows(tmp_path: Path) -> None:
    folder = save(tmp_path / "bloom", "bloom")
    model = build_reward_model(RewardConfig.of(backbone=str(folder)))
    assert model.capabilities.causal and model.layout == "padded"
    with pytest.raises(ConfigError, match=r"layout packed: the backbone '.*' gives a packed row other states"):
        build_reward_model(RewardConfig.of(backbone=str(folder), layout="packed"))


def test_a_bidirectional_backbone_is_known_by_trial(bert: Path) -> None:
    model = build_reward_model(RewardConfig.of(backbone=str(bert)))
    assert not model.capabilities.causal and model.layout == "padded" and model.pooling == "mean"
    with pytest.raises(ConfigError, match="is bidirectional"):
        build_reward_model(RewardConfig.of(backbone=str(bert), layout="packed"))


def test_wrong_backbones_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a backbone"):
        build_reward_model(RewardConfig.of())
    with pytest.raises(ConfigError, match=r"is an encoder-decoder \(t5\)"):
        build_reward_model(RewardConfig.of(backbone=str(save(tmp_path / "t5", "t5"))))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineError, match=r"the backbone '.*empty' cannot be loaded: ") as caught:
        build_reward_model(RewardConfig.of(backbone=str(tmp_path / "empty")))
    assert "\n" not in str(caught.value)


def test_unknown_adapter_targets_are_one_clear_line(llama: Path) -> None:
    with pytest.raises(ConfigError, match="lora_target_modules: "):
        build_reward_model(RewardConfig.of(backbone=str(llama), lora_rank=2, lora_target_modules=("nothing",)))


def test_what_learns(llama: Path) -> None:
    def learning(**changes: Any) -> set[str]:
        model = build_reward_model(RewardConfig.of(backbone=str(llama), **changes))
        return {name for name, weight in model.named_parameters() if weight.requires_grad}

    assert learning(freeze=True) == {"head.score.weight"}
    adapters = learning(lora_rank=2)
    assert "head.score.weight" in adapters
    assert all("lora_" in name for name in adapters - {"head.score.weight"}) and len(adapters) > 10


def test_precision_is_decided_in_one_place() -> None:
    assert weights_dtype(RewardConfig.of(dtype="bfloat16")) == torch.float32  # what learns is fp32
    assert weights_dtype(RewardConfig.of(dtype="bfloat16", lora_rank=4)) == torch.bfloat16
    assert weights_dtype(RewardConfig.of(lora_rank=4), torch.float32) == torch.float32  # auto loses nothing
    assert weights_dtype(RewardConfig.of(), torch.bfloat16) == torch.float32
    assert [mixed_precision(RewardConfig.of(dtype=name), "cpu") for name in ("auto", "float32", "bfloat16")] == [
        "bf16" if cpu_multiplies_bf16() else "no",
        "no",
        "bf16",
    ]


def test_autocast_packs_too(llama: Path) -> None:
    packed = build_reward_model(RewardConfig.of(backbone=str(llama)))
    plain = build_reward_model(RewardConfig.of(backbone=str(llama), layout="padded"))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        a, b = (model(model.collator(tokenizer())(EXAMPLES)) for model in (packed, plain))
    assert a.dtype == torch.float32
    assert float((a - b).abs().max()) < 0.05 * float(b.abs().max())


def test_dropout_is_what_the_settings_say(bert: Path) -> None:
    for share in (0.0, 0.25):
        model = build_reward_model(RewardConfig.of(backbone=str(bert), dropout=share))
        found = {module.p for module in core(model.backbone).modules() if isinstance(module, torch.nn.Dropout)}
        assert found == {share}


def test_texts_are_no_longer_than_the_learnt_positions(bert: Path, tmp_path: Path) -> None:
    model = build_reward_model(RewardConfig.of(backbone=str(bert), max_length=4000))
    assert model.collator(tokenizer(chat=False)).tokenizer.max_length == 256
    long = Collator(tokenizer(chat=False), "scalar", 4000, "padded")([example("w10", words(*[20] * 300))])
    with pytest.raises(ConfigError, match=r"a text of 30\d tokens, .* reads 256: .*\(accepted: max_length 256"):
        model(long)
    roberta = build_reward_model(RewardConfig.of(backbone=str(save(tmp_path / "roberta", "roberta", pad_token_id=1))))
    assert roberta.collator(tokenizer(chat=False)).tokenizer.max_length == 254
