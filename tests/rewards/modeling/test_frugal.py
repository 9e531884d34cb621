"""Parts of a backbone that keep less for the backward pass give the numbers and gradients of their own classes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import layer as peft_layers
from transformers import AutoModel

from judge.rewards.config import RewardConfig
from judge.rewards.modeling.backbone import prepare
from judge.rewards.modeling.frugal import _GatedProduct, _RmsNorm
from judge.rewards.modeling.low_rank import LowRankLinear
from tests.rewards.models import save


def test_a_normalisation_by_hand() -> None:
    """x = (3, 4): mean square 12.5, so with epsilon 12.5 the factor is 1/5: y = w (0.6, 0.8).

    dL/dx for L = y_1, w = (1, 2): factor (e_1 − x̂_1 x̂ / 2) with x̂ = (0.6, 0.8): (1 − 0.18, −0.24) / 5.
    """
    x = torch.tensor([[3.0, 4.0]], requires_grad=True)
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    y = _RmsNorm.apply(x, weight, 12.5, torch.float32)
    assert y.tolist() == [[pytest.approx(0.6), pytest.approx(1.6)]]
    y[0, 0].backward()
    assert x.grad is not None and x.grad[0].tolist() == pytest.approx([0.164, -0.048])
    assert weight.grad is not None and weight.grad.tolist() == pytest.approx([0.6, 0.0])


def test_a_gated_product_has_the_gradients_of_its_formula() -> None:
    drawn = [torch.randn(5, 7, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(_GatedProduct.apply, drawn)
    assert torch.allclose(_GatedProduct.apply(*drawn), torch.nn.functional.silu(drawn[0]) * drawn[1])


def states_and_gradients(model: Any, dtype: torch.dtype) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    tokens = torch.arange(6, 30)[None]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        states = model(input_ids=tokens).last_hidden_state.float()
    (states * torch.randn(states.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    return states.detach(), {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3", "gemma2"])
def test_a_whole_backbone_gives_the_same_states_and_gradients(family: str, tmp_path: Path) -> None:
    folder = save(tmp_path, family)
    plain, frugal = (AutoModel.from_pretrained(folder, attn_implementation="eager") for _ in range(2))
    frugal = prepare(frugal, RewardConfig.of(backbone=str(folder)))
    replaced = {type(part).__name__ for part in frugal.modules() if getattr(part, "frugal", False)}
    assert bool(replaced) == (family != "gemma2")  # whose weights are 1 + w, and whose gate is a GELU
    (states, gradients), (expected, wanted) = (states_and_gradients(model, torch.float32) for model in (frugal, plain))
    assert torch.allclose(states, expected, atol=1e-5)
    assert gradients.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert torch.allclose(gradients[name], gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-7), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_adapters_in_one_step_are_pefts(dtype: str, llama: Path) -> None:
    config = RewardConfig.of(backbone=str(llama), lora_rank=3, lora_alpha=6, dtype=dtype)
    kind = getattr(torch, dtype)
    model = prepare(AutoModel.from_pretrained(llama, dtype=kind), config)
    layers = [part for part in model.modules() if isinstance(part, peft_layers.Linear)]
    assert len(layers) == 14 and {type(part) for part in layers} == {LowRankLinear}
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    assert {weight.dtype for name, weight in model.named_parameters() if "lora_" in name} == {torch.float32}
    states, gradients = states_and_gradients(model, kind)
    model.zero_grad()
    for part in layers:
        part.__class__ = peft_layers.Linear
    expected, wanted = states_and_gradients(model, kind)
    tolerance = 1e-5 if dtype == "float32" else 0.05
    assert float((states - expected).abs().max()) <= tolerance * float(expected.abs().max())
    assert gradients.keys() == wanted.keys() and len(wanted) == 28
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, gradient in wanted.items():
        assert gradients[name].dtype == torch.float32
        assert float((gradients[name] - gradient).abs().max()) <= tolerance * largest, name


def test_dropout_at_work_goes_pefts_own_way(llama: Path) -> None:
    config = RewardConfig.of(backbone=str(llama), lora_rank=2, lora_dropout=0.5, dtype="float32")
    model = prepare(AutoModel.from_pretrained(llama), config)
    layer = next(part for part in model.modules() if isinstance(part, LowRankLinear))
    x = torch.randn(2, 32)
    assert layer._plain_adapter(x) is None
    assert layer.eval()._plain_adapter(x) == "default"
