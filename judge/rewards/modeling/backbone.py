"""The backbone of a reward model: any AutoModel that reads one text, its adapters, and what it can do.

    T tokens, B rows, H width.

What a backbone can do is tried, not looked up: whether a later token changes an earlier state, whether a packed row
gives the states of plain rows, and whether its last layer can be computed for some rows alone.
"""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from judge.errors import ConfigError, EngineError
from judge.pretrained import pretrained
from judge.rewards.config import RewardConfig
from judge.rewards.data.collate import Packed, Padded
from judge.rewards.modeling.attention import PackedAttention
from judge.rewards.modeling.frugal import save_activations
from judge.rewards.modeling.last_layer import LastLayerRows
from judge.rewards.modeling.probes import computes_some_rows, is_causal, packs
from judge.rewards.modeling.quantization import keep_gradients, quantization_config
from judge.rewards.modeling.states import core, held_dtype, hidden_states, longest_text, position_limit, set_attention

log = logging.getLogger(__name__)

_WAYS = {"cpu": ("products", "sdpa"), "cuda": ("flash", "flex", "sdpa")}  # of packed attention, the fastest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backbone can do, found once when it is wrapped.

    Attributes:
        hidden_size: H.
        causal: no state depends on a later token.
        max_positions: tokens of the longest text: as many as there are learnt positions, or as a rotary embedding reads
            before it changes its frequencies for the whole batch; None where neither limits it.
        packed_attention: how packed rows are attended to on the device where the model was built, "" where it reads
            padded rows alone.
        last_layer_rows: its last layer can be computed for the rows that are read alone.
        tied_embeddings: input and output embeddings are one matrix, so states can be read as expectations of tokens.
        dtype: of the weights.
        chat_template: its tokenizer has one; None where no tokenizer was given.
    """

    hidden_size: int
    causal: bool
    max_positions: int | None
    packed_attention: str
    last_layer_rows: bool
    tied_embeddings: bool
    dtype: torch.dtype
    chat_template: bool | None = None

    @property
    def packing(self) -> bool:
        """Whether texts can lie in one row without padding."""
        return self.packed_attention != ""


class Backbone:
    """A model with its configuration and `capabilities`; it computes hidden states of batches.

    Not an nn.Module: the module `model` is registered by the reward model that owns it, under the name by which its
    weights are saved.
    """

    def __init__(self, model: Any, config: RewardConfig, tokenizer: Any = None) -> None:
        self.model, self.config = model, config
        self.prompts = self  # that reads prompts apart from responses; the reward model may give it weights of its own
        self._ways: dict[str, str] = {}  # packed attention by device and precision, found when first needed
        causal = is_causal(model)
        way = self.packed_attention() if causal and self._may_pack() else ""
        if causal and self._may_pack() and not way:
            _say_padded(config.model.backbone)
        self.last_layer = self._last_layer(way)
        hf_config = core(model).config
        self.capabilities = Capabilities(
            hidden_size=int(hf_config.get_text_config().hidden_size),
            causal=causal,
            max_positions=position_limit(model),
            packed_attention=way,
            last_layer_rows=self.last_layer is not None,
            tied_embeddings=bool(getattr(hf_config, "tie_word_embeddings", False)),
            dtype=held_dtype(model),
            chat_template=None if tokenizer is None else bool(getattr(tokenizer, "chat_template", None)),
        )

    @classmethod
    def load(cls, config: RewardConfig, tokenizer: Any = None) -> "Backbone":
        """The AutoModel that `config.model.backbone` names, with adapters, dropout and checkpointing as set.

        Args:
            config: of the reward model.
            tokenizer: its tokenizer; the embeddings grow where it has more tokens.

        Returns:
            The backbone with its capabilities.

        Raises:
            ConfigError: for a model that reads no text by itself.
            EngineError: for one that cannot be loaded.
        """
        model = _load_model(config)
        if tokenizer is not None and len(tokenizer) > core(model).get_input_embeddings().weight.shape[0]:
            core(model).resize_token_embeddings(len(tokenizer))
        return cls(model, config, tokenizer)

    def separate_prompts(self) -> None:
        """Give the prompts an encoder with weights of its own, which begin as these."""
        self.prompts = copy.copy(self)
        self.prompts.model = copy.deepcopy(self.model)
        self.prompts.prompts = self.prompts

    def states(self, batch: Packed | Padded, attention: PackedAttention | None = None) -> Tensor:
        """The last hidden states: (T, H) of a packed batch, (B, T, H) of a padded one."""
        return hidden_states(self.model, batch, attention)

    def embeddings(self) -> Tensor:
        """The matrix (V, H) by which states become expectations of tokens; ConfigError where it has none."""
        if not self.capabilities.tied_embeddings:
            raise ConfigError(
                "head likelihood needs a causal backbone whose input and output embeddings are one "
                "(tie_word_embeddings)"
            )
        weight: Tensor = core(self.model).get_input_embeddings().weight
        return weight

    def packed_attention(self) -> str:
        """How packed rows are attended to here and now, the fastest that gives plain rows' states; "" for none."""
        device = next(self.model.parameters()).device
        key = f"{device.type}, {'autocast' if torch.is_autocast_enabled(device.type) else 'plain'}"
        if key not in self._ways:
            wanted = self.config.model.attention
            gpu_only = wanted in ("flash", "flex") and device.type != "cuda"  # a model is built before it is moved
            longest = longest_text(self.model, self.config.data.max_length)
            ways = _WAYS.get(device.type, ("sdpa",)) if wanted == "auto" or gpu_only else (wanted,)
            self._ways[key] = next((way for way in ways if packs(self.model, way, longest)), "")
        return self._ways[key]

    def set_attention(self, name: str) -> None:
        """transformers' own implementation by our name (sdpa, eager, …), or that for packed rows."""
        set_attention(self.model, name)

    def prepare_packed(self, batch: Packed) -> PackedAttention:
        """What the attention of a packed batch needs to know; the model is switched to that attention.

        Raises:
            ConfigError: for a backbone that takes no packed batches.
        """
        way = self.packed_attention()
        if not way:
            raise ConfigError("this model reads padded batches: its backbone does not take packed ones")
        self.set_attention("packed")
        if self.last_layer is None:
            return PackedAttention(batch.documents, batch.positions, way)
        reads = batch.reads if batch.parts is None else torch.cat([batch.reads, batch.parts.tokens, batch.parts.before])
        self.last_layer.set(reads.unique(), batch.size)
        return PackedAttention(
            batch.documents, batch.positions, way, self.last_layer.rows, self.last_layer.layer_count - 1
        )

    def release(self) -> None:
        """Compute every row of the last layer again, for whoever else calls the model."""
        if self.last_layer is not None:
            self.last_layer.set(None)

    def _may_pack(self) -> bool:
        model, data = self.config.model, self.config.data
        return model.encoder == "joint" and data.layout != "padded" and model.attention != "eager"

    def _last_layer(self, way: str) -> LastLayerRows | None:
        """Computes the last layer only where the head reads; None where that differs, or is checkpointed."""
        if not way or self.config.training.gradient_checkpointing:
            return None
        last_layer = LastLayerRows(core(self.model))
        if computes_some_rows(self.model, way, last_layer):
            return last_layer
        last_layer.remove()
        return None


