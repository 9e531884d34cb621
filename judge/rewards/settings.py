"""Settings by their flat names, as keywords of a function, and values read as the type of their setting."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from judge.errors import ConfigError

_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class RewardSettings(TypedDict, total=False):
    """Every setting by its flat name, for functions that take them as keywords. See the groups for what they mean."""

    kind: str
    backbone: str
    encoder: str
    separate_encoders: bool
    head: str
    members: int
    member_kind: str
    uncertainty: str
    objectives: Sequence[str]
    objective_weights: Sequence[float]
    gated: bool
    step_classes: int
    aggregation: str
    feature_bank: str
    feature_bank_size: int
    lora_rank: int
    lora_alpha: float
    lora_dropout: float
    lora_target_modules: Sequence[str]
    quantization: str
    freeze_backbone: bool
    dropout: float
    dtype: str
    attention: str
    loss: str | Callable[[Any, Any], Any]
    loss_arguments: Mapping[str, Any]
    center_rewards_coefficient: float
    l2_coefficient: float
    diversity_coefficient: float
    brier_coefficient: float
    contrastive_coefficient: float
    max_length: int
    layout: str
    shared_prefix: bool
    validation_fraction: float
    bootstrap: bool
    example_weights: str
    class_balance: bool
    split_seed: int
    seed: int
    epochs: float
    batch_size: int
    batch_tokens: int
    gradient_accumulation_steps: int
    optimizer: str
    learning_rate: float
    head_lr_multiplier: float
    warmup_ratio: float
    lr_scheduler_type: str
    min_lr_ratio: float
    weight_decay: float
    l2_sp: float
    max_grad_norm: float
    gradient_checkpointing: bool
    early_stopping_patience: int
    evaluations_per_epoch: int
    best_by: str
    save_steps: int
    save_minutes: float
    report_to: Sequence[str]
    calibration_method: str
    preset: str


def typed(name: str, value: Any, default: Any) -> Any:
    """A value as a setting of the default's type has it.

    Texts are read as numbers and truth values where the setting is one (YAML takes 1e-4 for a text), whole numbers are
    fractions, and lists and texts with commas are tuples.

    Raises:
        ConfigError: for a value of another type.
    """
    match default:
        case bool():
            value, accepted, fits = _as_bool(value)
        case int():
            value, accepted, fits = _as_int(value)
        case float():
            value, accepted, fits = _as_float(value)
        case tuple():
            value, accepted, fits = _as_tuple(value, numbers=name == "objective_weights")
        case Mapping():
            accepted, fits = "an object", isinstance(value, Mapping)
        case _:
            value = "" if value is None else value
            accepted, fits = "a name", isinstance(value, str)
    if not fits:
        raise ConfigError(f"{name}: found {value!r} (accepted: {accepted})")
    return value


def _as_bool(value: Any) -> tuple[Any, str, bool]:
    if isinstance(value, str):
        value = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(
            value.lower(), value
        )
    return value, "true or false", isinstance(value, bool)


def _as_int(value: Any) -> tuple[Any, str, bool]:
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            return value, "a whole number", False
    return value, "a whole number", isinstance(value, int) and not isinstance(value, bool)


def _as_float(value: Any) -> tuple[Any, str, bool]:
    if isinstance(value, str | int) and not isinstance(value, bool):
        try:
            value = float(value)
        except ValueError:
            return value, "a number", False
    return value, "a number", isinstance(value, float)


def _as_tuple(value: Any, *, numbers: bool) -> tuple[Any, str, bool]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    entries = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not numbers:
        return entries, "a list of names", all(isinstance(entry, str) for entry in entries)
    read = [_as_float(entry) for entry in entries]
    return tuple(entry for entry, _, _ in read), "a list of numbers", all(fits for _, _, fits in read)
