"""Reading with a backbone: its last hidden states, its attention, and how long its texts may be.

T tokens, B rows, H width.
"""

import sys
from typing import Any

import torch
from torch import Tensor, nn

from judge.errors import ConfigError
from judge.rewards.data.collate import Packed, Padded
from judge.rewards.modeling.attention import PackedAttention, register

TRANSFORMERS = {"flex": "flex_attention", "flash": "flash_attention_2", "sdpa": "sdpa", "eager": "eager"}


def core(model: Any) -> Any:
    """The transformers model itself, within peft's wrapping if there is one; adapters stay at work in it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def held_dtype(model: Any) -> torch.dtype:
    """The dtype of the first weight that is no packed integer."""
    dtype: torch.dtype = next(weight.dtype for weight in model.parameters() if weight.is_floating_point())
    return dtype


def hidden_states(model: Any, batch: Packed | Padded, attention: PackedAttention | None = None) -> Tensor:
    """The last hidden states: (T, H) of a packed batch, (B, T, H) of a padded one."""
    inner = core(model)
    cache = {"use_cache": False} if getattr(inner.config, "use_cache", None) is not None else {}
    if isinstance(batch, Packed):
        out = inner(input_ids=batch.tokens[None], position_ids=batch.positions[None], packed=attention, **cache)
        packed: Tensor = out.last_hidden_state[0]
        return packed
    out = inner(input_ids=batch.tokens, attention_mask=batch.mask, **cache)
    padded: Tensor = out.last_hidden_state
    return padded


def learnt_positions(model: Any) -> int | None:
    """How many positions were learnt (GPT-2's, BERT's); None where positions are computed."""
    for name, module in core(model).named_modules():
        if isinstance(module, nn.Embedding) and name.split(".")[-1] in ("position_embeddings", "wpe"):
            offset = 0 if module.padding_idx is None else module.padding_idx + 1  # RoBERTa counts from there
            return module.num_embeddings - offset
    return None


def position_limit(model: Any) -> int | None:
    """How many positions a text may have for its states not to depend on the batch; None where any number.

    Rotary embeddings of type longrope and dynamic choose their frequencies by the longest text of the batch: up to
    `original_max_position_embeddings` (longrope) or `max_position_embeddings` (dynamic) they are the same for all.
    """
    config = core(model).config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    by_layer_type = [part for part in rope.values() if isinstance(part, dict)]
    limits = [learnt_positions(model)]
    for part in by_layer_type or [rope]:
        if part.get("rope_type") == "longrope":
            limits.append(part.get("original_max_position_embeddings"))
        elif part.get("rope_type") == "dynamic":
            limits.append(config.max_position_embeddings)
    return min((limit for limit in limits if limit), default=None)


def longest_text(model: Any, wanted: int = sys.maxsize) -> int:
    """`wanted` tokens, or the backbone's position limit, where that is less."""
    return min(wanted, position_limit(model) or wanted)


def set_attention(model: Any, name: str) -> None:
    """transformers' own implementation by our name (sdpa, eager, …), or that for packed rows."""
    inner = core(model)
    wanted = register() if name == "packed" else TRANSFORMERS.get(name, "sdpa")
    if getattr(inner.config, "_attn_implementation", None) == wanted:
        return
    try:
        inner.set_attn_implementation(wanted)
    except (ValueError, ImportError) as error:
        if name == "sdpa":
            raise ConfigError(f"{type(inner).__name__} has no attention sdpa; --set attention=eager reads it") from None
        raise ConfigError(f"attention {name}: {str(error).splitlines()[0]}") from None
