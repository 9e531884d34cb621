"""A published decoder with a head on its last state as a model of our own: packed rows, each prompt computed once.

What transformers' `…ForSequenceClassification` of a causal model computes is a plain backbone and one linear layer,
read at the rightmost token that is not the padding token. The heads of the table in makers.py are read at the last.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from judge.errors import ConfigError, EngineError
from judge.json_input import load_json
from judge.pretrained import pretrained
from judge.rewards.checkpoint.hf_format import quiet
from judge.rewards.checkpoint.padding import text_endings
from judge.rewards.checkpoint.save_load import LoadedModel
from judge.rewards.config import RewardConfig
from judge.rewards.data.chat_template import pin_date
from judge.rewards.evaluation.calibration import Calibration
from judge.rewards.external.recognition import PublishedModel
from judge.rewards.modeling.backbone import Backbone, prepare
from judge.rewards.modeling.reward_model import RewardModule

log = logging.getLogger(__name__)

PLAIN = "plain"
"""The name of the template that writes prompt, response and end-of-text, as TRL's trainer writes plain texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSettings:
    """How somebody else's model is read.

    Attributes:
        objective_weights: of its outputs by name; empty for the rule of `output_weights`.
        chat_template: a Jinja template, or `PLAIN`; "" for the tokenizer's own, else its makers'.
        max_length: tokens of prompt and response together; 0 for as many as the model reads.
        dtype: of the weights; "" for as saved.
        device: "" takes a GPU where there is one.
        trust_remote_code: run the code that lies in the directory.
        calibration: fitted on people's labels.
        engine: "transformers" or "vllm".
    """

    objective_weights: Mapping[str, float] | None = None
    chat_template: str = ""
    max_length: int = 0
    dtype: str = ""
    device: str = ""
    trust_remote_code: bool = False
    calibration: Calibration | None = None
    engine: str = "transformers"


class PublishedHead(nn.Module):
    """Linear layers with ReLU between them, then sign · (x - mean) / std, in fp32: (N, H) -> (N, C)."""

    def __init__(self, layers: list[nn.Linear], sign: float, normalizer: tuple[float, float]) -> None:
        super().__init__()
        between = [part for layer in layers for part in (nn.ReLU(), layer)][1:]
        self.layers = nn.Sequential(*between).float()
        self.sign, (self.mean, self.std) = sign, normalizer

    def forward(self, hidden: Tensor) -> Tensor:
        """(N, H) -> (N, C) fp32."""
        with torch.autocast(hidden.device.type, enabled=False):
            values: Tensor = self.layers(hidden.float())
            return self.sign * (values - self.mean) / self.std


def is_adoptable(model: PublishedModel) -> bool:
    """Whether its head is one that a plain backbone can carry: one of makers.py, or a linear `score`."""
    return model.form == "head" or (model.form == "classifier" and len(model.tensors.get("score.weight", ())) == 2)


def adopt(model: PublishedModel, settings: ReadingSettings) -> LoadedModel | None:
    """The model as one of ours; None where its backbone is not causal, so that only its own class reads it right.

    Raises:
        EngineError: for weights or a tokenizer that cannot be loaded.
        ConfigError: for a tokenizer without a chat template.
    """
    hf_config = load_config(model)
    dtype = settings.dtype or saved_dtype(hf_config)
    tokenizer = load_tokenizer(model, settings)
    config = model.reward_config(settings.objective_weights).updated(
        freeze_backbone=True, dtype=dtype, max_length=max_length(model, hf_config, tokenizer, settings)
    )
    try:
        with quiet():
            backbone = Backbone(_backbone(model, hf_config, config), config, tokenizer)
            if not backbone.capabilities.causal:
                return None
            module = RewardModule(config, backbone)
            module.head = _head(model, hf_config)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise unloadable(model, error) from None
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = write_chat(tokenizer, model, settings)
    unread = None if model.form == "head" else unread_token(model, hf_config, tokenizer)
    metadata = {"config": config.to_dict()}
    return LoadedModel(module.to(device).eval(), tokenizer, config, settings.calibration, metadata, unread)


# -- parts ------------------------------------------------------------------------------------------------------------


def load_config(model: PublishedModel) -> Any:
    """The config as transformers reads it, without code of its makers'."""
    from transformers import AutoConfig

    saved = load_json((model.folder / "config.json").read_text("utf-8"))
    saved.pop("auto_map", None)
    saved.pop("model_type")
    try:
        return AutoConfig.for_model(model.model_type, **saved)
    except (ValueError, TypeError, KeyError) as error:
        raise unloadable(model, error) from None


