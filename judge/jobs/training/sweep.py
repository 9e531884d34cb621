"""`judge.sweep`: a small grid of trainings, one directory a cell, and which of them the validation part tells apart."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

from judge.engines.spec import read_settings
from judge.errors import ConfigError, RunChangedError
from judge.files import write_atomic
from judge.jobs.label import need
from judge.jobs.reward_model import load_reward_model
from judge.jobs.training.sweep_result import Sweep, SweepCell, cell_name
from judge.jobs.training.trainer import RewardTrainer, config_of
from judge.locations.remote_files import target_path
from judge.rewards.checkpoint.metadata import REWARD_FILE, read_metadata
from judge.rewards.config import RewardConfig
from judge.rewards.settings import RewardSettings
from judge.rewards.training.selection import EVAL, VALIDATION, best_figure
from judge.runs.data import Data, open_data

if TYPE_CHECKING:
    from judge.jobs.training.evaluation import EvalData
    from judge.rewards.evaluation.noise import PromptSums
    from judge.rewards.preparation import PreparedTraining

SWEEP_FILE = "sweep.json"
Grid = Mapping[str, Sequence[Any]] | Iterable[str]
_FIXED = ("kind", "validation_fraction", "validation", "split_seed", "best_by")
"""Settings that decide what cells are compared by."""
_MAY_CHANGE = ("report_to", "save_steps")


def sweep(
    data: Data,
    *,
    sweep: Grid,
    out: str | Path | None = None,
    labels: str | None = None,
    format: str | None = None,
    skip_bad: bool = False,
    validation_data: Data | None = None,
    eval: "EvalData | None" = None,
    settings: Mapping[str, Any] | Iterable[str] | None = None,
    progress: bool = True,
    **named: Unpack[RewardSettings],
) -> Sweep:
    """Train every combination of some settings, and say which is best by validation and which are as good.

    judge.sweep("runs/pairs", sweep={"learning_rate": [1e-5, 3e-5], "loss": ["bradley_terry", "focal"]}, kind="scalar",
                backbone="Qwen/Qwen3-0.6B", out="models/sweep")

    The same call again keeps the cells that are finished and takes up the one that was interrupted. All cells hold out
    the same prompts. The best of many cells looks better than it is: it was chosen by the figure that it is shown with.

    Args:
        data: as of `judge.distill`.
        sweep: the grid: a mapping of settings to their values, or texts `NAME=VALUE,VALUE`.
        out: a directory a cell is written under it, and `sweep.json`.
        labels: "judge" or "human"; by default what the data has.
        format: force a family of formats instead of recognising it.
        skip_bad: rows that cannot be read are dropped and counted; else they end it.
        validation_data: labelled data to validate on, instead of a part of `data`.
        eval: further data to evaluate on, see `judge.distill`.
        settings: settings of all cells by name; a mapping, or texts NAME=VALUE.
        progress: whether bars are shown.
        named: settings of all cells. `best_by` compares cells by another figure than accuracy or correlation, too.

    Returns:
        The cells with the noise of their figures.

    Raises:
        ConfigError: for a grid with a wrong setting or value, before anything is trained.
        RunChangedError: where a cell's directory holds a model of other settings or data.
    """
    need("distill", out=out)
    assert out is not None
    folder, cells = target_path(out, "directory"), _cells(sweep)
    common = read_settings(settings)
    _check(cells, common, named)
    sources: Any = open_data(data)
    trained: list[_Trained] = []
    for cell in cells:
        trainer = RewardTrainer(
            sources,
            labels=labels,
            format=format,
            skip_bad=skip_bad,
            validation_data=validation_data,
            eval=eval,
            settings=_settings(cell, common, named),
            progress=progress,
            dry_run=True,
            **named,
        )
        trained.append(_train(trainer, cell, folder / cell_name(cell)))
    return _compared(trained, folder, str(named.get("best_by") or common.get("best_by") or ""))


# ---- the grid --------------------------------------------------------------------------------------------------------


def _cells(grid: Grid) -> list[dict[str, Any]]:
    """Every combination of the values; texts may hold several settings, apart by spaces."""
    values: dict[str, Sequence[Any]] = {}
    if isinstance(grid, Mapping):
        values = {name: list(options) if not isinstance(options, str) else [options] for name, options in grid.items()}
    else:
        for text in [word for part in ([grid] if isinstance(grid, str) else grid) for word in part.split()]:
            name, equals, options = text.partition("=")
            if not equals or not options or name in values:
                raise ConfigError(f"sweep '{text}': write NAME=VALUE,VALUE, each setting once")
            values[name] = [option for option in options.split(",") if option]
    if not values or not all(values.values()):
        raise ConfigError("a sweep needs settings with values, such as learning_rate=1e-5,3e-5")
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def _settings(cell: Mapping[str, Any], common: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a cell beside the keywords. All cells hold out the same prompts, also where the seed varies."""
    merged = {**common, **cell}
    if "seed" in cell and "split_seed" not in merged and named.get("split_seed") is None:
        merged["split_seed"] = 0
    return merged


