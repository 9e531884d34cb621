"""`rmjudge robustness`: how far can a reward model be trusted on other data and under edits?"""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli import options as o
from judge.cli.drawing import draw, say

app = typer.Typer(add_completion=False)
_EDITS = "Edits"
_MODEL = "The model"

Model = Annotated[str, typer.Argument(help="A reward model's directory, or a run of `rmjudge score` (no edits then).")]
Shifted = Annotated[
    list[str] | None,
    typer.Option("--shifted", help="Labelled data out of distribution: the gap of accuracy to them."),
]
Slice = Annotated[
    list[str] | None,
    typer.Option("--slice", help="Accuracy by this field of the rows; else by those of two to twenty values."),
]
Probe = Annotated[
    list[str] | None,
    typer.Option(
        "--probe",
        help="pad, repeat, flatter, keywords, restyle, author, inject (they add nothing); truncate, echo, praise (they "
        "take the answer away); or none. Else all of them.",
        rich_help_panel=_EDITS,
    ),
]
K = Annotated[
    int,
    typer.Option("--k", min=0, help="Compositions of edits tried on a worse response.", rich_help_panel=_EDITS),
]
Pairs = Annotated[
    int, typer.Option("--pairs", min=0, help="Pairs that are edited, drawn by the seed.", rich_help_panel=_EDITS)
]
Lower = Annotated[float, typer.Option("--lower", min=0, help="Rewards are the model's - K σ.", rich_help_panel=_MODEL)]
Convention = Annotated[
    str | None,
    typer.Option(
        "--convention",
        help="Someone else's process model: trl, math-shepherd, rlhflow, qwen or skywork.",
        rich_help_panel=_MODEL,
    ),
]
Dtype = Annotated[
    str | None, typer.Option("--dtype", help="float32, bfloat16 or float16; else as saved.", rich_help_panel=_MODEL)
]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda; else a GPU if there is one.", rich_help_panel=_MODEL)
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N records of each data.")]
Card = Annotated[bool, typer.Option("--card", help="Write the findings to the model's card, README.md.")]
Out = Annotated[
    list[Path] | None, typer.Option("--out", "-o", help="Write one self-contained HTML page, or NAME.json; several.")
]


@app.command()
def robustness(
    model: Model,
    data: o.Data = None,
    shifted: Shifted = None,
    slice: Slice = None,
    probe: Probe = None,
    k: K = 16,
    pairs: Pairs = 300,
    format: o.Format = None,
    limit: Limit = None,
    skip_bad: o.SkipBad = False,
    lower: Lower = 0.0,
    convention: Convention = None,
    dtype: Dtype = None,
    device: Device = None,
    resamples: o.Resamples = 1000,
    seed: o.FixedSeed = 0,
    card: Card = False,
    out: Out = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """How far can a reward model be trusted on other data and under edits? Exit 1 when something is found.

    rmjudge robustness models/reward labelled.jsonl --shifted other.jsonl --out robustness.html
    """
    import judge

    report = judge.robustness(
        model,
        data,
        shifted=shifted,
        slices=slice or (),
        probe=probe,
        k=k,
        pairs=pairs,
        format=format,
        limit=limit,
        skip_bad=skip_bad,
        lower=lower,
        convention=convention,
        dtype=dtype,
        device=device,
        resamples=resamples,
        seed=seed,
        card=card,
        progress=not quiet,
    )
    for path in out or ():
        report.save(path)
    if json:
        say(report.to_json())
    else:
        draw(report)
    return 1 if report.wrong else 0
