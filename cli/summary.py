"""What `rmjudge label` shows when it is done: a table for people, or JSON. Nothing here computes a number."""

import json
import shlex
import sys
from typing import Any

from judge.runs.preview import Preview
from judge.runs.runner import Done, Plan


def show_run(plan: Plan, done: Done, *, as_json: bool) -> None:
    """The counts of a run, where it lies, and what to do next."""
    counts = done.counts
    fresh = counts.rows - counts.resumed
    rate = fresh / done.seconds if done.seconds else 0.0
    if as_json:
        numbers = {**done.manifest["counts"], "resumed": counts.resumed}
        speed = {"seconds": round(done.seconds, 3), "rows_per_second": round(rate, 3)}
        shown = {"run": str(plan.out), "task": plan.task, **numbers, "tokens": done.manifest["tokens"], **speed}
        json.dump(shown, sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    rows = [("rows", f"{counts.rows:,}" + (f" ({counts.resumed:,} from before)" if counts.resumed else ""))]
    rows += [
        (name, f"{count:,} ({count / sum(counts.verdicts.values()):.1%})") for name, count in _sorted(counts.verdicts)
    ]
    rows += [("unreadable", f"{counts.unreadable:,}"), ("duplicates in the data", f"{counts.duplicates:,}")]
    if counts.both_orders:
        rows.append(("position flips", f"{counts.flips:,} ({counts.flips / counts.both_orders:.1%})"))
    tokens = counts.prompt_tokens + counts.output_tokens
    rows.append(("tokens", f"{tokens:,} in {counts.calls:,} calls, {counts.cached_share:.0%} of the prompts cached"))
    rows.append(("speed", f"{rate:,.1f} rows/s over {done.seconds:,.1f} s"))
    _table(f"{plan.task}: {plan.out}", rows)
    if counts.unreadable:
        print(f"What could not be read, with its text: {plan.out}/failures.jsonl")
    print(f"Look at the verdicts: {shlex.join(['rmjudge', 'data', 'show', str(plan.out)])}")


def show_preview(seen: Preview, *, as_json: bool) -> None:
    """The first prompts, and what the run would cost at least."""
    cost = {"rows": seen.rows, "calls": seen.calls, "prompt_tokens": seen.prompt_tokens, "exact": seen.exact}
    if as_json:
        shown = [
            {
                "messages": [{"role": turn.role, "content": turn.content} for turn in request.messages],
                "prefill": request.prefill,
                "choices": list(request.choices),
                "prompt_tokens": tokens,
            }
            for request, tokens in seen.shown
        ]
        json.dump({**cost, "shown": shown}, sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    for request, tokens in seen.shown:
        print(f"──── {request.key or 'request'} · {tokens} prompt tokens")
        for turn in request.messages:
            print(f"[{turn.role}]\n{turn.content}")
        if request.prefill:
            print(f"[assistant begins]\n{request.prefill}")
        if request.choices:
            print(f"[one of] {' | '.join(request.choices)}")
        print()
    about = "" if seen.exact else "about "
    rows = [("rows", "all that the hub streams" if seen.rows is None else f"{seen.rows:,}")]
    rows += [("calls, at least", f"{about}{seen.calls:,}"), ("prompt tokens", f"{about}{seen.prompt_tokens:,}")]
    _table("dry run: nothing was asked and nothing written", rows)


def _sorted(verdicts: Any) -> list[tuple[str, int]]:
    return sorted(verdicts.items())


def _table(title: str, rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    print(title)
    table = Table(show_header=False)
    for name, value in rows:
        table.add_row(name, value)
    Console().print(table)