@lru_cache(None)
def _say_padded(backbone: str) -> None:
    """Say once of a backbone that it is slower than others, and why."""
    log.warning("%s reads padded rows: packed ones would give its texts other states", backbone)


# ---- loading ---------------------------------------------------------------------------------------------------------


def _load_model(config: RewardConfig) -> Any:
    name = config.model.backbone
    if not name:
        raise ConfigError("a reward model needs a backbone (accepted: a model directory or a name on the hub)")
    from transformers import AutoConfig, AutoModel

    try:
        hf_config = pretrained(AutoConfig, name)
        refuse_encoder_decoder(hf_config, name)
        if config.model.quantization == "4bit" and hf_config.get_text_config().hidden_size % 64:
            raise ConfigError(f"quantization 4bit packs blocks of 64 weights; '{name}' is no multiple of that wide")
        with _quiet():
            model = pretrained(AutoModel, name, weights=True, **_precision(config, getattr(hf_config, "dtype", None)))
    except ConfigError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EngineError(f"the backbone '{name}' cannot be loaded: {lines[0]}") from None
    return prepare(model, config)


def refuse_encoder_decoder(hf_config: Any, name: str) -> None:
    """ConfigError for a model that reads one text and writes another."""
    if getattr(hf_config, "is_encoder_decoder", False):
        what = f"'{name}' is an encoder-decoder ({hf_config.model_type})"
        raise ConfigError(f"{what}; a backbone reads one text (accepted: causal or bidirectional)")


def _precision(config: RewardConfig, saved: torch.dtype | None) -> dict[str, Any]:
    """What `from_pretrained` is told of dtypes."""
    dtype = weights_dtype(config, saved)
    if not config.model.quantization:
        return {"dtype": dtype}
    products = torch.bfloat16 if mixed_precision(config) == "bf16" else dtype
    return {"dtype": products, "quantization_config": quantization_config(config.model.quantization, products)}


