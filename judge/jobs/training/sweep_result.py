"""What a sweep came to: its cells, the noise of their figures, and which are not told apart from the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from judge.jobs.reward_model import RewardModel, load_reward_model

MIN_PROMPTS = 10  # of evaluation.noise, which loads torch


def cell_name(settings: Mapping[str, Any]) -> str:
    """The settings of a cell as the name of its directory: learning_rate=1e-5,loss=focal."""
    return ",".join(f"{name}={value}" for name, value in settings.items()).replace("/", "-").replace(" ", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCell:
    """A training of a sweep.

    Attributes:
        settings: those that the grid varies.
        path: the model directory.
        figures: on the validation part, as the model's card has them.
        evaluations: on the further evaluation data.
        seconds: of training.
        value: the figure that cells are compared by.
        standard_error: of it, prompts drawn with replacement; None where it is not the validation's main figure.
        low, high: its 95 % interval.
        behind: the best cell's value minus this one's, on the same prompts; None of the best cell.
        behind_low, behind_high: the 95 % interval of that, prompts drawn in pairs.
    """

    settings: Mapping[str, Any]
    path: Path
    figures: Mapping[str, float]
    evaluations: Mapping[str, float]
    seconds: float
    value: float
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    behind: float | None = None
    behind_low: float | None = None
    behind_high: float | None = None

    @property
    def name(self) -> str:
        """The settings in words: learning_rate=1e-5,loss=focal."""
        return cell_name(self.settings)

    @property
    def told_apart(self) -> bool | None:
        """Whether it is surely not the best: the interval of the difference leaves 0 out. None where it is unknown."""
        if self.behind_low is None or self.behind_high is None:
            return None
        return self.behind_low > 0 or self.behind_high < 0

    @property
    def model(self) -> RewardModel:
        """The model of the cell."""
        return load_reward_model(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        names = ("value", "standard_error", "low", "high", "behind", "behind_low", "behind_high", "told_apart")
        return {
            "settings": dict(self.settings),
            "path": str(self.path),
            **{name: getattr(self, name) for name in names},
            "validation": dict(self.figures),
            "evaluations": dict(self.evaluations),
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A finished sweep.

    Attributes:
        out: its directory, with a directory a cell.
        figure: what the cells are compared by.
        cells: in the order of the grid.
        prompts: of the validation part.
    """

    out: Path
    figure: str
    cells: Sequence[SweepCell]
    prompts: int

    @property
    def best(self) -> SweepCell:
        """The cell with the best figure; the first of equal ones."""
        return next(cell for cell in self.cells if cell.behind is None)

    @property
    def tied(self) -> list[SweepCell]:
        """The cells that the validation part does not tell apart from the best one."""
        return [cell for cell in self.cells if cell.told_apart is False]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "out": str(self.out),
            "figure": self.figure,
            "prompts": self.prompts,
            "best": str(self.best.path),
            "not_told_apart": [str(cell.path) for cell in self.tied],
            "cells": [cell.to_dict() for cell in self.cells],
        }

    def table(self) -> list[tuple[str, ...]]:
        """A head and a row a cell: its settings, the figure with its standard error, and how far behind the best."""
        names = list(dict.fromkeys(name for cell in self.cells for name in cell.settings))
        head = (*names, f"validation {self.figure}", "± standard error", "behind the best", "")
        return [head, *(self._row(cell, names) for cell in self.cells)]

    def _row(self, cell: SweepCell, names: Sequence[str]) -> tuple[str, ...]:
        error = "" if cell.standard_error is None else f"{cell.standard_error:.3f}"
        behind = "" if cell.behind is None else f"{cell.behind:.3f}"
        if cell.behind_low is not None:
            behind += f" ({cell.behind_low:.3f} to {cell.behind_high:.3f})"
        verdict = {
            None: "too few prompts" if self.prompts < MIN_PROMPTS else "",
            True: "worse",
            False: "not told apart",
        }[cell.told_apart]
        if cell.behind is None:
            verdict = "best"
        return (*(str(cell.settings[name]) for name in names), f"{cell.value:.3f}", error, behind, verdict)

    def __repr__(self) -> str:
        rows = self.table()
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head, *rows = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self.table()]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><caption>Sweep: {escape(str(self.out))}</caption><tr>{head}</tr>{body}</table>"
