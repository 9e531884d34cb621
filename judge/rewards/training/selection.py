"""Which weights of a training are kept, and when it stops: by the validation loss, or by a figure that is asked for.

A row of the history has figures of the validation part as `validation_NAME`, and of other evaluation data as
`eval_DATA_NAME`. A figure whose name ends in `loss` is better when it is lower, every other one when it is higher.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from judge.errors import ConfigError
from judge.rewards.config import RewardConfig

VALIDATION, EVAL = "validation_", "eval_"
FIGURES = ("loss", "accuracy", "margin", "correlation")  # of the validation part


def keeps_best(config: RewardConfig) -> bool:
    """Whether the weights of the best evaluation are kept, not those of the last step."""
    return bool(config.training.early_stopping_patience or config.training.best_by)


def check_best_by(config: RewardConfig, *, validation: bool, data: Iterable[str]) -> None:
    """Raise ConfigError for a `best_by` that no evaluation of the training can give.

    Args:
        config: of the reward model.
        validation: whether examples are held out.
        data: names of the other evaluation data.
    """
    wanted, names = config.training.best_by, sorted(data)
    plain = wanted.removeprefix(EVAL)
    of_data = any(plain == name or plain.startswith(f"{name}_") for name in names)
    of_validation = validation and wanted.removeprefix(VALIDATION) in FIGURES
    if wanted and not of_data and not of_validation:
        accepted = ", ".join([*(FIGURES if validation else ()), *names])
        raise ConfigError(f"best_by: found '{wanted}' (accepted: {accepted or 'nothing is evaluated'})")


def best_figure(row: Mapping[str, Any], best_by: str) -> str | None:
    """The name of the figure in a row that is gone by; None where nothing was asked for and no loss is there.

    Args:
        row: of the history.
        best_by: the setting. The name of evaluation data means its first figure.

    Raises:
        ConfigError: for a figure that the row has not got.
    """
    if not best_by:
        return f"{VALIDATION}loss" if f"{VALIDATION}loss" in row else None
    for name in (best_by, f"{VALIDATION}{best_by}", f"{EVAL}{best_by}"):
        if isinstance(row.get(name), int | float):
            return name
    of_data = f"{EVAL}{best_by.removeprefix(EVAL)}_"
    first = next((name for name in row if name.startswith(of_data)), None)
    if first is None:
        figures = [name.removeprefix(VALIDATION) for name in row if name.startswith((VALIDATION, EVAL))]
        raise ConfigError(f"best_by: found '{best_by}' (accepted: {', '.join(figures) or 'there is no figure'})")
    return first


def is_better(name: str, value: float, best: float | None) -> bool:
    """Whether a figure is better than the best so far."""
    if best is None:
        return True
    return value < best if name.endswith("loss") else value > best
