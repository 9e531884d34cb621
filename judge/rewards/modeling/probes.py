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
from judge.rewards.modeling.attention import ROWS, PackedAttention
from judge.rewards.modeling.last_layer import LastLayerRows
from judge.rewards.modeling.states import core, held_dtype, hidden_states, set_attention

SHORT, PAST = 16, 16  # tokens of the short text, and tokens past a length where attention changes
MIN_TOLERANCE = 1e-3  # of a row's length: kernels for other shapes sum up in another order


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
    return same_states(hidden[0, :-1], hidden[1, :-1], model)


def packs(model: Any, way: str, longest: int = SHORT) -> bool:
    """Whether a packed row gives the states of plain rows.

    Tried on a few tokens with all layers, then on a text past every length up to `longest` at which attention changes,
    with the first layers alone, one of each kind. These are the model's own layers: a narrower model of the class would
    be cheaper, but which widths go together is every class's own affair, and one that cannot be built shows nothing.

    Attention in chunks (Llama 4) is not tried: it counts places in the row, so a row that is longer than any that was
    tried could differ.

    Args:
        model: a causal backbone.
        way: of packed attention.
        longest: tokens of the longest text that the model will read.
    """
    if getattr(core(model).config.get_text_config(), "attention_chunk_size", None):
        return False
    if not _packs_text_of(model, way, SHORT):
        return False
    length = probed_length(model, longest)
    if length <= SHORT:
        return True
    with _first_layers(model):
        return _packs_text_of(model, way, length)


def probed_length(model: Any, longest: int) -> int:
    """Tokens of a text that is longer than every length at which attention changes, and no longer than `longest`.

    These lengths are windows, the positions of the pretraining that scaled rotary embeddings go by, and our own blocks
    of query rows.
    """
    config = core(model).config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    scaled = [part for part in (rope, *rope.values()) if isinstance(part, dict)]
    pretrained = [part.get("original_max_position_embeddings") for part in scaled]
    lengths = [ROWS, *(int(length) for length in (getattr(config, "sliding_window", None), *pretrained) if length)]
    return min(longest, max((length for length in lengths if length < longest), default=0) + PAST)


@contextmanager
def _first_layers(model: Any) -> Iterator[None]:
    """The model with its first layers alone, as many as have one of each kind; all where it does not go by its config.

    Kinds are told apart by attention (layer_types) and by whether they rotate positions (no_rope_layers).
    """
    config = core(model).config.get_text_config()
    count = int(getattr(config, "num_hidden_layers", 0))
    names = ("layer_types", "no_rope_layers")
    columns = [values for name in names if len(values := getattr(config, name, None) or ()) == count]
    kinds = list(zip(*columns, strict=True))
    few = 1 + max((kinds.index(kind) for kind in set(kinds)), default=0)
    try:
        if few < count:
            config.num_hidden_layers = few
        yield
    finally:
        if few < count:
            config.num_hidden_layers = count


def _packs_text_of(model: Any, way: str, length: int) -> bool:
    """Whether the states are the same of two texts of `length` tokens and three more, which share all but their last
    four and seven, and of a short one before them.
    """
    shared = length - 4
    tokens = _probe_tokens(core(model), length + 15)
    documents = (Document(0, 8, ()), Document(8, 8 + shared, ((8 + shared, 8 + length), (8 + length, length + 15))))
    texts = [tokens[:8], tokens[8 : 8 + length], torch.cat([tokens[8 : 8 + shared], tokens[8 + length :]])]
    positions = torch.cat([torch.arange(8), torch.arange(length), torch.arange(shared, length + 3)]).to(tokens.device)
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
    wanted = torch.cat([plain[0], plain[1], plain[2][shared:]])
    return packed.shape == wanted.shape and same_states(packed, wanted, model)


def same_states(states: Tensor, wanted: Tensor, model: Any) -> bool:
    """Whether states (T, H) are those that were wanted, but for the rounding of the model's arithmetic.

    A row may differ by 16 ε of its length, ε that of the dtype, and by MIN_TOLERANCE at least. In bf16 SmolLM2's
    rows differ by up to 5 ε, and those of small random models by 4 ε; those of a model that forgets its window by 50 ε.
    """
    device = states.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else held_dtype(model)
    tolerance = max(MIN_TOLERANCE, 16 * torch.finfo(dtype).eps)
    return bool(((states - wanted).norm(dim=-1) <= tolerance * wanted.norm(dim=-1)).all())


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
    return same_states(some_rows, all_rows, model)
