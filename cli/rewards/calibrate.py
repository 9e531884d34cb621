"""`rmjudge calibrate`: fit the probabilities of a run or of a reward model to people's labels."""

from pathlib import Path
from typing import Annotated

import typer

import judge as rmjudge
from judge.cli import drawing
from judge.cli import options as o
from judge.cli.drawing import say, show_json
from judge.cli.score import ChatTemplate, Convention, Device, Dtype, MaxLength, Objective, TrustRemoteCode

app = typer.Typer(add_completion=False)

Source = Annotated[
    str,
    typer.Argument(
        metavar="RUN|MODEL",
        help="A run of a judge or of `rmjudge score`; or a reward model: a directory, or a name on the hub.",
    ),
]
Human = Annotated[
    list[str] | None,
    typer.Option("--human", help="People's labels, joined by the rows' ids; of a run by default those in its rows."),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="The file to write; `rmjudge score --calibration FILE` takes it.")
]
Method = Annotated[str, typer.Option("--method", help="temperature, isotonic, or auto: what the labels bear.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the first N labelled records.")]


@app.command()
def calibrate(
    source: Source,
    human: Human = None,
    out: Out = None,
    method: Method = "auto",
    format: o.Format = None,
    limit: Limit = None,
    skip_bad: o.SkipBad = False,
    convention: Convention = None,
    objective: Objective = None,
    chat_template: ChatTemplate = None,
    max_length: MaxLength = None,
    trust_remote_code: TrustRemoteCode = False,
    dtype: Dtype = None,
    device: Device = None,
    json: o.Json = False,
) -> int:
    """Fit probabilities to people's labels; errors before and after are shown, measured on prompts that no fit saw.

    rmjudge calibrate models/reward --human labelled.jsonl --out calibration.json
    """
    named = {
        "convention": convention,
        "objective": objective,
        "chat_template": chat_template,
        "max_length": max_length,
        "trust_remote_code": trust_remote_code,
        "dtype": dtype,
        "device": device,
    }
    result = rmjudge.calibrate(
        source,
        human=human,
        out=out,
        method=method,
        format=format,
        limit=limit,
        skip_bad=skip_bad,
        **{name: value for name, value in named.items() if value},
    )
    if json:
        show_json(result.to_dict())
    else:
        show(result)
    return 0


def show(result: rmjudge.CalibrationResult) -> None:
    """The errors before and after, and where the calibration lies."""
    titles = {"ece": "expected calibration error", "brier": "Brier score", "log_loss": "log loss"}
    say(f"{result.of}: {result.n:,} labels on {result.prompts:,} prompts, each a {result.about}")
    rows = [["error, lower is better", "before", "after"]]
    for name, title in titles.items():
        figures = (result.before[name], result.after[name])
        rows.append([title, *(f"{part.value:.3f} ({part.low:.3f} to {part.high:.3f})" for part in figures)])
    drawing.show_grid(rows)
    say(f"method: {result.method}; temperature {result.temperature:.3g}")
    if result.path is not None:
        say(f"To use it: rmjudge score … --calibration {result.path}")
