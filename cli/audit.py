"""`rmjudge audit`: does a verdict move when something changes that should not matter?"""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli import options as o

app = typer.Typer(add_completion=False)

Probe = Annotated[
    list[str] | None,
    typer.Option("--probe", help="swap, pad, restyle, flatter, author or inject; else all of them."),
]
FailOver = Annotated[
    float | None, typer.Option("--fail-over", min=0, max=1, help="Exit 1 when a probe moves more verdicts than this.")
]


@app.command()
def audit(
    data: o.Data = None,
    task: o.Task = None,
    judge: o.Judge = None,
    out: o.Out = None,
    probe: Probe = None,
    fail_over: FailOver = None,
    prompt: o.Prompt = None,
    format: o.Format = None,
    limit: o.Limit = None,
    set: o.Set = None,
    seed: o.Seed = None,
    one_order: o.OneOrder = None,
    hard: o.Hard = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Change what should not matter (order, padding, style, praise, an author, an order to the judge) and judge again.

    rmjudge audit pairs.jsonl --task preference --judge vllm:Qwen/Qwen3-32B --out runs/audit --fail-over 0.05
    """
    from judge.cli.auditing import Asked, audited, show

    asked = Asked(list(data or ()), out or Path(), tuple(probe or ()), format, limit, seed or 0)
    given = {"task": task, "judge": judge, "prompt": prompt, "set": set, "seed": seed, "hard": hard}
    found = audited(asked, given | {"one_order": one_order, "out": out}, quiet=quiet)
    show(found, as_json=json, fail_over=fail_over)
    over = [one for one in found.probes if fail_over is not None and (one.moved.value or 0.0) > fail_over]
    return 1 if over else 0
