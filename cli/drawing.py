"""Everything that the command line writes: words, tables for people, JSON; and what a verb shows of its run.

Nothing else in cli/ prints: here control characters in names and texts of other people are spelled out.
"""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

import judge as rmjudge

if TYPE_CHECKING:
    from judge import Counts, Iteration, LintResult, Preview, Run

WRITTEN = {
    "best.jsonl": "best responses",
    "supervised.jsonl": "answers to learn",
    "preferences.jsonl": "preferences",
}
"""What the rows of files beside a run are."""


def say(*words: object, end: str = "\n", error: bool = False) -> None:
    """Words for people or for a pipe."""
    print(rmjudge.visible(" ".join(map(str, words))), end=end, file=sys.stderr if error else sys.stdout)


def show_json(value: object) -> None:
    """A value on several lines of JSON, which has no word for NaN: it is null."""
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError:
        plain = json.loads(json.dumps(value), parse_constant=lambda name: None)
        text = json.dumps(plain, indent=2, ensure_ascii=False)
    say(text)


def show_either(value: object, drawn: Callable[[], None], *, as_json: bool) -> None:
    """A result as JSON, or drawn for people."""
    if as_json:
        show_json(value)
    else:
        drawn()


def draw(renderable: object) -> None:
    """A table or another thing that rich can draw."""
    rmjudge.console().print(renderable)


@contextmanager
def resumable(kept: str) -> Iterator[None]:
    """End the command with 130 and the words that resume it when it is interrupted; kept: what was not lost."""
    try:
        yield
    except KeyboardInterrupt:
        again = rmjudge.mask_secrets(shlex.join(["rmjudge", *sys.argv[1:]]))
        say(f"interrupted; {kept}. To go on:\n  {again}", error=True)
        raise typer.Exit(130) from None


def show(run: "Run", *, as_json: bool) -> None:
    """A run, or the preview of one."""
    if isinstance(run, rmjudge.Preview):
        show_preview(run, as_json=as_json)
        return
    show_run(run, as_json=as_json)
    if as_json:
        return
    constitution = run.config.get("constitution") or {}
    if not constitution.get("shown", True):
        say("The critic was shown no principles: its prompt has no place for them.")
    if cut := run.manifest.get("cut_prompts"):
        say(f"{cut:,} prompts were cut on their left to the model's longest input")
    for name, rows in run.written.items():
        say(f"{rows:,} {WRITTEN.get(name, 'rows')}: {run.directory / name}")


def show_run(run: "Run", *, as_json: bool) -> None:
    """The counts of a run, where it lies, and what to do next."""
    counts = run.counts
    fresh = counts.rows - counts.resumed
    rate = fresh / run.seconds if run.seconds else 0.0
    if as_json:
        numbers = {**run.manifest["counts"], "resumed": counts.resumed}
        speed = {"seconds": round(run.seconds, 3), "rows_per_second": round(rate, 3)}
        spent: dict[str, object] = {name: run.manifest[name] for name in ("tokens", "cost") if name in run.manifest}
        show_json({"run": str(run.directory), "task": run.task, **numbers, **spent, **speed})
        return
    rows = [("rows", f"{counts.rows:,}" + (f" ({counts.resumed:,} from before)" if counts.resumed else ""))]
    verdicts = sorted(counts.verdicts.items())
    rows += [(name, f"{count:,} ({count / counts.verdicts.total():.1%})") for name, count in verdicts]
    rows += [("unreadable", f"{counts.unreadable:,}"), ("duplicates in the data", f"{counts.duplicates:,}")]
    if counts.skipped:
        rows.append(("skipped rows of the data", f"{counts.skipped:,}"))
    if counts.shortened:
        rows.append(("tool results shortened", f"{counts.shortened:,} (--max-tool-result)"))
    if counts.both_orders:
        rows.append(("position flips", f"{counts.flips:,} ({counts.flips / counts.both_orders:.1%})"))
    tokens = counts.prompt_tokens + counts.output_tokens
    rows.append(("tokens", f"{tokens:,} in {counts.calls:,} calls, {counts.cached_share:.0%} of the prompts cached"))
    if counts.costs:
        rows.append(("cost", cost_words(counts)))
    rows.append(("speed", f"{rate:,.1f} rows/s over {run.seconds:,.1f} s"))
    show_table(f"{run.task}: {run.directory}", rows)
    if counts.unreadable:
        say(f"What could not be read, with its text: {run.directory}/failures.jsonl")
    if counts.skipped:
        say(f"Rows of the data that were skipped, with their places: {run.directory}/failures.jsonl")
    say(f"Look at the verdicts: {shlex.join(['rmjudge', 'data', 'show', str(run.directory)])}")


