"""Losses by name, and what a training minimises: the loss of its configuration with the terms added to it.

A loss is a function of its arguments that returns a `Loss`: rewards (N, C) and `Targets` to one number in fp32. Its
name stands in `judge.rewards.registry.LOSSES`, or in the entry point group `rmjudge.losses` of another package.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from judge.errors import ConfigError, unknown
from judge.rewards.config import RewardConfig
from judge.rewards.data.targets import Targets, mean_weight
from judge.rewards.losses.pairwise import Loss
from judge.rewards.losses.regularizers import REGULARIZERS, with_regularizers
from judge.rewards.registry import KINDS, LOSSES
from judge.rewards.settings import typed


def get_loss(name: str, /, **arguments: Any) -> Loss:
    """A loss by name: `get_loss("focal", gamma=1.0)`.

    Args:
        name: of `LOSSES`; earlier names and hyphens are accepted.
        arguments: of the loss, by name.

    Returns:
        A function of rewards (N, C) and targets that gives one number in fp32.

    Raises:
        UnknownNameError: for a loss or an argument that is none.
        ConfigError: for a value that the argument does not accept.
    """
    name = LOSSES.canonical(name)
    factory = LOSSES.load(name)
    defaults = loss_arguments(name)
    for argument in arguments:
        if argument not in defaults and defaults:
            raise unknown(f"argument of loss {name}:", argument, defaults)
        if argument not in defaults:
            raise ConfigError(f"loss {name} takes no arguments; found '{argument}'")
    values = {
        argument: value
        if defaults[argument] is inspect.Parameter.empty
        else typed(f"loss {name}, {argument}", value, defaults[argument])
        for argument, value in arguments.items()
    }
    loss: Loss = factory(**values)
    return loss


def training_loss(config: RewardConfig) -> Loss:
    """The loss of a training with the terms that its configuration adds.

    Raises:
        ConfigError: for a loss that a model of this kind has no labels or outputs for.
        UnknownNameError: for a loss or an argument that is none.
    """
    name, kind = config.loss_name, config.model.kind
    loss = get_loss(name, **config.loss.arguments)
    if loss_reads(name) not in KINDS[kind].learns_from:
        raise ConfigError(f"kind {kind} is not trained by loss {name} (its own is {KINDS[kind].loss})")
    if config.loss.contrastive_coefficient and loss_reads(name) == "scores":
        raise ConfigError(f"contrastive_coefficient: loss {name} reads scores, which call no text good or bad")
    loss = weighted_loss(loss)
    return with_regularizers(loss, **{term: getattr(config.loss, f"{term}_coefficient") for term in REGULARIZERS})


def weighted_loss(loss: Loss) -> Loss:
    """A loss in which the weights of the examples count between batches too.

    Losses are weighted means of their batch, Σ w ℓ / Σ w; times the batch's mean weight that is Σ w ℓ / n, so that a
    batch of examples that weigh little moves the model little. Weights of 1 change nothing.
    """

    def of_batch(rewards: Tensor, targets: Targets) -> Tensor:
        return loss(rewards, targets) * mean_weight(targets)

    return of_batch


def plain_loss(config: RewardConfig) -> Loss:
    """The loss of a configuration without the terms that are added to it for training."""
    return get_loss(config.loss_name, **config.loss.arguments)


def default_loss(config: RewardConfig, *, compared: bool, outcomes: bool) -> str:
    """The loss that was named; else the kind's own, and where its examples hold scores or outcomes alone, theirs.

    Args:
        config: of the reward model.
        compared: whether some examples have a preference or an order.
        outcomes: whether some are said to be right or wrong.
    """
    if config.loss.name or config.model.kind in ("multi", "outcome", "process") or compared:
        return config.loss_name
    return "outcome_cross_entropy" if outcomes else "regression"


def loss_name_of(loss: Loss) -> str:
    """Where a loss that is no registered one stands, for metadata: `module.function`, or its class."""
    source: Any = loss if hasattr(loss, "__qualname__") else type(loss)
    return f"{source.__module__}.{source.__qualname__}"


def loss_arguments(name: str) -> Mapping[str, Any]:
    """The arguments of a loss with their defaults."""
    factory: Callable[..., Loss] = LOSSES.load(name)
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }


def loss_reads(name: str) -> str:
    """Which labels a loss reads: comparisons, unless it says outcomes, scores or steps (see pairwise.reads)."""
    return str(getattr(LOSSES.load(name), "reads", "comparisons"))
