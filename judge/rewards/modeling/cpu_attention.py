"""Attention by plain matrix products, block by block, with its own backward pass.

    H heads, T tokens, D width of a head, R query rows of a block, S keys that they see.

On a CPU the fused kernels lose their time in masks over whole documents; here a block's scores stay in the cache, no
score between documents or branches is ever computed, and gradients are added in place.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

MAX_SAVED_BYTES = (
    256 * 2**20
)  # bytes of probabilities that one layer keeps for its backward pass; beyond, they are made again


class Block(NamedTuple):
    """Query rows [start, end): they see keys [prefix_start, prefix_end) and, causally, [branch_start, end)."""

    start: int
    end: int
    prefix_start: int
    prefix_end: int
    branch_start: int

    @property
    def keys(self) -> int:
        return self.prefix_end - self.prefix_start + self.end - self.branch_start


def products(
    query: Tensor, key: Tensor, value: Tensor, blocks: Sequence[Block], positions: Tensor, scale: float, window: int
) -> Tensor:
    """softmax(scale Q Kᵀ + mask) V of every block.

    Args:
        query: (H, T, D).
        key: (H, T, D).
        value: (H, T, D).
        blocks: of query rows.
        positions: (T,).
        scale: of the scores.
        window: a key so many positions before its query is not seen.

    Returns:
        (T, H, D); a row of no block gets zeros.
    """
    out: Tensor = _Products.apply(query, key, value, blocks, positions, scale, window)  # type: ignore[no-untyped-call]
    return out.transpose(0, 1)


def _seen_by(tensor: Tensor, block: Block) -> Tensor:
    """(H, S, D): the rows of keys or values that a block sees."""
    branch = tensor[:, block.branch_start : block.end]
    if block.prefix_end == block.prefix_start:
        return branch
    return torch.cat([tensor[:, block.prefix_start : block.prefix_end], branch], 1)


def _probabilities(query: Tensor, keys: Tensor, block: Block, positions: Tensor, scale: float, window: int) -> Tensor:
    """(H, R, S): the softmax of the scores, in fp32 inside the kernel."""
    scores = torch.bmm(query, keys.transpose(1, 2)).mul_(scale)
    rows = block.end - block.start
    if rows > 1:
        later = torch.ones(rows, rows, dtype=torch.bool).triu_(1)
        scores[:, :, -rows:].masked_fill_(later, float("-inf"))
    if window < block.keys:
        places = torch.cat(
            [positions[block.prefix_start : block.prefix_end], positions[block.branch_start : block.end]]
        )
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
        size = query.shape[0] * query.element_size() * sum((block.end - block.start) * block.keys for block in blocks)
        save = size <= MAX_SAVED_BYTES and any(ctx.needs_input_grad)
        out = torch.zeros_like(query, memory_format=torch.contiguous_format)
        saved: list[Tensor] = []
        with torch.autocast(query.device.type, enabled=False):
            for block in blocks:
                rows = slice(block.start, block.end)
                probabilities = _probabilities(query[:, rows], _seen_by(key, block), block, positions, scale, window)
                out[:, rows] = torch.bmm(probabilities, _seen_by(value, block))
                if save:
                    saved.append(probabilities)
        ctx.save_for_backward(query, key, value, out, *saved)
        ctx.arguments = (blocks, positions, scale, window)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        query, key, value, out, *saved = ctx.saved_tensors
        blocks, positions, scale, window = ctx.arguments
        (out_gradient,) = gradients
        query_gradient, key_gradient, value_gradient = (torch.zeros_like(tensor) for tensor in (query, key, value))
        total = (out_gradient * out).sum(-1, keepdim=True, dtype=torch.float32).to(query.dtype)  # (H, T, 1)
        for number, block in enumerate(blocks):
            rows = slice(block.start, block.end)
            keys, values = _seen_by(key, block), _seen_by(value, block)
            if saved:
                probabilities = saved[number]
            else:
                probabilities = _probabilities(query[:, rows], keys, block, positions, scale, window)
            scores = torch.bmm(out_gradient[:, rows], values.transpose(1, 2))
            scores.sub_(total[:, rows]).mul_(probabilities).mul_(scale)
            query_gradient[:, rows] = torch.bmm(scores, keys)
            _add(key_gradient, torch.bmm(scores.transpose(1, 2), query[:, rows]), block)
            _add(value_gradient, torch.bmm(probabilities.transpose(1, 2), out_gradient[:, rows]), block)
        return query_gradient, key_gradient, value_gradient, None, None, None, None


def _add(whole: Tensor, part: Tensor, block: Block) -> None:
    """Add gradients of the keys that a block sees, (H, S, D), to all of them, (H, T, D)."""
    prefix = block.prefix_end - block.prefix_start
    if prefix:
        whole[:, block.prefix_start : block.prefix_end] += part[:, :prefix]
    whole[:, block.branch_start : block.end] += part[:, prefix:]
