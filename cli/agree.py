"""`rmjudge agree`: can these judges, or these reward models, stand in for people?"""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli import options as o
from judge.cli.drawing import draw, say

app = typer.Typer(add_completion=False)

Runs = Annotated[
    list[str] | None,
    typer.Argument(help="Run directories or files of verdicts; several are compared. None: people among themselves."),
]
Human = Annotated[
    list[str] | None,
    typer.Option("--human", "-H", help="A file with human labels; else those in the runs are taken."),
]
Key = Annotated[str, typer.Option("--key", help="Join rows by this field of meta instead of by their id.")]
Format = Annotated[str | None, typer.Option("--format", help="Force a family of formats for --human.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read, and count them; else they end it.")
]
Slice = Annotated[list[str] | None, typer.Option("--slice", help="Agreement by this field of the rows, too.")]
Page = Annotated[Path | None, typer.Option("--report", help="Write one self-contained HTML page.")]
Audits = Annotated[
    list[str] | None, typer.Option("--audit", help="Show the audit in this run of `rmjudge audit`, too.")
]
Robustness = Annotated[
    list[str] | None,
    typer.Option("--robustness", help="Show a report that `rmjudge robustness --out NAME.json` saved, too."),
]
Baseline = Annotated[
    Path | None, typer.Option("--baseline", help="A report saved with --json; exit 1 when a figure is worse.")
]
Epsilon = Annotated[float, typer.Option("--epsilon", min=0, help="Allowance of the alternative-annotator test.")]
Margin = Annotated[float, typer.Option("--margin", min=0, help="Agreement this close to people's is equivalent.")]
Shown = Annotated[int, typer.Option("--shown", min=0, help="Rows of disagreement in the report.")]
Triangle = Annotated[
    bool,
    typer.Option("--triangle", help="The first run is a judge, the second a model made from it (seen by itself)."),
]
Benchmark = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark",
        help="By its own protocol: rewardbench, rewardbench2, rm-bench, judgebench, llmbar, processbench, prm800k.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The whole report as JSON.")]


@app.command()
def agree(
    runs: Runs = None,
    human: Human = None,
    key: Key = "",
    format: Format = None,
    skip_bad: SkipBad = False,
    slice: Slice = None,
    report: Page = None,
    audit: Audits = None,
    robustness: Robustness = None,
    baseline: Baseline = None,
    resamples: o.Resamples = 1000,
    seed: o.FixedSeed = 0,
    epsilon: Epsilon = 0.1,
    margin: Margin = 0.05,
    shown: Shown = 500,
    triangle: Triangle = False,
    benchmark: Benchmark = None,
    json: Json = False,
) -> int:
    """Can these judges, or these reward models, stand in for people?

    rmjudge agree runs/judge --human labels.jsonl --report agreement.html
    rmjudge agree --human labels.jsonl
    """
    import judge

    result = judge.agree(
        runs,
        human=human,
        key=key,
        format=format,
        skip_bad=skip_bad,
        slices=slice or (),
        benchmark=benchmark or (),
        audit=audit or (),
        robustness=robustness or (),
        baseline=baseline,
        resamples=resamples,
        seed=seed,
        epsilon=epsilon,
        margin=margin,
        shown=shown,
        triangle=triangle,
    )
    if report:
        result.save(report)
    if json:
        say(result.to_json())
    else:
        draw(result)
    return 1 if result.worse else 0
