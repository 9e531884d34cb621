"""A reward model as transformers' own classes hold it: a backbone and one linear layer, nothing else.

A head that is one linear layer on the last token is a `…ForSequenceClassification`, one at every step a
`…ForTokenClassification`; then TRL, OpenRLHF, RewardBench, transformers and vLLM load the directory as it is. What
these classes cannot hold is not bent into them: `as_classifier` gives None.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from judge.errors import EngineError
from judge.json_input import load_json
from judge.rewards.config import RewardConfig

SEQUENCE, TOKEN = "AutoModelForSequenceClassification", "AutoModelForTokenClassification"
# A head of ours says (right, wrong, neutral). Others take index 1 for P(right) (TRL's and Qwen's process models), so on
# the disk the first two change places.
STEP_LABELS = ("wrong", "right", "neutral")
ADAPTER = "adapter_model.safetensors"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


class HeadWeights(NamedTuple):
    """A linear head. weight: (C, H). bias: (C,) or None."""

    weight: Tensor
    bias: Tensor | None


def labels_of(config: RewardConfig) -> tuple[str, ...]:
    """What each output of a plain model is called in its `id2label`, in the order on the disk."""
    match config.model.kind:
        case "multi":
            return config.model.objectives or ("reward",)
        case "ensemble":
            return tuple(f"member {number}" for number in range(1, config.model.members + 1))
        case "process":
            return STEP_LABELS[: config.model.step_classes]
        case "outcome":
            return ("correct",)
        case _:
            return ("reward",)


def auto_class(config: RewardConfig) -> str:
    """The class of transformers that a plain model of this kind is loaded by."""
    return TOKEN if config.model.kind == "process" else SEQUENCE


def on_disk(head: HeadWeights, config: RewardConfig) -> HeadWeights:
    """A head's rows in the order of `labels_of`. It is its own inverse, so it reads a head back, too."""
    if config.model.kind != "process":
        return head
    order = [1, 0, 2][: config.model.step_classes]
    return HeadWeights(head.weight[order], None if head.bias is None else head.bias[order])


def as_classifier(backbone: nn.Module, head: HeadWeights, config: RewardConfig, pad: int) -> Any:
    """The model as a class of transformers that shares the backbone's weights; None where no such class holds it.

    Args:
        backbone: a PreTrainedModel, not wrapped by peft.
        head: of the reward model.
        config: of the reward model.
        pad: id of the padding token.
    """
    hf_config = _config(backbone, head, config, pad)
    classifier = _empty(hf_config, auto_class(config))
    name = None if classifier is None else _linear_of(classifier, config)
    if classifier is None or name is None:
        return None
    head = on_disk(head, config)
    layer = nn.Linear(head.weight.shape[1], head.weight.shape[0], bias=head.bias is not None, device="meta")
    layer.weight = nn.Parameter(head.weight.detach(), requires_grad=False)
    has_bias = getattr(classifier, name).bias is not None
    if has_bias or head.bias is not None:
        if not has_bias:
            return None  # a bias that the class has no place for
        bias = torch.zeros_like(head.weight[:, 0]) if head.bias is None else head.bias.detach()
        layer.bias = nn.Parameter(bias, requires_grad=False)
    setattr(classifier, name, layer)
    setattr(classifier, classifier.base_model_prefix, backbone)
    return classifier


def _config(backbone: nn.Module, head: HeadWeights, config: RewardConfig, pad: int) -> Any:
    hf_config: Any = deepcopy(backbone.config)
    names = labels_of(config)
    hf_config.id2label = dict(enumerate(names))
    hf_config.label2id = {name: index for index, name in enumerate(names)}
    hf_config.get_text_config().pad_token_id = hf_config.pad_token_id = pad
    if config.model.kind == "process":
        hf_config.token_classification_bias = head.bias is not None
    else:
        hf_config.problem_type = "regression"  # else vLLM and transformers' pipeline would squash a reward by a sigmoid
    return hf_config


def _empty(hf_config: Any, auto: str) -> Any:
    """A model of the right class without weights, None where the architecture has none."""
    import transformers

    known = getattr(transformers, auto)._model_mapping
    if type(hf_config) not in known:
        return None
    with torch.device("meta"):
        return known[type(hf_config)]._from_config(hf_config)


def _linear_of(classifier: Any, config: RewardConfig) -> str | None:
    """The name of the class's one layer on top of the backbone, None where it has others or reads elsewhere."""
    top = {
        name: layer
        for name, layer in classifier.named_children()
        if name != classifier.base_model_prefix and not isinstance(layer, nn.Dropout)
    }
    if len(top) != 1:
        return None
    name, layer = top.popitem()
    # `score` is read at the last token of a causal model; a BERT's `classifier` of a sequence has a pooler before it.
    accepted = _HEAD_LAYERS if config.model.kind == "process" else ("score",)
    return name if isinstance(layer, nn.Linear) and name in accepted else None


