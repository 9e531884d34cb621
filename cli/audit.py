"""`rmjudge audit`: does a verdict move when something changes that should not matter?"""

from typing import Annotated

import typer

import judge as rmjudge
from judge.cli import drawing
from judge.cli import options as o
from judge.cli.drawing import draw, show_json

app = typer.Typer(add_completion=False)

Probe = Annotated[
    list[str] | None,
    typer.Option("--probe", help="swap, pad, restyle, flatter, author or inject; else all of them."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="A reward model instead of judges: a directory, ours or anybody's, or a name on the hub."
    ),
]
FailOver = Annotated[
    float | None, typer.Option("--fail-over", min=0, max=1, help="Exit 1 when a probe moves more verdicts than this.")
]


@app.command()
def audit(
    data: o.Data = None,
    task: o.Task = None,
    judge: o.Judge = None,
    model: Model = None,
    out: o.Out = None,
    probe: Probe = None,
    fail_over: FailOver = None,
    prompt: o.Prompt = None,
    format: o.Format = None,
    limit: o.Limit = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    prices: o.Prices = None,
    max_cost: o.MaxCost = None,
    seed: o.Seed = None,
    one_order: o.OneOrder = None,
    hard: o.Hard = None,
    rubric: o.Rubric = None,
    retry_failures: o.RetryFailures = False,
    window: o.Window = 1024,
    json: o.Json = False,
    quiet: o.Quiet = False,
    runner: o.Runner = "here",
    workers: o.Workers = "1",
) -> int:
    """Change what should not matter (order, padding, style, praise, an author, an order to the judge) and judge again.

    rmjudge audit pairs.jsonl --task preference --judge vllm:Qwen/Qwen3-32B --out runs/audit --fail-over 0.05
    """
    o.need("audit", DATA=data, out=out, **({} if model else {"task": task, "judge": judge}))
    with drawing.resumable(f"every verdict so far is in {out}"):
        audited = rmjudge.audit(
            data,
            out=out,
            task=task or "",
            judges=judge,
            model=model,
            probe=probe,
            prompt=prompt or "",
            format=format,
            limit=limit,
            skip_bad=skip_bad,
            settings=set,
            prices=prices,
            max_cost=max_cost,
            seed=seed,
            one_order=one_order,
            hard=hard,
            rubric=rubric,
            retry_failures=retry_failures,
            window=window,
            runner=runner,
            workers=workers,
            progress=not quiet,
        )
    if json:
        show_json({**audited.to_row(), "fail_over": fail_over})
    else:
        draw(audited.table(fail_over))
    return 1 if audited.over(fail_over) else 0
