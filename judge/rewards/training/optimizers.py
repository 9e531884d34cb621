"""Optimizers: parameter groups, a learning rate by the backbone's width, and its schedule."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from judge.errors import ConfigError
from judge.rewards.config import RewardConfig
from judge.rewards.modeling.quantization import bitsandbytes
from judge.rewards.registry import OPTIMIZERS, SCHEDULES

BETAS = (0.9, 0.98)


def make_optimizers(model: nn.Module, config: RewardConfig) -> list[torch.optim.Optimizer]:
    """The optimizers of a training. Vectors, embeddings and heads do not decay.

    Args:
        model: whose weights with a gradient are trained.
        config: names the optimizer and the learning rate, 0 for one by the backbone's width.

    Returns:
        One optimizer, or two where only hidden matrices are moved by the one that was named.

    Raises:
        UnknownNameError: for an optimizer that is none.
        ConfigError: for one that this torch does not have.
    """
    rate = config.training.learning_rate or default_learning_rate(model, config)
    matrices, others, head = trained_weights(model)
    undecayed = [_group(head, rate * config.training.head_lr_multiplier, 0.0), _group(others, rate, 0.0)]
    make = OPTIMIZERS.load(config.training.optimizer if matrices else "adamw")
    optimizers: list[torch.optim.Optimizer] = make(_group(matrices, rate, config.training.weight_decay), undecayed)
    return optimizers


def trained_weights(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """The weights that learn: the backbone's hidden matrices, its other weights and adapters, and the head's."""
    backbone, embeddings = _backbone_parameters(model)
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    head: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) not in backbone:
            head.append(parameter)
        elif parameter.ndim == 2 and id(parameter) not in embeddings and "lora_" not in name:
            matrices.append(parameter)
        else:
            others.append(parameter)
    return matrices, others, head


def adamw(matrices: dict[str, Any], undecayed: list[dict[str, Any]]) -> list[torch.optim.Optimizer]:
    """AdamW (Loshchilov & Hutter 2019) for all that learns."""
    groups = [group for group in (*undecayed, matrices) if group["params"]]
    return [torch.optim.AdamW(groups, lr=matrices["lr"], betas=BETAS, fused=True)]


def adamw_8bit(matrices: dict[str, Any], undecayed: list[dict[str, Any]]) -> list[torch.optim.Optimizer]:
    """AdamW whose two moments are kept in 8 bits a number, block by block (Dettmers et al. 2022), by bitsandbytes.

    Tensors of fewer than 4,096 numbers keep them in fp32, as that paper has it.
    """
    groups = [group for group in (*undecayed, matrices) if group["params"]]
    return [bitsandbytes().optim.AdamW8bit(groups, lr=matrices["lr"], betas=BETAS)]


def muon(matrices: dict[str, Any], undecayed: list[dict[str, Any]]) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024, updates scaled to AdamW's size) for the hidden matrices, AdamW for the rest."""
    if not hasattr(torch.optim, "Muon"):
        raise ConfigError(f"optimizer muon needs torch 2.9 or newer, this is {torch.__version__}")
    groups = [group for group in undecayed if group["params"]]
    return [
        torch.optim.Muon([matrices], lr=matrices["lr"], adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, lr=matrices["lr"], betas=BETAS, fused=True),
    ]


def _group(parameters: list[nn.Parameter], rate: float, decay: float) -> dict[str, Any]:
    return {"params": parameters, "lr": rate, "full_rate": rate, "weight_decay": decay}


def _backbone_parameters(model: nn.Module) -> tuple[set[int], set[int]]:
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


def default_learning_rate(model: nn.Module, config: RewardConfig) -> float:
    """A learning rate by the backbone's width H, smaller for wide models: 0.05 / H (1.2e-5 at 4096, 2e-4 at 256).

    Ten times that for low-rank adapters (Schulman et al. 2025, "LoRA Without Regret"); for a head alone 1e-3.
    """
    if config.model.freeze_backbone:
        return 1e-3
    configs: list[Any] = [getattr(module, "config", None) for module in model.modules()]
    width = next((config.hidden_size for config in configs if hasattr(config, "hidden_size")), 1024)
    return (0.5 if config.model.lora_rank else 0.05) / float(width)


def lr_factor(step: int, steps: int, config: RewardConfig) -> float:
    """The learning rate's factor at a step: linear warm-up, then the schedule.

    Args:
        step: 0-based.
        steps: of the training.
        config: warmup_ratio, lr_scheduler_type and min_lr_ratio.
    """
    warmup_steps = round(config.training.warmup_ratio * steps)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    schedule = SCHEDULES.load(config.training.lr_scheduler_type)
    return float(schedule(progress, config.training.min_lr_ratio))


def cosine(progress: float, floor: float) -> float:
    """floor + (1 - floor) (1 + cos(pi t)) / 2, t in [0, 1] over the steps after the warm-up."""
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def linear(progress: float, floor: float) -> float:
    """1 - (1 - floor) t."""
    return 1.0 - (1.0 - floor) * progress


def constant(progress: float, floor: float) -> float:
    """1 after the warm-up."""
    return 1.0


def set_learning_rate(optimizers: Sequence[Any], factor: float) -> float:
    """Give every group its learning rate at this factor; the largest of them."""
    largest = 0.0
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["full_rate"] * factor
            largest = max(largest, group["lr"])
    return largest
