"""Attention over a packed row: each document's branches see its prefix and themselves, documents never each other.

    T tokens of the row, H heads, D their width; query, key, value come as (1, H, T, D) and go back as (1, T, H, D).

Four ways to the same numbers: `products` (plain matrix products a block of rows at a time, for CPUs), `flash`
(PyTorch's kernel for ragged sequences; a branch's keys are its prefix's and its own, gathered), `flex` (a block mask),
`sdpa` (a mask for each document, anywhere). transformers calls `attend` by the name NAME; the batch's `PackedAttention`
travels with the call.
"""

import warnings
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from judge.errors import ConfigError
from judge.rewards.data.collate import Document
from judge.rewards.modeling.cpu_attention import Block, products

NAME = "rmjudge_documents"
ROWS = 256  # query rows of a block: its scores stay in a core's cache, and little above the diagonal is computed
WAYS = ("products", "flash", "flex", "sdpa")


class Segment(NamedTuple):
    """Query rows [start, end) that see keys [prefix_start, prefix_end) and, causally, themselves."""

    start: int
    end: int
    prefix_start: int
    prefix_end: int


def segments(documents: Sequence[Document]) -> Iterator[Segment]:
    """A document's prefix, which sees itself, then each branch."""
    for document in documents:
        if document.prefix_end > document.start:
            yield Segment(document.start, document.prefix_end, document.start, document.start)
        for start, end in document.branches:
            yield Segment(start, end, document.start, document.prefix_end)


class PackedAttention:
    """What the attention of every layer needs to know about a packed batch, made once.

    Args:
        documents: of the row, in its order.
        positions: (T,).
        way: one of WAYS.
        rows: (R,) those whose states the last layer is asked for; None for all.
        last_layer: the number of that layer.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        positions: Tensor,
        way: str,
        rows: Tensor | None = None,
        last_layer: int = -1,
    ) -> None:
        self.documents, self.positions, self.way = tuple(documents), positions, way
        self.rows, self.last_layer = rows, last_layer
        self._flex: dict[int, Any] = {}

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Segments cut into blocks of at most ROWS query rows."""
        return tuple(
            Block(row, min(row + ROWS, segment.end), segment.prefix_start, segment.prefix_end, segment.start)
            for segment in segments(self.documents)
            for row in range(segment.start, segment.end, ROWS)
        )

    @cached_property
    def read_blocks(self) -> tuple[Block, ...]:
        """A block for each row that is read."""
        assert self.rows is not None
        ordered = sorted(segments(self.documents), key=lambda segment: segment.start)
        starts = [segment.start for segment in ordered]
        blocks = []
        for row in self.rows.tolist():
            segment = ordered[bisect_right(starts, row) - 1]
            blocks.append(Block(row, row + 1, segment.prefix_start, segment.prefix_end, segment.start))
        return tuple(blocks)

    @cached_property
    def owners(self) -> tuple[Tensor, Tensor]:
        """(T,) the document of each token and (T,) its branch, -1 in a prefix."""
        document, branch = torch.empty_like(self.positions), torch.full_like(self.positions, -1)
        for number, span in enumerate(self.documents):
            document[span.start : span.end] = number
            for branch_number, (start, end) in enumerate(span.branches):
                branch[start:end] = branch_number
        return document, branch

    def block_mask(self, window: int) -> Any:
        """Flex attention's mask: same document, not later, in the prefix or the same branch, within the window."""
        from torch.nn.attention.flex_attention import create_block_mask

        if window not in self._flex:
            document, branch = self.owners
            position, device = self.positions, self.positions.device

            def visible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
                near = position[query] - position[key] < window
                same_branch = (branch[key] == -1) | (branch[key] == branch[query])
                return (document[query] == document[key]) & (key <= query) & same_branch & near

            length = self.positions.numel()
            self._flex[window] = create_block_mask(
                visible, None, None, length, length, device=str(device), _compile=device.type == "cuda"
            )
        return self._flex[window]

    @cached_property
    def ragged(self) -> tuple[Tensor, Tensor, Tensor, int, int]:
        """For flash: (S+1,) ends of query runs, (S+1,) of key runs, (L,) the keys' places, both longest runs."""
        device = self.positions.device
        queries, keys, places = [0], [0], []
        for segment in segments(self.documents):
            places.append(torch.arange(segment.prefix_start, segment.prefix_end))
            places.append(torch.arange(segment.start, segment.end))
            queries.append(segment.end)
            keys.append(keys[-1] + segment.prefix_end - segment.prefix_start + segment.end - segment.start)
        query_ends, key_ends = (torch.tensor(ends, dtype=torch.int32) for ends in (queries, keys))
        longest = [int(ends.diff().max()) for ends in (query_ends, key_ends)]
        return query_ends.to(device), key_ends.to(device), torch.cat(places).to(device), longest[0], longest[1]


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    packed: PackedAttention | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **ignored: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in each layer of a packed batch.

    Args:
        module: the layer's attention.
        query: (1, H, T, D).
        key: (1, H', T, D), H' a divisor of H.
        value: (1, H', T, D).
        attention_mask: not used; the documents say who sees whom.
        scaling: of the scores, 1 / sqrt(D) unless given.
        dropout: of the probabilities.
        sliding_window: keys so many positions before their query are not seen.
        packed: the batch's documents.
        softcap: not supported.
        s_aux: attention sinks, not supported.

    Returns:
        (1, T, H, D), and no weights.

    Raises:
        ConfigError: where the backbone does not hand `packed` on, or asks for what no way here can do.
    """
    if packed is None:
        raise ConfigError("this backbone does not pass a packed batch on to its attention (accepted: layout padded)")
    if softcap is not None or s_aux is not None:
        raise ConfigError("soft-capped scores and attention sinks need layout padded")
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    window = sliding_window or query.shape[2] + 1
    query, key, value = (_cast(tensor, value.dtype) for tensor in (query, key, value))
    way = "sdpa" if dropout and packed.way != "sdpa" else packed.way
    if way == "flex":
        return _flex(query, key, value, packed, scale, window), None
    if way == "flash":
        return _flash(query, key, value, packed, scale, window), None
    if (repeats := query.shape[1] // key.shape[1]) > 1:
        key, value = (tensor.repeat_interleave(repeats, 1) for tensor in (key, value))
    if way == "products":
        some_rows = packed.rows is not None and getattr(module, "layer_idx", None) == packed.last_layer
        blocks = packed.read_blocks if some_rows else packed.blocks
        out = products(query[0], key[0], value[0], blocks, packed.positions, scale, window)
        return out[None], None
    return _sdpa(query, key, value, packed, scale, window, dropout), None


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Half precision where autocast says so: rotary embeddings in fp32 have raised queries and keys."""
    kind = tensor.device.type
    return tensor.to(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else dtype)


def _sdpa(
    query: Tensor, key: Tensor, value: Tensor, packed: PackedAttention, scale: float, window: int, dropout: float
) -> Tensor:
    """A mask a document; never one over documents."""
    sizes = [document.end - document.start for document in packed.documents]
    branch = packed.owners[1]
    parts = []
    rows = zip(*(tensor.split(sizes, 2) for tensor in (query, key, value)), strict=True)
    places = zip(*(tensor.split(sizes) for tensor in (branch, packed.positions)), strict=True)
    for (q, k, v), (branches, position) in zip(rows, places, strict=True):
        seen = (branches[None] == -1) | (branches[None] == branches[:, None])
        seen &= torch.ones_like(seen).tril_()
        seen &= position[:, None] - position[None] < window
        part = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale, dropout_p=dropout)
        parts.append(part)
    return torch.cat(parts, 2).transpose(1, 2)


@lru_cache(1)
def _compiled_flex() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)


