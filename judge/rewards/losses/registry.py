"""Every loss by its name, and the one interface that they share: rewards (N, C) and `Targets` to one number in fp32.

Formulas and papers stand with the functions: pairs in pairwise.py, whole rankings in listwise.py, wrong labels
in noise_robust.py, single texts and steps in pointwise.py, added terms in regularizers.py. It refuses to know models.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from judge.errors import ConfigError, unknown
from judge.rewards.config import LOSS, Settings
from judge.rewards.data.examples import Example
from judge.rewards.data.targets import Pairs, Targets
from judge.rewards.losses import listwise, noise_robust, pairwise, pointwise
from judge.rewards.losses.pairwise import Loss
from judge.rewards.losses.regularizers import PENALTIES, with_penalties

__all__ = [
    "LOSSES",
    "NEEDS",
    "PENALTIES",
    "Loss",
    "Pairs",
    "Targets",
    "arguments_of",
    "default_loss",
    "loss_for",
    "loss_of",
    "with_penalties",
]

LOSSES: dict[str, Callable[..., Loss]] = {
    "adjacent": listwise.adjacent,
    "bradley-terry": pairwise.bradley_terry,
    "contrastive": listwise.contrastive,
    "davidson": pairwise.davidson,
    "focal": pairwise.focal,
    "forward": noise_robust.forward,
    "generalized": noise_robust.generalized,
    "log1p-exp": pairwise.log1p_exp,
    "margin": pairwise.margin,
    "margin-scaled": pairwise.margin_scaled,
    "outcome": pointwise.outcome,
    "plackett-luce": listwise.plackett_luce,
    "rao-kupper": pairwise.rao_kupper,
    "regression": pointwise.regression,
    "steps": pointwise.steps,
    "symmetric": noise_robust.symmetric,
    "trimmed": noise_robust.trimmed,
    "triplet": pairwise.triplet,
    "unbiased": noise_robust.unbiased,
}

NEEDS: dict[str, str] = {"outcome": "outcomes", "regression": "scores", "steps": "steps"}
"""What a loss reads; those that are not named here read pairs and rankings."""

_LEARNS = {
    "scalar": ("comparisons", "scores"),
    "multi": ("scores",),
    "outcome": ("outcomes",),
    "process": ("steps",),
    "ensemble": ("comparisons", "scores"),
    "hierarchical": ("comparisons", "outcomes"),
}


def loss_for(name: str, /, **arguments: Any) -> Loss:
    """A loss by name: `loss_for("focal", gamma=1.0)`.

    Raises UnknownNameError for a loss or an argument that is none, ConfigError for a value that it does not accept.
    """
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    accepted = arguments_of(name)
    for argument, value in arguments.items():
        if argument not in accepted:
            raise unknown(f"argument of loss {name}:", argument, accepted) if accepted else _takes_none(name, argument)
        _check(name, argument, value, accepted[argument])
    return LOSSES[name](**arguments)


def loss_of(settings: Settings) -> Loss:
    """The loss of a training: that of its name and arguments, and the penalties that its settings name.

    Raises ConfigError for a loss that a model of this kind has no labels or outputs for.
    """
    name = settings.loss_name
    loss = loss_for(name, **settings.loss_arguments)
    read = NEEDS.get(name, "comparisons")
    if read not in _LEARNS[settings.kind]:
        raise ConfigError(f"kind {settings.kind} is not trained by loss {name} (its own is {LOSS[settings.kind]})")
    return with_penalties(loss, **{penalty: getattr(settings, penalty) for penalty in PENALTIES})


def default_loss(settings: Settings, examples: Iterable[Example]) -> str:
    """The loss that was named; else the kind's own, and where its examples hold scores or outcomes alone, theirs."""
    if settings.loss or settings.kind in ("multi", "outcome", "process"):
        return settings.loss_name
    made = list(examples)
    if any(one.p_first is not None or one.order for one in made):
        return settings.loss_name
    return "outcome" if any(one.p_correct is not None for one in made) else "regression"


def arguments_of(name: str) -> Mapping[str, Any]:
    """The arguments of a loss, and what they are unless told otherwise."""
    return {one.name: one.default for one in inspect.signature(LOSSES[name]).parameters.values()}


def _takes_none(name: str, argument: str) -> ConfigError:
    return ConfigError(f"loss {name} takes no arguments; found '{argument}'")


def _check(name: str, argument: str, value: Any, default: Any) -> None:
    """Raise ConfigError for a value of another type than the default's; whole numbers are numbers."""
    if isinstance(default, bool):
        accepted, fits = "true or false", isinstance(value, bool)
    elif isinstance(default, int):
        accepted, fits = "a whole number", isinstance(value, int) and not isinstance(value, bool)
    else:
        accepted, fits = "a number", isinstance(value, int | float) and not isinstance(value, bool)
    if not fits:
        raise ConfigError(f"loss {name}, {argument}: found {value!r} (accepted: {accepted})")