def cost_words(counts: "Counts") -> str:
    """Dollars, by model where there are several, and what batch endpoints took less."""
    words = f"${counts.cost:,.4f}"
    if len(counts.costs) > 1:
        words += f" ({', '.join(f'{model} ${dollars:,.4f}' for model, dollars in sorted(counts.costs.items()))})"
    return words + (f", ${counts.saved:,.4f} less than without batches" if counts.saved else "")


def show_preview(preview: "Preview", *, as_json: bool) -> None:
    """The first prompts, and what the run would cost at least."""
    if as_json:
        shown = [
            {
                "messages": [{"role": turn.role, "content": turn.content} for turn in request.messages],
                "prefill": request.prefill,
                "choices": list(request.choices),
                "prompt_tokens": tokens,
            }
            for request, tokens in preview.shown
        ]
        cost: dict[str, object] = {
            "rows": preview.total,
            "calls": preview.calls,
            "prompt_tokens": preview.prompt_tokens,
        }
        cost |= {} if preview.cost is None else {"cost": preview.cost}
        show_json({**cost, "skipped": preview.counts.skipped, "exact": preview.exact, "shown": shown})
        return
    for request, tokens in preview.shown:
        say(f"──── {request.key or 'request'} · {tokens} prompt tokens")
        say(preview.text_of(request), end="\n\n")
    about = "" if preview.exact else "about "
    rows = [("rows", "all that the hub streams" if preview.total is None else f"{preview.total:,}")]
    if preview.counts.skipped:
        rows.append(("skipped rows of the data", f"{preview.counts.skipped:,}"))
    rows += [("calls, at least", f"{about}{preview.calls:,}"), ("prompt tokens", f"{about}{preview.prompt_tokens:,}")]
    if preview.cost is not None:
        rows.append(("cost of the prompts alone", f"{about}${preview.cost:,.4f}"))
    show_table("dry run: nothing was asked and nothing written", rows)


def show_iteration(iteration: "Iteration", *, as_json: bool) -> None:
    """A row a round, and why it stopped."""
    if as_json:
        show_json(iteration.to_dict())
        return
    rows: list[tuple[str, ...]] = [
        ("round", "truth", "best of n", "95 % interval", "any of n", "agreement", "reward", "reward - truth")
    ]
    for row in iteration.rounds:
        known = ("" if value is None else f"{value:.3f}" for value in (row.agreement, row.reward, row.gap))
        interval = f"{row.best_of_low:.3f} to {row.best_of_high:.3f}"
        rows.append((str(row.round), f"{row.truth:.3f}", f"{row.best_of:.3f}", interval, f"{row.any_of:.3f}", *known))
    if iteration.rounds:
        show_grid(rows)
        say(f"Chart: {iteration.chart}")
    if iteration.stopped:
        say(f"stopped: {iteration.stopped}")


def show_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Names and values under a title."""
    from rich.table import Table

    say(title)
    table = Table(show_header=False)
    for name, value in rows:
        table.add_row(name, value)
    draw(table)


def show_grid(rows: Sequence[Sequence[str]]) -> None:
    """A head and rows."""
    from rich.table import Table

    head, *body = rows
    table = Table(*head)
    for row in body:
        table.add_row(*row)
    draw(table)


def draw_findings(result: "LintResult", noun: str) -> None:
    """Each finding with its place; then how many files of that kind were looked at, and how many findings there are."""
    for finding in result:
        say(f"{finding.place}: {finding.message}")
    count = f"{len(result)} finding{'s' * (len(result) != 1)}" if len(result) else "nothing found"
    say(f"{result.files} {noun}{'s' * (result.files != 1)}: {count}", error=True)