def _flex(query: Tensor, key: Tensor, value: Tensor, packed: PackedAttention, scale: float, window: int) -> Tensor:
    """Dong et al. 2024. Compiled on a GPU; elsewhere the reference, for tests of the mask."""
    from torch.nn.attention.flex_attention import flex_attention

    mask, grouped = packed.block_mask(window), query.shape[1] != key.shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the reference is slow, which its name says
        run = _compiled_flex() if query.is_cuda else flex_attention
        out: Tensor = run(query, key, value, block_mask=mask, scale=scale, enable_gqa=grouped)
    return out.transpose(1, 2)


def _flash(query: Tensor, key: Tensor, value: Tensor, packed: PackedAttention, scale: float, window: int) -> Tensor:
    """Ragged flash attention (Dao 2023): a branch is a run of queries shorter than its keys, aligned at their ends."""
    from torch.nn.attention.varlen import varlen_attn

    queries, keys, places, longest_query, longest_key = packed.ragged
    rows = query[0].transpose(0, 1)
    keyed, valued = (tensor[0].transpose(0, 1).index_select(0, places) for tensor in (key, value))
    left = window - 1 if window <= longest_key else -1
    out = varlen_attn(
        rows,
        keyed,
        valued,
        queries,
        keys,
        longest_query,
        longest_key,
        scale=scale,
        window_size=(left, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    assert isinstance(out, Tensor)
    return out[None]


@lru_cache(1)
def register() -> str:
    """Make NAME known to transformers, without any mask of its own; the name."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    return NAME
