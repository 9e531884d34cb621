"""Weights that stand still in 8 or 4 bits, under low-rank adapters (Dettmers et al. 2023, QLoRA), by bitsandbytes."""

import logging
from importlib.util import find_spec
from typing import Any

import torch

from judge.errors import MissingExtraError

INSTALL = "pip install 'rmjudge[quantized]'"


def bitsandbytes() -> Any:
    """The package; MissingExtraError where it is not installed."""
    require_bitsandbytes()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it notes every faster kernel that is not there
    import bitsandbytes as package

    return package


def require_bitsandbytes() -> None:
    """Raise MissingExtraError where bitsandbytes is not installed; it is not imported."""
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError(f"quantization and optimizer adamw_8bit need bitsandbytes: {INSTALL}")


def quantization_config(bits: str, dtype: torch.dtype) -> Any:
    """What `from_pretrained` is told: "8bit" (LLM.int8(), Dettmers et al. 2022) or "4bit" (NF4 in blocks of 64).

    Args:
        bits: "8bit" or "4bit".
        dtype: of the products.

    Raises:
        MissingExtraError: where bitsandbytes is not installed.
    """
    bitsandbytes()
    from transformers import BitsAndBytesConfig

    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def keep_gradients(model: Any) -> None:
    """Keep a CPU from packing 4-bit weights anew at its first forward in evaluation: the packed product has no backward
    pass, so a validation in the middle of a training would end the learning of every layer below."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