def _check(cells: Sequence[Mapping[str, Any]], common: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Raise ConfigError for what would go wrong in any cell, before the first is trained."""
    from judge.rewards.losses.registry import training_loss

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("a sweep trains its cells in one process; launch the cells one by one instead")
    for name in cells[0]:
        if name in _FIXED:
            raise ConfigError(f"sweep {name}: cells are compared by one figure on the same prompts, so it cannot vary")
        if named.get(name) is not None or name in common:
            raise ConfigError(f"setting '{name}' is given twice, once in the sweep")
    for cell in cells:
        config, loss = config_of(_settings(cell, common, named), named)
        if loss is None:
            training_loss(config)
    if len({cell_name(cell) for cell in cells}) < len(cells):
        raise ConfigError("sweep: two cells are the same; name each value once")


# ---- a cell ----------------------------------------------------------------------------------------------------------


class _Trained(NamedTuple):
    """A finished cell with the sums behind the main figure of its validation."""

    settings: Mapping[str, Any]
    path: Path
    figures: Mapping[str, Any]
    sums: "PromptSums | None"


def _train(trainer: RewardTrainer, cell: Mapping[str, Any], path: Path) -> _Trained:
    """Train a cell, or find it finished; then its figure on the validation part, prompt by prompt."""
    from judge.jobs.training.evaluation import evaluation_job, rewards_of
    from judge.rewards.preparation import refuse, remove_state_of_finished

    prepared = trainer.prepared
    if not prepared.validation:
        raise ConfigError("a sweep compares cells on examples that are held out, and none are (validation_fraction)")
    if (path / REWARD_FILE).is_file():
        remove_state_of_finished(path)
        _check_finished(path, prepared)
    else:
        refuse(path)
        trainer.out = path
        trainer.train()
    model = load_reward_model(path)
    *_, sums = rewards_of(evaluation_job(model.loaded), prepared.validation)
    return _Trained(cell, path, model.metadata["figures"], sums)


def _check_finished(path: Path, prepared: "PreparedTraining") -> None:
    """Raise RunChangedError for a finished cell of other settings or data."""
    metadata = read_metadata(path)
    before, after = RewardConfig.from_dict(metadata["config"]).flat(), prepared.config.flat()
    changes = [
        f"{name} was {before[name]}, is {value}"
        for name, value in after.items()
        if before[name] != value and name not in _MAY_CHANGE and value != "auto"  # which a finished model has settled
    ]
    hashes = [parent.get("hash") for parent in prepared.parents]
    if [parent.get("hash") for parent in metadata["parents"]][: len(hashes)] != hashes:
        changes.append("the data is another")
    if changes:
        raise RunChangedError(f"{path}: holds a model of another training: {'; '.join(changes[:4])}")


# ---- comparison ------------------------------------------------------------------------------------------------------


def _compared(trained: Sequence[_Trained], folder: Path, best_by: str) -> Sweep:
    """The cells with their noise, each beside the best one."""
    figure = best_by.removeprefix(VALIDATION) or next((cell.sums.figure for cell in trained if cell.sums), "loss")
    cells = [_cell(each, figure) for each in trained]
    lower = figure.endswith("loss")
    best = min(range(len(cells)), key=lambda place: cells[place].value if lower else -cells[place].value)
    beside = [
        cell if place == best else _behind(cell, trained[place], cells[best], trained[best], figure)
        for place, cell in enumerate(cells)
    ]
    counts = [len(cell.sums.groups) for cell in trained if cell.sums is not None]
    finished = Sweep(out=folder, figure=figure, cells=beside, prompts=min(counts, default=0))
    write_atomic(folder / SWEEP_FILE, json.dumps(finished.to_dict(), indent=2, ensure_ascii=False) + "\n")
    return finished


def _cell(trained: _Trained, figure: str) -> SweepCell:
    figures, evaluations = trained.figures["validation"], trained.figures.get("evaluations", {})
    sums = trained.sums if trained.sums is not None and trained.sums.figure == figure else None
    low, high = (sums.interval() if sums is not None else None) or (None, None)
    return SweepCell(
        settings=trained.settings,
        path=trained.path,
        figures=figures,
        evaluations=evaluations,
        seconds=trained.figures["seconds"],
        value=_value(figure, figures, evaluations) if sums is None else sums.value(),
        standard_error=None if sums is None else sums.standard_error(),
        low=low,
        high=high,
    )


def _value(figure: str, figures: Mapping[str, float], evaluations: Mapping[str, float]) -> float:
    """A figure of the validation part or of evaluation data, as `best_by` names it."""
    row = {f"{VALIDATION}{name}": value for name, value in figures.items()}
    row |= {f"{EVAL}{name}": value for name, value in evaluations.items()}
    return float(row[str(best_figure(row, figure))])


def _behind(cell: SweepCell, trained: _Trained, best: SweepCell, best_trained: _Trained, figure: str) -> SweepCell:
    """A cell with what it lacks to the best one, with an interval where the figure is the validation's main one."""
    from judge.rewards.evaluation.noise import difference

    first, second = best_trained.sums, trained.sums
    if first is None or second is None or first.figure != figure or second.figure != figure:
        return replace(cell, behind=best.value - cell.value)
    apart = difference(first, second)
    if apart is None:  # no prompt in common: one of them could read none of the other's
        return replace(cell, behind=best.value - cell.value)
    low, high = apart[1] or (None, None)
    return replace(cell, behind=apart[0], behind_low=low, behind_high=high)
