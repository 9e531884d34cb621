"""Which weights are moved how far: parameter groups, the rate that a size asks for, and its schedule.

This module refuses to know losses and batches.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from judge.errors import ConfigError
from judge.rewards.config import Settings

BETAS = (0.9, 0.98)


def optimizers_for(model: nn.Module, settings: Settings) -> list[torch.optim.Optimizer]:
    """AdamW for all that learns; or Muon (Jordan et al. 2024, updates scaled to AdamW's size) for the backbone's hidden
    matrices and AdamW for the rest. Vectors, embeddings and heads do not decay."""
    rate = settings.rate or usual_rate(model, settings)
    backbone, embeddings = _backbone(model)
    matrices, others, head = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) not in backbone:
            head.append(parameter)
        elif parameter.ndim == 2 and id(parameter) not in embeddings and "lora_" not in name:
            matrices.append(parameter)
        else:
            others.append(parameter)
    groups = [
        _group(head, rate * settings.head_rate, 0.0),
        _group(others, rate, 0.0),
    ]
    if settings.optimizer == "adamw" or not matrices:
        groups.append(_group(matrices, rate, settings.weight_decay))
        return [torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, betas=BETAS)]
    if not hasattr(torch.optim, "Muon"):
        raise ConfigError(f"optimizer muon needs torch 2.9 or newer, this is {torch.__version__}")
    muon = torch.optim.Muon([_group(matrices, rate, settings.weight_decay)], lr=rate, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, betas=BETAS)]


def _group(parameters: list[nn.Parameter], rate: float, decay: float) -> dict[str, Any]:
    return {"params": parameters, "lr": rate, "full_rate": rate, "weight_decay": decay}


def _backbone(model: nn.Module) -> tuple[set[int], set[int]]:
    """The parameters of pretrained parts, and those of them that are embeddings, by identity."""
    from transformers import PreTrainedModel

    inner = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    return (
        {id(parameter) for module in inner for parameter in module.parameters()},
        {
            id(parameter)
            for module in inner
            for layer in module.modules()
            if isinstance(layer, nn.Embedding)
            for parameter in layer.parameters()
        },
    )


def usual_rate(model: nn.Module, settings: Settings) -> float:
    """A rate for the backbone's width H, as wide models ask for small ones: 0.05 / H (1.2e-5 at 4096, 2e-4 at 256).

    Ten times that for low-rank adapters (Schulman et al. 2025, "LoRA Without Regret"); for a head alone 1e-3.
    """
    if settings.freeze:
        return 1e-3
    configs: list[Any] = [getattr(module, "config", None) for module in model.modules()]
    width = next((config.hidden_size for config in configs if hasattr(config, "hidden_size")), 1024)
    return (0.5 if settings.lora_rank else 0.05) / float(width)


def factor(step: int, steps: int, settings: Settings) -> float:
    """The rate's factor at a step (0-based) of so many: linear warm-up, then down to `floor` on a cosine or a line.

    cosine: floor + (1 - floor) (1 + cos(pi t)) / 2, linear: 1 - (1 - floor) t; t in [0, 1] over the steps after it.
    """
    warm = round(settings.warmup * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    t = (step - warm) / max(1, steps - warm)
    match settings.schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1.0 - (1.0 - settings.floor) * t
        case _:
            return settings.floor + (1.0 - settings.floor) * 0.5 * (1.0 + math.cos(math.pi * t))


def set_rate(opts: Sequence[Any], factor: float) -> float:
    """Give every group its rate now; the largest of them."""
    largest = 0.0
    for opt in opts:
        for group in opt.param_groups:
            group["lr"] = group["full_rate"] * factor
            largest = max(largest, group["lr"])
    return largest
