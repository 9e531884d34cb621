"""How a run shows that it moves: a bar on a terminal, a changing output in a notebook, a line now and then elsewhere.

Rates are those of this attempt, from its first answers on: what earlier attempts wrote is done, but was not done now.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from typing import Any, TextIO

from judge.runs.counts import Counts
from judge.terminal import console

Watch = Callable[[Counts], None]
_BAR_SECONDS = 0.2
_CELL_SECONDS = 0.5
_LINE_SECONDS = 30.0


@contextmanager
def progress_bar(total: int | None, stream: TextIO | None = None, *, shown: bool = True) -> Iterator[Watch]:
    """A function to call with the counts as often as one likes; it draws only when there is something new to see.

    stream: where lines and the terminal's bar go, by default stderr; shown: False draws nothing.
    """
    stream = stream or sys.stderr
    if not shown:
        yield lambda counts: None
    elif stream is sys.stderr and (output := notebook_output()) is not None:
        yield _cell(total, output)
    elif stream.isatty():
        with _bar(total, stream) as watch:
            yield watch
    else:
        yield _lines(total, stream)


def pace(counts: Counts, started_from: Counts, total: int | None, seconds: float) -> str:
    """The words beside a bar: rows/s, tokens/s, cached share, unreadable, cost where there is one, time left."""
    rows = counts.rows - started_from.rows
    tokens = (counts.prompt_tokens + counts.output_tokens) - (started_from.prompt_tokens + started_from.output_tokens)
    seconds = max(seconds, 1e-9)
    words = [
        f"{rows / seconds:.1f} rows/s",
        f"{tokens / seconds:,.0f} tokens/s",
        f"{counts.cached_share:.0%} cached",
        f"{counts.unreadable} unreadable",
    ]
    if counts.costs:
        words.append(f"${counts.cost:,.2f}")
    if total is not None and rows:
        words.append(f"{span((total - counts.rows - counts.duplicates) * seconds / rows)} left")
    return ", ".join(words)


def span(seconds: float) -> str:
    """A length of time for people: 9s, 4m10s, 2h05m, 3d04h."""
    whole = max(0, round(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if not minutes:
        return f"{whole}s"
    if not hours:
        return f"{minutes}m{whole % 60:02d}s"
    if not days:
        return f"{hours}h{minutes % 60:02d}m"
    return f"{days}d{hours % 24:02d}h"


@contextmanager
def _bar(total: int | None, stream: TextIO) -> Iterator[Watch]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console(stream), transient=True) as bar:
        task = bar.add_task("", total=total)

        def draw(words: str, done: int) -> None:
            bar.update(task, completed=done, description=words)

        yield _paced(total, _BAR_SECONDS, draw)


def notebook_output() -> Any:
    """An output of the running notebook cell that can be changed, None outside of notebooks."""
    if "ipykernel" not in sys.modules:  # a notebook's kernel has loaded it long before us
        return None
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    if not hasattr(get_ipython(), "kernel"):  # IPython on a terminal
        return None
    return display({"text/plain": "0 rows"}, raw=True, display_id=True)


def _cell(total: int | None, output: Any) -> Watch:
    def draw(words: str, done: int) -> None:
        share = "" if total is None else f'<progress max="{total}" value="{done}"></progress> '
        count = f"{done:,}" if total is None else f"{done:,} of {total:,}"
        text = f"{count} rows: {words}"
        output.update({"text/plain": text, "text/html": share + escape(text)}, raw=True)

    return _paced(total, _CELL_SECONDS, draw)


def _lines(total: int | None, stream: TextIO) -> Watch:
    def draw(words: str, done: int) -> None:
        stream.write(f"{done}{'' if total is None else f'/{total}'} rows: {words}\n")
        stream.flush()

    return _paced(total, _LINE_SECONDS, draw)


def _paced(total: int | None, every: float, draw: Callable[[str, int], None]) -> Watch:
    first: Counts | None = None
    begun = drawn = 0.0

    def watch(counts: Counts) -> None:
        nonlocal begun, drawn, first
        clock = time.monotonic()
        if first is None:
            # The clock starts with the first answers: the minutes that a model takes to load foretell nothing.
            first, begun, drawn = replace(counts), clock, clock
        elif clock - drawn >= every:
            drawn = clock
            draw(pace(counts, first, total, clock - begun), counts.rows + counts.duplicates)

    return watch