def prepare(model: Any, config: RewardConfig) -> Any:
    """A loaded model made ready: dropout, adapters or frozen weights, checkpointing."""
    if getattr(model.get_input_embeddings(), "weight", None) is None:
        name = config.model.backbone
        raise ConfigError(f"'{name}' ({model.config.model_type}) has no word embeddings: it reads no text")
    _set_dropout(model, config.model.dropout)
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module):
        pooler.requires_grad_(False)  # saved with the model, never used: reads are pooled by the encoder
    if config.training.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.model.freeze_backbone:
        model.requires_grad_(False)
    model = with_adapters(model, config) if config.model.lora_rank else model
    save_activations(model)
    return model


def with_adapters(model: Any, config: RewardConfig) -> Any:
    """Low-rank adapters (Hu et al. 2021) by peft, one, or one a member; the head trains in full beside them."""
    from peft import LoraConfig, get_peft_model

    from judge.rewards.modeling.low_rank import fuse_adapters

    lora = LoraConfig(
        r=config.model.lora_rank,
        lora_alpha=config.model.lora_alpha,
        lora_dropout=config.model.lora_dropout,
        target_modules=list(config.model.lora_target_modules) or "all-linear",
        task_type="FEATURE_EXTRACTION",
    )
    names = adapter_names(config)
    try:
        model = get_peft_model(model, lora, adapter_name=names[0])
        for number, name in enumerate(names[1:], 1):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.training.seed * 1000 + number)  # members begin differently
                model.add_adapter(name, lora)
    except ValueError as error:
        raise ConfigError(f"lora_target_modules: {str(error).splitlines()[0]}") from None
    for name, weight in model.named_parameters():
        weight.requires_grad_("lora_" in name)
    if config.model.quantization:
        keep_gradients(model)
    fuse_adapters(model)
    return model


def adapter_names(config: RewardConfig) -> list[str]:
    """peft's names of the adapters: `default`, or one a member."""
    if config.model.kind == "ensemble" and config.model.member_kind == "adapters":
        return [f"member{number}" for number in range(config.model.members)]
    return ["default"]


def weights_dtype(config: RewardConfig, saved: torch.dtype | None = None) -> torch.dtype:
    """The dtype that a backbone's weights are held in.

    Weights that learn are fp32, their master copy, and autocast makes the products half precision. Weights that stand
    still are in the dtype that was asked for; with dtype auto they stay as they were saved.

    Args:
        config: of the reward model.
        saved: the dtype of the checkpoint, where it is known.
    """
    named = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
    if not (config.model.lora_rank or config.model.freeze_backbone):
        return torch.float32
    if config.model.dtype != "auto":
        return named[config.model.dtype]
    return torch.bfloat16 if saved == torch.bfloat16 and mixed_precision(config) == "bf16" else torch.float32


def mixed_precision(config: RewardConfig, device: torch.device | str = "") -> str:
    """accelerate's mixed precision: "no", "bf16" or "fp16". With dtype auto: bf16 where the hardware multiplies it.

    Args:
        config: of the reward model.
        device: where it is trained; "" for a GPU where there is one, else the CPU.
    """
    if config.model.dtype != "auto":
        return {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[config.model.dtype]
    kind = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")).type
    if kind == "cpu":
        return "bf16" if cpu_multiplies_bf16() else "no"
    return "bf16" if kind == "cuda" and torch.cuda.is_bf16_supported() else "no"


def cpu_multiplies_bf16() -> bool:
    """Whether this CPU has instructions for bf16 products (AVX512-BF16, AMX): there they take a quarter of the time."""
    supported = (
        getattr(torch.cpu, "_is_avx512_bf16_supported", None),
        getattr(torch.cpu, "_is_amx_tile_supported", None),
    )
    return any(ask is not None and ask() for ask in supported)


def _set_dropout(model: nn.Module, probability: float) -> None:
    """Set every dropout of the backbone; scores of a reward model are compared, noise in them only hurts."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = probability  # type: ignore[assignment]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' bars, and its notes on weights left over: a language model's own head is not used here."""
    from transformers.utils import logging as hf_logging

    logger, shown = logging.getLogger("transformers"), hf_logging.is_progress_bar_enabled()
    level = logger.level
    logger.setLevel(logging.ERROR)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if shown:
            hf_logging.enable_progress_bar()