def readable_by_transformers_4(folder: Path, tokenizer: Any) -> None:
    """Name things in a saved directory as transformers 4 reads them, which RewardBench holds on to; 5 reads both.

    The tokenizer's class, what it gives (else 4 adds token types), its further special tokens, and the base and scaling
    of rotary positions (else 4 takes 10,000 and none).
    """
    tokenizer_file, config_file = folder / "tokenizer_config.json", folder / "config.json"
    if tokenizer_file.is_file():
        saved = load_json(tokenizer_file.read_text("utf-8"))
        saved.setdefault("model_input_names", list(tokenizer.model_input_names))
        if saved.get("tokenizer_class") == "TokenizersBackend":
            saved["tokenizer_class"] = "PreTrainedTokenizerFast"
        if isinstance(saved.get("extra_special_tokens"), list):
            saved["additional_special_tokens"] = saved.pop("extra_special_tokens")
        tokenizer_file.write_text(json.dumps(saved, indent=2, ensure_ascii=False) + "\n", "utf-8")
    saved = load_json(config_file.read_text("utf-8")) if config_file.is_file() else {}
    rotary = dict(saved.get("rope_parameters") or {})
    if "rope_theta" in rotary:  # one for all layers: 4 knows no others
        saved["rope_theta"] = rotary.pop("rope_theta")
        if rotary.get("rope_type", "default") != "default":
            saved["rope_scaling"] = rotary
        config_file.write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n", "utf-8")


def name_shards(folder: Path) -> None:
    """Say in an index which files are the model's: vLLM reads every *.safetensors of a directory that has none."""
    from safetensors import safe_open

    index = folder / INDEX
    if index.is_file():
        return
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        names = sorted(file.keys())
    size = (folder / WEIGHTS).stat().st_size
    content = {"metadata": {"total_size": size}, "weight_map": dict.fromkeys(names, WEIGHTS)}
    index.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


# -- low-rank adapters ------------------------------------------------------------------------------------------------


def is_adapted(backbone: nn.Module) -> bool:
    """Whether a backbone is wrapped by peft."""
    return hasattr(backbone, "peft_config")


def merged(backbone: nn.Module) -> nn.Module:
    """A backbone with its adapter added to its weights; a copy, so that training can go on."""
    if not is_adapted(backbone):
        return backbone
    copy: Any = deepcopy(backbone)
    plain: nn.Module = copy.merge_and_unload()
    return plain


def adapter_prefix(config: RewardConfig, backbone: Any) -> str | None:
    """Where an adapter's names begin when it is loaded over a plain model: `base_model.model.model.`; None where no
    class of transformers holds the model."""
    base = backbone.get_base_model()
    classifier = _empty(_config(base, HeadWeights(torch.empty(0, 0), None), config, 0), auto_class(config))
    name = None if classifier is None else _linear_of(classifier, config)
    return None if classifier is None or name is None else f"base_model.model.{classifier.base_model_prefix}."


def save_adapter(backbone: Any, head: HeadWeights, config: RewardConfig, out: Path) -> bool:
    """Write the adapter and its config so that `AutoPeftModelFor…Classification` loads both, the head included.

    False where the head fits no class of transformers; nothing is written then.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    prefix = adapter_prefix(config, backbone)
    if prefix is None or len(backbone.peft_config) != 1 or (head.bias is not None and config.model.kind != "process"):
        return False
    base = "base_model.model."
    adapter = get_peft_model_state_dict(backbone)
    weights = {prefix + name.removeprefix(base): value for name, value in adapter.items()}
    head = on_disk(head, config)
    weights[f"{base}score.weight"] = head.weight
    if config.model.kind == "process":  # the class has a bias unless its base's config says otherwise
        weights[f"{base}score.bias"] = head.weight.new_zeros(len(head.weight)) if head.bias is None else head.bias
    lora_config = deepcopy(next(iter(backbone.peft_config.values())))
    lora_config.task_type = "TOKEN_CLS" if config.model.kind == "process" else "SEQ_CLS"
    lora_config.modules_to_save, lora_config.inference_mode = ["score"], True
    lora_config.save_pretrained(out)
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    save_file(tensors, out / ADAPTER, metadata={"format": "pt"})
    return True


def load_adapter(backbone: Any, folder: Path) -> HeadWeights:
    """Put a saved adapter into a backbone that was wrapped for it, and give back the head that was saved with it."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    base = "base_model.model."
    weights = load_file(folder / ADAPTER)
    bias = weights.pop(f"{base}score.bias", None)
    head = HeadWeights(weights.pop(f"{base}score.weight"), bias if bias is not None and bias.any() else None)
    adapter = {base + name.removeprefix(base).partition(".")[2]: value for name, value in weights.items()}
    unmatched = set_peft_model_state_dict(backbone, adapter)
    if unmatched.unexpected_keys:
        raise EngineError(
            f"{folder / ADAPTER}: does not fit its backbone (no place for {unmatched.unexpected_keys[0]})"
        )
    return head


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars and notes of those that load and save weights; errors still show."""
    from transformers.utils import logging as hf_logging

    level, shown = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hf_logging.set_verbosity(level)
        if shown:
            hf_logging.enable_progress_bar()


def read_head(folder: Path) -> HeadWeights:
    """The linear layer of a saved plain model, from one file or from shards with an index."""
    from safetensors import safe_open

    index = folder / INDEX
    shards: dict[str, str] = load_json(index.read_text("utf-8"))["weight_map"] if index.is_file() else {}
    tensors: dict[str, Tensor] = {}
    for name in (f"{layer}.{part}" for layer in _HEAD_LAYERS for part in ("weight", "bias")):
        with safe_open(folder / shards.get(name, WEIGHTS), framework="pt") as file:
            if name in set(file.keys()):
                tensors[name.partition(".")[2]] = file.get_tensor(name)
    if "weight" not in tensors:
        raise EngineError(f"{folder}: its weights have no head ({' or '.join(_HEAD_LAYERS)})")
    return HeadWeights(tensors["weight"], tensors.get("bias"))


_HEAD_LAYERS = ("score", "classifier")
