"""Low-rank adapters in one step with the layer that they adapt: y = x Wᵀ + b + s (x Aᵀ) Bᵀ, with its own backward pass.

    T rows, I inputs, O outputs, R rank.

peft's own forward casts x to the adapter's fp32 and back, and makes three more tensors of the size of y. Here x is kept
once, in the precision of the products, and everything is added in place. Weights, names and files stay peft's: only the
class of its layers changes, and whatever is not plain (dropout at work, several adapters, quantized layers, variants)
goes through peft's forward.
"""

from typing import Any

import torch
from peft.tuners.lora import layer as peft_layers
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _LowRank(torch.autograd.Function):
    """See the module; gradients of A (R, I) and B (O, R) come back in their own dtype."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
        down, up = a.to(weight.dtype), (b * scale).to(weight.dtype)
        rows = x.reshape(-1, x.shape[-1])
        inner = rows @ down.T  # (T, R)
        out = rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)
        out.addmm_(inner, up.T)
        ctx.save_for_backward(rows, inner, weight, a, b)
        ctx.scale, ctx.shape = scale, x.shape
        return out.view(*x.shape[:-1], out.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        rows, inner, weight, a, b = ctx.saved_tensors
        gradient = gradients[0].reshape(-1, weight.shape[0])
        down, up = a.to(weight.dtype), (b * ctx.scale).to(weight.dtype)
        inner_gradient = gradient @ up  # (T, R)
        a_gradient = (inner_gradient.T @ rows).to(a.dtype)
        b_gradient = (gradient.T @ inner).to(b.dtype).mul_(ctx.scale)
        x_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = (gradient @ weight).addmm_(inner_gradient, down).view(ctx.shape)
        return x_gradient, None, None, a_gradient, b_gradient, None


class LowRankLinear(peft_layers.Linear):  # type: ignore[misc]
    """peft's adapted linear layer; a plain one is computed in one step."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(…, I) -> (…, O)."""
        name = self._plain_adapter(x) if not args and not kwargs else None
        if name is None:
            out: Tensor = super().forward(x, *args, **kwargs)
            return out
        layer = self.get_base_layer()
        with torch.autocast(x.device.type, enabled=False):
            return _LowRank.apply(  # type: ignore[no-any-return, no-untyped-call]
                x.to(layer.weight.dtype),
                layer.weight,
                layer.bias,
                self.lora_A[name].weight,
                self.lora_B[name].weight,
                self.scaling[name],
            )

    def _plain_adapter(self, x: Tensor) -> str | None:
        """The one adapter that is at work, where the layer is plain and its dtype is that of the products."""
        layer, names = self.get_base_layer(), self.active_adapters
        if type(layer) is not nn.Linear or layer.weight.requires_grad or self.disable_adapters or self.merged:
            return None
        if len(names) != 1 or names[0] not in self.lora_A or names[0] in self.lora_variant:
            return None
        name: str = names[0]
        dropout = self.lora_dropout[name]
        if (dropout.training and getattr(dropout, "p", 0.0)) or self.lora_B[name].bias is not None:
            return None
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        return name if layer.weight.dtype == dtype else None


def fuse_adapters(model: nn.Module) -> None:
    """Make every plain adapted linear layer of a model one step."""
    for module in model.modules():
        if type(module) is peft_layers.Linear:
            module.__class__ = LowRankLinear
