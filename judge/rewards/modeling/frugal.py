"""Parts of a backbone that keep less for the backward pass: normalisation, and gated feed-forward layers.

    T rows, H width, I inner width.

transformers' own keep every intermediate tensor (of a normalisation three, two of them in fp32); these keep their
inputs and make the rest again. A part is replaced where it gives the same numbers as its own class, which is tried;
its weights and their names stay.
"""

from functools import lru_cache
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

TOLERANCE = 1e-5  # of the largest number, in fp32


class _RmsNorm(torch.autograd.Function):
    """w · x / sqrt(mean x² + ε) (Zhang & Sennrich 2019), computed in fp32; keeps x and (T, 1) factors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float, dtype: torch.dtype) -> Tensor:
        wide = x.float()
        factor = torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
        ctx.save_for_backward(x, weight, factor)
        return (weight * (wide * factor).to(x.dtype)).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        x, weight, factor = ctx.saved_tensors
        gradient = gradients[0].float()
        unit = x.float() * factor
        weight_gradient = None
        if ctx.needs_input_grad[1]:
            weight_gradient = (gradient * unit.to(x.dtype)).flatten(0, -2).sum(0).to(weight.dtype)
        gradient = gradient * weight
        mean = (gradient * unit).mean(-1, keepdim=True)
        return (gradient - unit * mean).mul_(factor).to(x.dtype), weight_gradient, None, None


class _GatedProduct(torch.autograd.Function):
    """silu(g) · u (Shazeer 2020, SwiGLU); keeps g and u."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return nn.functional.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        gate, up = ctx.saved_tensors
        gradient = gradients[0]
        up_gradient = nn.functional.silu(gate).mul_(gradient)
        gate_gradient = torch.ops.aten.silu_backward(gradient * up, gate)
        return gate_gradient, up_gradient


def save_activations(model: nn.Module) -> None:
    """Replace the parts of a backbone that can be replaced."""
    for layer in list(model.modules()):
        if _is_gated_feed_forward(layer):
            layer.__class__ = _gated_class(type(layer))  # type: ignore[arg-type]
        for name, part in layer.named_children():
            if _is_rms_norm(part):
                part.__class__ = _norm_class(type(part), _feeds_products(layer, name))  # type: ignore[arg-type]


# ---- normalisation ---------------------------------------------------------------------------------------------------


@lru_cache(None)
def _norm_class(kind: type[nn.Module], feeds_products: bool) -> type[nn.Module]:
    """A class of that name and kind with the frugal forward."""

    def forward(self: Any, hidden_states: Tensor) -> Tensor:
        device = hidden_states.device.type
        dtype = torch.promote_types(self.weight.dtype, hidden_states.dtype)
        if feeds_products and torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)  # to which the products would bring it, each for itself
        return _RmsNorm.apply(  # type: ignore[no-any-return, no-untyped-call]
            hidden_states, self.weight, self.variance_epsilon, dtype
        )

    return type(kind.__name__, (kind,), {"forward": forward, "frugal": True})


def _feeds_products(layer: nn.Module, name: str) -> bool:
    """Whether nothing but linear layers reads a normalisation: the two of a layer that normalises what goes in."""
    names = {name for name, _ in layer.named_children()}
    before = {"input_layernorm", "post_attention_layernorm"}
    return name in before <= names and not any("feedforward" in name for name in names)


def _is_rms_norm(part: nn.Module) -> bool:
    """Whether a part gives w · x / sqrt(mean x² + ε), tried with three rows."""
    weight, epsilon = getattr(part, "weight", None), getattr(part, "variance_epsilon", None)
    names = [name for name, _ in part.named_parameters()]
    if getattr(part, "frugal", False) or names != ["weight"] or not isinstance(epsilon, float):
        return False
    if not isinstance(weight, Tensor) or weight.ndim != 1 or weight.is_meta:
        return False
    if len(signature(part.forward).parameters) != 1:
        return False  # Mamba 2's also takes a gate
    drawn = torch.randn(3, len(weight), generator=torch.Generator().manual_seed(0)).to(weight.device)
    with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
        theirs = part(drawn).float()
        ours = _RmsNorm.apply(drawn, weight, epsilon, torch.float32)  # type: ignore[no-untyped-call]
    return bool((theirs - ours).abs().max() <= TOLERANCE * theirs.abs().max())


# ---- feed-forward ----------------------------------------------------------------------------------------------------


@lru_cache(None)
def _gated_class(kind: type[nn.Module]) -> type[nn.Module]:
    """A class of that name and kind with the frugal forward."""

    def forward(self: Any, x: Tensor) -> Tensor:
        inner = _GatedProduct.apply(self.gate_proj(x), self.up_proj(x))  # type: ignore[no-untyped-call]
        out: Tensor = self.down_proj(inner)
        return out

    return type(kind.__name__, (kind,), {"forward": forward, "frugal": True})


def _is_gated_feed_forward(layer: nn.Module) -> bool:
    """Whether a layer is down(silu(gate(x)) · up(x)) and no more, tried with three rows."""
    parts = dict(layer.named_children())
    if getattr(layer, "frugal", False) or not {"gate_proj", "up_proj", "down_proj"} <= parts.keys():
        return False
    weight = next(parts["gate_proj"].parameters(), None)
    width = getattr(parts["gate_proj"], "in_features", 0)
    if weight is None or weight.is_meta or not weight.is_floating_point() or not width:
        return False
    drawn = torch.randn(3, width, generator=torch.Generator().manual_seed(0)).to(weight.device, weight.dtype)
    training = layer.training
    layer.eval()
    try:
        with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
            theirs = layer(drawn)
            ours = parts["down_proj"](nn.functional.silu(parts["gate_proj"](drawn)).mul_(parts["up_proj"](drawn)))
    except (TypeError, RuntimeError, ValueError):
        return False  # a layer that is called in another way
    finally:
        layer.train(training)
    if not isinstance(theirs, Tensor) or theirs.shape != ours.shape:
        return False
    return bool((theirs - ours).abs().max() <= TOLERANCE * theirs.abs().max())