def load_tokenizer(model: PublishedModel, settings: ReadingSettings) -> Any:
    """Its tokenizer, today's date taken out of its chat template."""
    from transformers import AutoTokenizer

    try:
        return pin_date(pretrained(AutoTokenizer, model.folder, trust_remote_code=settings.trust_remote_code))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise EngineError(f"{model.name}: its tokenizer cannot be loaded: {first_line(error)}") from None
    except Exception as error:  # tokenizers raises bare Exceptions for a broken tokenizer.json
        if type(error) is not Exception:
            raise
        raise EngineError(f"{model.name}: its tokenizer cannot be loaded: {first_line(error)}") from None


def write_chat(tokenizer: Any, model: PublishedModel, settings: ReadingSettings) -> Any:
    """The tokenizer with the chat template that its model is read by.

    Raises:
        ConfigError: where there is none.
    """
    if settings.chat_template == PLAIN:
        tokenizer.chat_template = _plain_template(tokenizer)
    elif settings.chat_template:
        tokenizer.chat_template = settings.chat_template
    elif not tokenizer.chat_template:
        template = model.maker.template if model.maker else ""
        if not template:
            raise ConfigError(
                f"{model.name}: its tokenizer has no chat template, so nobody knows how prompt and response are to be "
                "written; give one, --chat-template FILE (Jinja), or plain: prompt, response, end-of-text, as TRL does"
            )
        tokenizer.chat_template = template
    return tokenizer


def _plain_template(tokenizer: Any) -> str:
    begins = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
    body = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return ("{{ bos_token }}" if begins else "") + body + "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}"


def unread_token(model: PublishedModel, hf_config: Any, tokenizer: Any) -> int | None:
    """The padding token, which transformers passes over at the end of a text; None where the config names none."""
    pad: int | None = hf_config.get_text_config().pad_token_id
    if pad is not None and pad in text_endings(tokenizer):
        token = tokenizer.convert_ids_to_tokens(pad)
        log.warning(
            "%s pads with %s, which ends its texts: the token before is read, as by transformers", model.name, token
        )
    return pad


def max_length(model: PublishedModel, hf_config: Any, tokenizer: Any, settings: ReadingSettings) -> int:
    """The longest text: what was asked for, within what model and tokenizer read."""
    limits = (
        getattr(hf_config.get_text_config(), "max_position_embeddings", None),
        getattr(tokenizer, "model_max_length", None),
    )
    longest = min((int(limit) for limit in limits if limit and 0 < limit < 10**9), default=32_768)
    if settings.max_length > longest:
        raise ConfigError(f"max_length {settings.max_length}: {model.name} reads {longest} tokens at most")
    return settings.max_length or longest


def saved_dtype(hf_config: Any) -> str:
    """The dtype of the weights as they were saved."""
    saved = str(getattr(hf_config, "dtype", None) or "float32").removeprefix("torch.")
    return saved if saved in ("float32", "bfloat16", "float16") else "float32"


def _backbone(model: PublishedModel, hf_config: Any, config: RewardConfig) -> Any:
    from transformers import AutoModel

    dtype = getattr(torch, config.model.dtype)
    return prepare(pretrained(AutoModel, model.folder, weights=True, config=hf_config, dtype=dtype), config)


def _head(model: PublishedModel, hf_config: Any) -> PublishedHead:
    if model.maker is None:
        return PublishedHead([_linear(model.folder, "score")], 1.0, (0.0, 1.0))
    named = sorted(name for name in model.tensors if name.startswith(model.maker.head) and name.endswith(".weight"))
    if not named:
        raise KeyError(f"its weights have no '{model.maker.head}'")
    layers = [_linear(model.folder, name.removesuffix(".weight")) for name in named]
    sign = -1.0 if getattr(hf_config, "score_type", "") == "cost" else model.maker.sign
    return PublishedHead(layers, sign, _normalizer(hf_config))


def _normalizer(hf_config: Any) -> tuple[float, float]:
    """Mean and deviation that a Beaver model was told to take away and divide by."""
    if not getattr(hf_config, "do_normalize", False):
        return 0.0, 1.0
    mean, variance = hf_config.mean, hf_config.var
    first_mean, first_variance = (value[0] if isinstance(value, list) else value for value in (mean, variance))
    return (0.0 if hf_config.score_type == "cost" else float(first_mean)), float(first_variance) ** 0.5


def _linear(folder: Path, name: str) -> nn.Linear:
    tensors = read_tensors(folder, (f"{name}.weight", f"{name}.bias"))
    weight, bias = tensors[f"{name}.weight"], tensors.get(f"{name}.bias")
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}), assign=True)
    return layer.requires_grad_(False)


def read_tensors(folder: Path, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Tensors by name from the weights of a directory; those that are not there are left out."""
    from safetensors import safe_open

    tensors: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            tensors |= {name: file.get_tensor(name) for name in names if name in set(file.keys())}
    return tensors


def unloadable(model: PublishedModel, error: BaseException) -> EngineError:
    """The error for a model that cannot be loaded."""
    return EngineError(f"{model.name}: cannot be loaded as a reward model: {first_line(error)}")


def first_line(error: BaseException) -> str:
    """What an error says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
