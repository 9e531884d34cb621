"""Backbones: any AutoModel from a directory or the hub, its adapters, its precision, and what it can read.

    T tokens, B rows, H width.

What a backbone can do is tried, not looked up: whether a later token changes an earlier state (bidirectional), and
whether a packed row gives the states of plain rows. This module refuses to know heads, labels and losses.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from judge.errors import ConfigError, EngineError
from judge.rewards.config import Settings
from judge.rewards.data.collate import Document, Packed, Padded
from judge.rewards.modeling.attention import Plan, register
from judge.rewards.modeling.last_layer import Narrow

TRANSFORMERS = {"flex": "flex_attention", "flash": "flash_attention_2", "sdpa": "sdpa", "eager": "eager"}
CLOSE = 2e-3  # of the largest state: how far packed states may lie from plain ones, in fp32


def load(settings: Settings) -> Any:
    """The AutoModel that `settings.backbone` names, with adapters, dropout and checkpointing as set.

    Raises ConfigError for a model that reads no text by itself, EngineError for one that cannot be loaded.
    """
    if not settings.backbone:
        raise ConfigError("a reward model needs a backbone (accepted: a model directory or a name on the hub)")
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(settings.backbone)
        if getattr(config, "is_encoder_decoder", False):
            what = f"'{settings.backbone}' is an encoder-decoder ({config.model_type})"
            raise ConfigError(f"{what}; a backbone reads one text (accepted: causal or bidirectional)")
        with _quiet():
            model = AutoModel.from_pretrained(settings.backbone, dtype=weights_dtype(settings))
    except ConfigError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EngineError(f"the backbone '{settings.backbone}' cannot be loaded: {lines[0]}") from None
    return prepare(model, settings)


def prepare(model: Any, settings: Settings) -> Any:
    """A loaded model made ready: dropout, adapters or frozen weights, checkpointing."""
    if getattr(model.get_input_embeddings(), "weight", None) is None:
        raise ConfigError(f"'{settings.backbone}' ({model.config.model_type}) has no word embeddings: it reads no text")
    _set_dropout(model, settings.dropout)
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module):
        pooler.requires_grad_(False)  # saved with the model, never used: reads are pooled here
    if settings.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if settings.freeze:
        model.requires_grad_(False)
    return adapted(model, settings) if settings.lora_rank else model


def adapted(model: Any, settings: Settings) -> Any:
    """Low-rank adapters (Hu et al. 2021) by peft, one, or one a member; the head trains in full beside them."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=list(settings.lora_targets) or "all-linear",
        task_type="FEATURE_EXTRACTION",
    )
    names = adapter_names(settings)
    try:
        model = get_peft_model(model, config, adapter_name=names[0])
        for number, name in enumerate(names[1:], 1):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(settings.seed * 1000 + number)  # members begin apart
                model.add_adapter(name, config)
    except ValueError as error:
        raise ConfigError(f"lora_targets: {str(error).splitlines()[0]}") from None
    for name, weight in model.named_parameters():
        weight.requires_grad_("lora_" in name)
    return model


def adapter_names(settings: Settings) -> list[str]:
    """peft's names of the adapters: `default`, or one a member."""
    if settings.kind == "ensemble" and settings.member_kind == "adapters":
        return [f"member{number}" for number in range(settings.members)]
    return ["default"]


def core(model: Any) -> Any:
    """The transformers model itself, within peft's wrapping if there is one; adapters stay at work in it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def weights_dtype(settings: Settings) -> torch.dtype:
    """The dtype that weights are held in. Weights that learn are fp32; autocast makes the products half precision."""
    if (settings.lora_rank or settings.freeze) and settings.dtype in ("bfloat16", "float16"):
        return torch.bfloat16 if settings.dtype == "bfloat16" else torch.float16
    return torch.float32


def precision(settings: Settings, device: torch.device | str) -> str:
    """accelerate's mixed precision: "no", "bf16" or "fp16". Left to itself: bf16 where the hardware multiplies it."""
    if settings.dtype != "auto":
        return {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[settings.dtype]
    kind = torch.device(device).type
    return "bf16" if kind == "cuda" and torch.cuda.is_bf16_supported() else "no"


def states(model: Any, batch: Packed | Padded, plan: Plan | None = None) -> Tensor:
    """The last hidden states: (T, H) of a packed batch, (B, T, H) of a padded one."""
    inner = core(model)
    cache = {"use_cache": False} if getattr(inner.config, "use_cache", None) is not None else {}
    if isinstance(batch, Packed):
        out = inner(input_ids=batch.tokens[None], position_ids=batch.positions[None], packed=plan, **cache)
        hidden: Tensor = out.last_hidden_state[0]
        return hidden
    out = inner(input_ids=batch.tokens, attention_mask=batch.mask, **cache)
    rows: Tensor = out.last_hidden_state
    return rows


def longest(model: Any, wanted: int) -> int:
    """`wanted` tokens, or as many as there are learnt positions, where those are fewer."""
    for name, module in core(model).named_modules():
        if isinstance(module, nn.Embedding) and name.split(".")[-1] in ("position_embeddings", "wpe"):
            offset = 0 if module.padding_idx is None else module.padding_idx + 1  # RoBERTa counts from there
            return min(wanted, module.num_embeddings - offset)
    return wanted


def set_attention(model: Any, name: str) -> None:
    """transformers' own implementation by our name (sdpa, eager, …), or that for packed rows."""
    inner = core(model)
    wanted = register() if name == "packed" else TRANSFORMERS.get(name, "sdpa")
    if getattr(inner.config, "_attn_implementation", None) == wanted:
        return
    try:
        inner.set_attn_implementation(wanted)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"attention {name}: {str(error).splitlines()[0]}") from None


