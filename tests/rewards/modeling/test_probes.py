"""Packing is tried where attention changes, to the rounding of the model's arithmetic."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from judge.rewards.config import RewardConfig
from judge.rewards.modeling.backbone import Backbone
from judge.rewards.modeling.cpu_attention import products
from judge.rewards.modeling.probes import packs, probed_length, same_states
from judge.rewards.modeling.reward_model import build_reward_model
from tests.rewards.modeling.test_company import LONGROPE, SMALL, WINDOWED, saved

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def windowed(window: int = 40, **changes: Any) -> Any:
    """A Gemma 3 whose second layer of four sees the whole text, and the others a window."""
    types = ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"]
    torch.manual_seed(0)
    settings = SMALL | {"head_dim": 8, "sliding_window": window, "layer_types": types} | changes
    return transformers.Gemma3TextModel(transformers.Gemma3TextConfig(**settings))


def forgetful(**changes: Any) -> Any:
    """One whose attention is told of its window by the mask alone, which packed rows have none of."""
    model = windowed(**changes)
    for layer in model.layers:
        layer.self_attn.sliding_window = None
    return model


def test_the_length_that_is_tried_is_past_all_that_changes_attention() -> None:
    model = windowed(40)
    assert probed_length(model, 30) == 16  # the window is never filled
    assert probed_length(model, 50) == 50  # 40 + 16 would be longer than any text
    assert probed_length(model, 256) == 56
    assert probed_length(model, 4000) == 256 + 16  # our blocks of 256 query rows
    assert probed_length(windowed(1000), 4000) == 1016
    longrope = transformers.Phi3Config(**SMALL | {"original_max_position_embeddings": 32, "rope_parameters": LONGROPE})
    assert probed_length(transformers.Phi3Model(longrope), 256) == 48


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("way", ["products", "sdpa"])
def test_a_window_that_packing_forgets_is_seen_where_texts_fill_it(way: str, dtype: torch.dtype) -> None:
    honest, wrong = windowed().to(dtype), forgetful().to(dtype)
    assert packs(honest, way, 256) and packs(honest, way, 4000)
    assert packs(wrong, way, 16) and packs(wrong, way, 40)
    assert not packs(wrong, way, 256)
    assert not packs(wrong, way, 4000)
    assert wrong.config.num_hidden_layers == 4


def test_a_window_in_the_second_kind_of_layer_is_seen() -> None:
    """The first window stands in the third layer, so three are computed."""
    types = ["full_attention", "full_attention", "sliding_attention", "sliding_attention"]
    assert packs(windowed(layer_types=types), "sdpa", 256)
    assert not packs(forgetful(layer_types=types), "sdpa", 256)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 16 / 128)])
def test_a_row_may_differ_by_the_rounding_of_its_dtype(dtype: torch.dtype, tolerance: float) -> None:
    """16 ε of bf16 are 16 / 128; of fp32 that is less than the least."""
    model, wanted = windowed().to(dtype), torch.tensor([[3.0, 4.0], [30.0, 40.0]])  # 5 and 50 long
    assert same_states(wanted + torch.tensor([[0.0, 0.99 * 5 * tolerance], [0.0, 0.0]]), wanted, model)
    assert not same_states(wanted + torch.tensor([[0.0, 1.01 * 5 * tolerance], [0.0, 0.0]]), wanted, model)


def test_what_cannot_be_packed_is_said_once_and_read_in_padded_rows(caplog: pytest.LogCaptureFixture) -> None:
    config = RewardConfig.of(backbone="a/forgetful-model", max_length=256)
    with caplog.at_level(logging.WARNING):
        assert Backbone(forgetful(), config).capabilities.packed_attention == ""
        assert Backbone(forgetful(), config).capabilities.packed_attention == ""
        assert Backbone(forgetful(), config.updated(max_length=32)).capabilities.packed_attention == "products"
        assert Backbone(forgetful(), config.updated(layout="padded")).capabilities.packed_attention == ""
    said = [record.getMessage() for record in caplog.records]
    assert said == ["a/forgetful-model reads padded rows: packed ones would give its texts other states"]


@pytest.mark.parametrize("name", WINDOWED)
def test_chunks_are_read_in_padded_rows_and_windows_packed(name: str, tmp_path: Path) -> None:
    model = build_reward_model(RewardConfig.of(backbone=str(saved(tmp_path, name))))
    assert model.layout == {"llama4": "padded", "gemma3": "packed"}[name]


def test_our_own_blocks_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of 272 tokens has two blocks of query rows; a kernel that is wrong in the second one is found out."""

    def wrong_in_a_second_block(query: Any, key: Any, value: Any, blocks: Any, *rest: Any) -> Any:
        out = products(query, key, value, blocks, *rest)
        if max(block.end - block.start for block in blocks) == 256:
            out = out.roll(1, -1)
        return out

    model = windowed()
    monkeypatch.setattr("judge.rewards.modeling.attention.products", wrong_in_a_second_block)
    assert packs(model, "products", 256)
    assert not packs(model, "products", 4000)
