"""What a backbone can do, tried on a few drawn tokens when it is wrapped.

T tokens, H width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from judge.errors import ConfigError
from judge.rewards.data.collate import Document, Packed, Padded
from judge.rewards.modeling.attention import PackedAttention
from judge.rewards.modeling.last_layer import LastLayerRows
from judge.rewards.modeling.states import core, held_dtype, hidden_states, set_attention

TOLERANCE = 2e-3  # of the largest state: how far packed states may lie from plain ones, in fp32


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """The model in evaluation, without gradients; its mode is restored afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def _probe_tokens(model: Any, count: int) -> Tensor:
    """(count,) arbitrary tokens, the same each time."""
    weight = model.get_input_embeddings().weight
    drawn = torch.randint(0, int(weight.shape[0]), (count,), generator=torch.Generator().manual_seed(0))
    return drawn.to(weight.device)


def _single_row(text: Tensor) -> Padded:
    return Padded(tokens=text[None], mask=torch.ones_like(text)[None], reads=text[:0, None])


def is_causal(model: Any) -> bool:
    """Whether no state depends on a later token; tried with two texts that differ in their last one."""
    tokens = _probe_tokens(core(model), 8)
    size = core(model).get_input_embeddings().weight.shape[0]
    rows = torch.stack([tokens, torch.cat([tokens[:-1], (tokens[-1:] + 1) % size])])
    with _evaluating(model):
        hidden = hidden_states(model, Padded(tokens=rows, mask=torch.ones_like(rows), reads=rows[:, :2])).float()
    return bool((hidden[0, :-1] - hidden[1, :-1]).abs().max() <= TOLERANCE * hidden.abs().max())


def packs(model: Any, way: str) -> bool:
    """Whether a packed row gives the states of plain rows; tried with a branched document and a bare one.

    Attention in chunks (Llama 4) is cut by the place in the row, and only texts longer than a chunk would show it.
    """
    if getattr(core(model).config.get_text_config(), "attention_chunk_size", None):
        return False
    tokens = _probe_tokens(core(model), 24)
    texts = [tokens[:9], torch.cat([tokens[:5], tokens[9:16]]), tokens[16:]]
    documents = (Document(0, 5, ((5, 9), (9, 16))), Document(16, 24, ()))
    positions = torch.cat([torch.arange(9), torch.arange(5, 12), torch.arange(8)]).to(tokens.device)
    before = core(model).config._attn_implementation
    with _evaluating(model):
        set_attention(model, "sdpa")
        plain = [hidden_states(model, _single_row(text))[0].float() for text in texts]
        try:
            set_attention(model, "packed")
            row = Packed(tokens, positions, documents, positions[:1])
            packed = hidden_states(model, row, PackedAttention(documents, positions, way)).float()
        except (ConfigError, TypeError, ValueError, RuntimeError, ImportError, AttributeError):
            return False
        finally:
            core(model).set_attn_implementation(before)
    wanted = torch.cat([plain[0], plain[1][5:], plain[2]])
    exact = held_dtype(model) == torch.float32 and not torch.is_autocast_enabled(tokens.device.type)
    tolerance = TOLERANCE if exact else 20 * TOLERANCE
    return packed.shape == wanted.shape and bool((packed - wanted).abs().max() <= tolerance * wanted.abs().max())


def computes_some_rows(model: Any, way: str, last_layer: LastLayerRows) -> bool:
    """Whether a last layer computed for two rows gives them the states that it gives when it computes all."""
    tokens = _probe_tokens(core(model), 12)
    documents, positions = (Document(0, 8, ()), Document(8, 12, ())), torch.tensor([*range(8), *range(4)])
    rows, positions = torch.tensor([5, 11]).to(tokens.device), positions.to(tokens.device)
    batch = Packed(tokens, positions, documents, rows)
    with _evaluating(model):
        set_attention(model, "packed")
        all_rows = hidden_states(model, batch, PackedAttention(documents, positions, way))[rows].float()
        last_layer.set(rows, len(tokens))
        try:
            attention = PackedAttention(documents, positions, way, rows, last_layer.layer_count - 1)
            some_rows = hidden_states(model, batch, attention)[rows].float()
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError):
            return False
        finally:
            last_layer.set(None)
    return bool((some_rows - all_rows).abs().max() <= TOLERANCE * all_rows.abs().max())