@contextmanager
def _still(model: Any) -> Iterator[Any]:
    """The model in evaluation, without gradients, its mode given back afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        model.train(training)


def _some_tokens(model: Any, count: int) -> Tensor:
    """(count,) arbitrary tokens, the same each time."""
    size = int(model.get_input_embeddings().weight.shape[0])
    drawn = torch.randint(0, size, (count,), generator=torch.Generator().manual_seed(0))
    return drawn.to(model.get_input_embeddings().weight.device)


def is_causal(model: Any) -> bool:
    """Whether no state depends on a later token; tried with two texts that differ in their last one."""
    tokens = _some_tokens(core(model), 8)
    size = core(model).get_input_embeddings().weight.shape[0]
    rows = torch.stack([tokens, torch.cat([tokens[:-1], (tokens[-1:] + 1) % size])])
    with _still(model):
        hidden = states(model, Padded(tokens=rows, mask=torch.ones_like(rows), reads=rows[:, :2])).float()
    return bool((hidden[0, :-1] - hidden[1, :-1]).abs().max() <= CLOSE * hidden.abs().max())


def packs(model: Any, way: str) -> bool:
    """Whether a packed row gives the states of plain rows; tried with a branched document and a bare one."""
    tokens = _some_tokens(core(model), 24)
    texts = [tokens[:9], torch.cat([tokens[:5], tokens[9:16]]), tokens[16:]]
    documents = (Document(0, 5, ((5, 9), (9, 16))), Document(16, 24, ()))
    positions = torch.cat([torch.arange(9), torch.arange(5, 12), torch.arange(8)]).to(tokens.device)
    before = core(model).config._attn_implementation
    with _still(model):
        set_attention(model, "sdpa")
        plain = [states(model, _one(text))[0].float() for text in texts]
        try:
            set_attention(model, "packed")
            row = Packed(tokens, positions, documents, positions[:1])
            made = states(model, row, Plan(documents, positions, way)).float()
        except (ConfigError, TypeError, ValueError, RuntimeError, ImportError, AttributeError):
            return False
        finally:
            core(model).set_attn_implementation(before)
    wanted = torch.cat([plain[0], plain[1][5:], plain[2]])
    exact = next(model.parameters()).dtype == torch.float32 and not torch.is_autocast_enabled(tokens.device.type)
    close = CLOSE if exact else 20 * CLOSE
    return made.shape == wanted.shape and bool((made - wanted).abs().max() <= close * wanted.abs().max())


def narrows(model: Any, way: str, narrow: Narrow) -> bool:
    """Whether a last layer that is computed for two rows gives them the states that it gives when it computes all."""
    tokens = _some_tokens(core(model), 12)
    documents, positions = (Document(0, 8, ()), Document(8, 12, ())), torch.tensor([*range(8), *range(4)])
    rows, positions = torch.tensor([5, 11]).to(tokens.device), positions.to(tokens.device)
    row = Packed(tokens, positions, documents, rows)
    with _still(model):
        set_attention(model, "packed")
        whole = states(model, row, Plan(documents, positions, way))[rows].float()
        narrow.set(rows, len(tokens))
        try:
            made = states(model, row, Plan(documents, positions, way, rows, narrow.layers - 1))[rows].float()
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError):
            return False
        finally:
            narrow.set(None)
    return bool((made - whole).abs().max() <= CLOSE * whole.abs().max())


def _one(text: Tensor) -> Padded:
    return Padded(tokens=text[None], mask=torch.ones_like(text)[None], reads=text[:0, None])


def _set_dropout(model: nn.Module, share: float) -> None:
    """Every dropout of the backbone at `share`; scores of a reward model are compared, noise in them only hurts."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = share  # type: ignore[assignment]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars, and its notes on weights left over: a language model's own head is not used here."""
    from transformers.utils import logging as bars

    logger, shown = logging.getLogger("transformers"), bars.is_progress_bar_enabled()
    level = logger.level
    logger.setLevel(logging.ERROR)
    bars.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()
