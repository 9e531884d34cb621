"""Progress of a check of loaders, or of texts that are scored: a bar on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from judge.runs.progress import span
from judge.terminal import console, visible


@contextmanager
def check_progress(
    stream: TextIO | None = None, *, shown: bool = True
) -> Iterator[Callable[[str, int, int], None] | None]:
    """What `check_loaders` calls before each loader; it draws on a stream, by default stderr.

    Args:
        stream: a terminal gets a bar, anything else lines.
        shown: False draws nothing.
    """
    stream = stream or sys.stderr
    if not shown:
        yield None
    elif stream.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        with Progress(*columns, console=console(stream), transient=True) as bar:
            task = bar.add_task("loading the model", total=None)
            yield lambda loader, done, total: bar.update(task, completed=done, total=total, description=loader)
    else:
        yield _lines(stream)


def _lines(stream: TextIO) -> Callable[[str, int, int], None]:
    began = time.monotonic()

    def write(loader: str, done: int, total: int) -> None:
        if loader:
            stream.write(visible(f"{done + 1}/{total} {loader} ({span(time.monotonic() - began)})\n"))
            stream.flush()

    return write
