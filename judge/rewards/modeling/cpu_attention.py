"""Attention by plain matrix products, block by block, with its own backward pass.

    H heads, T tokens, D width of a head, R query rows of a block, S keys that they see.

On a CPU the fused kernels lose their time in masks over whole documents; here a block's scores stay in the cache, no
score between documents or branches is ever computed, and gradients are added in place. This module refuses to know
models and batches.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

KEPT = 256 * 2**20  # bytes of probabilities that one layer keeps for its backward pass; beyond, they are made again


class Block(NamedTuple):
    """Query rows [start, end): they see keys [prefix_start, prefix_end) and, causally, [own, end)."""

    start: int
    end: int
    prefix_start: int
    prefix_end: int
    own: int

    @property
    def keys(self) -> int:
        return self.prefix_end - self.prefix_start + self.end - self.own


def products(
    query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block], positions: Tensor, scale: float, window: int
) -> Tensor:
    """softmax(scale Q Kᵀ + mask) V of every block. query, key, value: (H, T, D), positions: (T,) -> (T, H, D).

    A key `window` or more positions before its query is not seen; a row of no block gets zeros.
    """
    out: Tensor = _Products.apply(query, key, value, blocks, positions, scale, window)  # type: ignore[no-untyped-call]
    return out.transpose(0, 1)


def _seen_by(tensor: Tensor, block: Block) -> Tensor:
    """(H, S, D): the rows of keys or values that a block sees."""
    own = tensor[:, block.own : block.end]
    if block.prefix_end == block.prefix_start:
        return own
    return torch.cat([tensor[:, block.prefix_start : block.prefix_end], own], 1)


def _probabilities(query: Tensor, keys: Tensor, block: Block, positions: Tensor, scale: float, window: int) -> Tensor:
    """(H, R, S): the softmax of the scores, in fp32 inside the kernel."""
    scores = torch.bmm(query, keys.transpose(1, 2)).mul_(scale)
    rows = block.end - block.start
    if rows > 1:
        later = torch.ones(rows, rows, dtype=torch.bool).triu_(1)
        scores[:, :, -rows:].masked_fill_(later, float("-inf"))
    if window < block.keys:
        places = torch.cat([positions[block.prefix_start : block.prefix_end], positions[block.own : block.end]])
        far = positions[block.start : block.end, None] - places[None] >= window
        scores.masked_fill_(far, float("-inf"))
    return torch.softmax(scores, -1)


class _Products(torch.autograd.Function):
    """See `products`; the backward pass is that of Dao et al. 2022, appendix B.2, without tiles over the keys."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        blocks: Sequence[Block],
        positions: Tensor,
        scale: float,
        window: int,
    ) -> Tensor:
        size = query.shape[0] * query.element_size() * sum((one.end - one.start) * one.keys for one in blocks)
        keep = size <= KEPT and any(ctx.needs_input_grad)
        out = torch.zeros_like(query, memory_format=torch.contiguous_format)
        kept: list[Tensor] = []
        with torch.autocast(query.device.type, enabled=False):
            for block in blocks:
                rows = slice(block.start, block.end)
                share = _probabilities(query[:, rows], _seen_by(key, block), block, positions, scale, window)
                out[:, rows] = torch.bmm(share, _seen_by(value, block))
                if keep:
                    kept.append(share)
        ctx.save_for_backward(query, key, value, out, *kept)
        ctx.arguments = (blocks, positions, scale, window)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        query, key, value, out, *kept = ctx.saved_tensors
        blocks, positions, scale, window = ctx.arguments
        (given,) = gradients
        made = [torch.zeros_like(tensor) for tensor in (query, key, value)]
        total = (given * out).sum(-1, keepdim=True, dtype=torch.float32).to(query.dtype)  # (H, T, 1)
        for at, block in enumerate(blocks):
            rows = slice(block.start, block.end)
            keys, values = _seen_by(key, block), _seen_by(value, block)
            share = kept[at] if kept else _probabilities(query[:, rows], keys, block, positions, scale, window)
            scores = torch.bmm(given[:, rows], values.transpose(1, 2)).sub_(total[:, rows]).mul_(share).mul_(scale)
            made[0][:, rows] = torch.bmm(scores, keys)
            _add(made[1], torch.bmm(scores.transpose(1, 2), query[:, rows]), block)
            _add(made[2], torch.bmm(share.transpose(1, 2), given[:, rows]), block)
        return *made, None, None, None, None


def _add(whole: Tensor, part: Tensor, block: Block) -> None:
    """Add gradients of the keys that a block sees, (H, S, D), to all of them, (H, T, D)."""
    prefix = block.prefix_end - block.prefix_start
    if prefix:
        whole[:, block.prefix_start : block.prefix_end] += part[:, :prefix]
    whole[:, block.own : block.end] += part[:, prefix:]
