"""The file that `judge.calibrate` writes: a calibration, of whom it is, and the figures behind it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.errors import ConfigError, InputError
from judge.files import write_atomic
from judge.json_input import load_json

if TYPE_CHECKING:
    from judge.jobs.scoring.scoring_model import ScoringModel
    from judge.rewards.evaluation.calibration import Calibration

FORMAT = 1


def write_calibration(
    path: Path,
    calibration: "Calibration",
    *,
    of: Mapping[str, Any],
    figures: Mapping[str, Any],
    human: list[dict[str, Any]],
) -> None:
    """Write a calibration.

    Args:
        path: the file.
        calibration: what was fitted.
        of: a model's `identity`, or the configuration of a judge's run.
        figures: before and after, see `judge.calibrate`.
        human: what a manifest says of the people's labels.
    """
    from importlib.metadata import version

    content = {
        "rmjudge": version("rmjudge"),
        "format": FORMAT,
        "of": dict(of),
        "calibration": calibration.to_dict(),
        "figures": dict(figures),
        "human": human,
    }
    write_atomic(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=True) + "\n")


def read_calibration(path: str | Path, model: "ScoringModel | None" = None) -> "Calibration":
    """The calibration in a file.

    Args:
        path: of `judge.calibrate`.
        model: that it is to be used for.

    Raises:
        InputError: for a file that holds none.
        ConfigError: for one that was fitted on another model.
    """
    from judge.rewards.evaluation.calibration import Calibration

    try:
        content = load_json(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("calibration"), dict):
        raise InputError(f"{path}: no calibration of rmjudge (it has no 'calibration')")
    if content.get("format", 0) > FORMAT:
        raise InputError(f"{path}: format {content['format']} is newer than this rmjudge reads ({FORMAT}); update it")
    try:
        calibration = Calibration.from_dict(content["calibration"])
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: calibration: {error}") from None
    if model is not None:
        _check(path, content.get("of") or {}, calibration, model)
    return calibration


def _check(path: str | Path, of: Mapping[str, Any], calibration: "Calibration", model: "ScoringModel") -> None:
    """Raise ConfigError for a calibration of another model, or of what this one does not say."""
    if of.get("weights") and of["weights"] != model.identity().get("weights"):
        raise ConfigError(f"{path}: fitted on other weights than those of {model.name}; run rmjudge calibrate on it")
    if of.get("objectives", []) != model.identity().get("objectives", []):
        raise ConfigError(f"{path}: fitted on other objectives than those asked for of {model.name}")
    said = {"process": "step", "outcome": "outcome"}.get(model.kind, "pair")
    if calibration.method != "none" and calibration.about != said:
        raise ConfigError(f"{path}: a calibration of a {calibration.about}; {model.name} is asked of a {said}")
