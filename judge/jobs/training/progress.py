"""Progress of a training: a bar on a terminal, a changing output in a notebook, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any, TextIO

from judge.rewards.training.training_log import NoCallback, TrainingCallback
from judge.runs.progress import notebook_output, span
from judge.terminal import console, visible

_LINE_SECONDS = 15.0
_CELL_SECONDS = 0.5


@contextmanager
def training_progress(stream: TextIO | None = None, *, shown: bool = True) -> Iterator[TrainingCallback]:
    """A callback of a training that draws on a stream, by default stderr; shown: False draws nothing."""
    stream = stream or sys.stderr
    if not shown:
        yield NoCallback()
    elif stream is sys.stderr and (output := notebook_output()) is not None:
        yield _Cell(output)
    elif stream.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
        with Progress(*columns, console=console(stream), transient=True) as bar:
            yield _Bar(bar)
    else:
        yield _Lines(stream)


class _Lines:
    """A line now and then, on a stream that is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._drawn = stream, time.monotonic()

    def on_start(self, step: int, steps: int) -> None:
        if step:
            self._write(resumed(step, steps))

    def on_step(self, row: dict[str, Any]) -> None:
        if time.monotonic() - self._drawn >= _LINE_SECONDS or row["step"] == row["steps"]:
            self._drawn = time.monotonic()
            self._write(f"step {row['step']}/{row['steps']}: {pace(row)}")

    def on_evaluate(self, row: dict[str, Any]) -> None:
        self._write(f"step {row['step']}, validation: {figures(row)}")

    def _write(self, line: str) -> None:
        self._stream.write(visible(line) + "\n")
        self._stream.flush()


class _Bar:
    """A bar with the newest figures beside it."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._task = bar, bar.add_task("", total=None)

    def on_start(self, step: int, steps: int) -> None:
        if step:
            self._bar.console.print(resumed(step, steps))

    def on_step(self, row: dict[str, Any]) -> None:
        self._bar.update(self._task, total=row["steps"], completed=row["step"], description=pace(row))

    def on_evaluate(self, row: dict[str, Any]) -> None:
        self._bar.console.print(f"step {row['step']}, validation: {figures(row)}")


class _Cell:
    """An output of a notebook cell that changes: a bar, and the figures of the last validation."""

    def __init__(self, output: Any) -> None:
        self._output, self._drawn, self._validation, self._resumed = output, 0.0, "", ""

    def on_start(self, step: int, steps: int) -> None:
        self._resumed = f"; {resumed(step, steps)}" if step else ""

    def on_step(self, row: dict[str, Any]) -> None:
        if time.monotonic() - self._drawn < _CELL_SECONDS and row["step"] != row["steps"]:
            return
        self._drawn = time.monotonic()
        text = f"step {row['step']}/{row['steps']}: {pace(row)}{self._validation}{self._resumed}"
        bar = f'<progress max="{row["steps"]}" value="{row["step"]}"></progress> '
        self._output.update({"text/plain": text, "text/html": bar + escape(text)}, raw=True)

    def on_evaluate(self, row: dict[str, Any]) -> None:
        self._validation = f"; validation: {figures(row)}"


def resumed(step: int, steps: int) -> str:
    """That an interrupted training is taken up again, in words."""
    return f"going on from step {step} of {steps}"


def pace(row: Mapping[str, Any]) -> str:
    """Loss, accuracy, margin, speed, memory, time left."""
    left = row["seconds"] / row["step"] * (row["steps"] - row["step"])
    speed = f"{row['tokens_per_second']:,.0f} tokens/s, {row['memory_gib']:.1f} GiB, {span(left)} left"
    return f"{figures(row)}, {speed}"


def figures(row: Mapping[str, Any]) -> str:
    """The figures that a row has, in words."""
    named = {name.removeprefix("validation_"): value for name, value in row.items()}
    shown = []
    for name in ("loss", "accuracy", "margin", "correlation"):
        if name in named:
            shown.append(f"{name} {named[name]:.1%}" if name == "accuracy" else f"{name} {named[name]:.3f}")
    return ", ".join([*shown, *_evaluated(row)])


def _evaluated(row: Mapping[str, Any]) -> list[str]:
    """The main figures on evaluation data beside the validation part."""
    endings = ("_score", "_accuracy", "_correlation", "_f1")
    names = [name for name in row if name.startswith("eval_") and name.endswith(endings)]
    return [f"{name.removeprefix('eval_').replace('_', ' ')} {row[name]:.3f}" for name in names]
