"""What a training would refuse, found before it begins: the backbone is built on the meta device, without weights."""

from typing import Any

import torch

from judge.errors import ConfigError, RmjudgeError
from judge.pretrained import pretrained
from judge.rewards.config import RewardConfig
from judge.rewards.modeling.backbone import mixed_precision, refuse_encoder_decoder, weights_dtype
from judge.rewards.modeling.backbone import prepare as prepare_backbone
from judge.rewards.modeling.quantization import require_bitsandbytes
from judge.rewards.modeling.states import core
from judge.rewards.training.loop import check_trackers


def preflight(config: RewardConfig) -> Any:
    """See that a training can begin, without loading a weight.

    Args:
        config: of the reward model.

    Returns:
        The backbone with its adapters on the meta device; None where it cannot be built there.

    Raises:
        ConfigError: for settings that the backbone, this torch or this machine cannot do.
        MissingExtraError: for a package that is not installed.
    """
    check_trackers(config.training.report_to)
    if config.model.quantization or config.training.optimizer == "adamw_8bit":
        require_bitsandbytes()
    if config.training.optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        raise ConfigError(f"optimizer muon needs torch 2.9 or newer, this is {torch.__version__}")
    if config.model.separate_encoders and config.model.freeze_backbone:
        raise ConfigError("separate_encoders begin as one, and freeze_backbone keeps them so; leave out one of the two")
    if config.loss.contrastive_coefficient and config.model.freeze_backbone and config.model.encoder == "joint":
        raise ConfigError("contrastive_coefficient teaches the features, and freeze_backbone keeps them as they are")
    _check_precision(config)
    model = empty_backbone(config)
    if model is not None:
        _check_backbone(model, config)
    return model


def empty_backbone(config: RewardConfig) -> Any:
    """The backbone with its adapters and no weights; None where it cannot be built so, which loading will explain.

    Raises:
        ConfigError: for a backbone that reads no single text, or that has no such modules for adapters.
    """
    from transformers import AutoConfig, AutoModel

    try:
        hf_config = pretrained(AutoConfig, config.model.backbone)
        refuse_encoder_decoder(hf_config, config.model.backbone)
        with torch.device("meta"):
            dtype = weights_dtype(config, getattr(hf_config, "dtype", None))
            return prepare_backbone(AutoModel.from_config(hf_config, dtype=dtype), config)
    except RmjudgeError:
        raise
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, NotImplementedError):
        return None


def _check_precision(config: RewardConfig) -> None:
    """Raise ConfigError for half precision that this machine does not have."""
    wanted = mixed_precision(config)
    if wanted == "fp16" and not torch.cuda.is_available():
        raise ConfigError("dtype float16 needs a GPU (accepted here: auto, float32, bfloat16)")
    if wanted == "bf16" and torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        raise ConfigError("dtype bfloat16 is not in this GPU (accepted: auto, float32, float16)")


def _check_backbone(model: Any, config: RewardConfig) -> None:
    """Raise ConfigError for a head or a layout that does not fit the backbone."""
    hf_config, name = core(model).config, config.model.backbone
    if config.model.head == "likelihood" and not getattr(hf_config, "tie_word_embeddings", False):
        raise ConfigError(
            "head likelihood needs a causal backbone whose input and output embeddings are one (tie_word_embeddings)"
        )
    if config.model.quantization == "4bit" and hf_config.get_text_config().hidden_size % 64:
        raise ConfigError(f"quantization 4bit packs blocks of 64 weights; '{name}' is no multiple of that wide")
    if config.data.layout == "packed" and hf_config.model_type in BIDIRECTIONAL:
        raise ConfigError(f"layout packed: the backbone '{name}' is bidirectional (accepted: auto, padded)")


# Families that read in both directions; of others it is found when the weights are there.
BIDIRECTIONAL = {"albert", "bert", "deberta", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta"}
BIDIRECTIONAL |= {"xlm-roberta", "nomic_bert", "roformer", "camembert", "eurobert"}
