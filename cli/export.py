"""`rmjudge export`: turn a run into training data, or check that other tools load a reward model as it is."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge.cli import options as o
from judge.errors import ConfigError

if TYPE_CHECKING:
    from judge.exports.export import Exported

app = typer.Typer(add_completion=False)
_FILTERS = "What is left out"
_MODEL = "Of a reward model"


@app.command()
def export(
    run: Annotated[
        Path, typer.Argument(help="A run directory of `rmjudge label` or `rmjudge revise`, or a reward model.")
    ],
    to: Annotated[str, typer.Option("--to", help="trl, openrlhf, nemo, ultrafeedback or rmjudge.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The directory to write.")] = None,
    kind: Annotated[
        str, typer.Option("--kind", "-k", help="preference, unpaired, stepwise or sft; else the usual one of the task.")
    ] = "",
    margin: Annotated[
        float, typer.Option("--min-margin", help="At least this margin, |2p - 1|.", rich_help_panel=_FILTERS)
    ] = 0.0,
    agree: Annotated[
        bool, typer.Option("--agree", help="Only where both orders agree.", rich_help_panel=_FILTERS)
    ] = False,
    no_ties: Annotated[
        bool, typer.Option("--no-ties", help="No ties, where the format has a word for them.", rich_help_panel=_FILTERS)
    ] = False,
    validation: Annotated[float, typer.Option("--validation", help="The share of prompts to hold out.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="Which prompts are held out follows from it.")] = 0,
    licence: Annotated[str, typer.Option("--licence", "--license", help="What the data card says.")] = "unknown",
    force: Annotated[bool, typer.Option("--force", help="Replace a directory that is there.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Score texts by every loader; exit 1 if they differ.", rich_help_panel=_MODEL),
    ] = False,
    data: Annotated[
        str, typer.Option("--data", help="The texts to check with; else some of our own.", rich_help_panel=_MODEL)
    ] = "",
    vllm: Annotated[
        bool, typer.Option("--vllm/--no-vllm", help="Whether vLLM is among them.", rich_help_panel=_MODEL)
    ] = True,
    as_json: o.Json = False,
) -> int:
    """Turn a run into training data, with a card beside it.

    rmjudge export runs/pairs --to trl --out data/pairs
    rmjudge export models/reward --check
    """
    from judge.cli.exporting_model import is_model
    from judge.cli.exporting_model import run as export_model

    if check or is_model(run):
        return export_model(run, check=check, out=out, data=data, vllm=vllm, as_json=as_json)
    missing = [name for name, value in {"--to": to, "--out": out}.items() if not value]
    if out is None or missing:
        raise ConfigError(f"rmjudge export needs {', '.join(missing)}; see `rmjudge export --help`")

    from judge.exports.export import Choice
    from judge.exports.export import export as write

    choice = Choice(
        to=to,
        kind=kind,
        margin=margin,
        agree=agree,
        ties=not no_ties,
        validation=validation,
        seed=seed,
        licence=licence,
    )
    done = write(run, out, choice, force=force)
    if as_json:
        rows, left = dict(sorted(done.rows.items())), dict(sorted(done.left_out.items()))
        shown = {"out": str(out), "kind": done.kind, "records": done.records, "unreadable": done.failures}
        print(json.dumps({**shown, "rows": rows, "left_out": left}, indent=2))
    else:
        _show(out, done)
    return 0


def _show(out: Path, done: "Exported") -> None:
    for name, count in sorted(done.rows.items()):
        print(f"{count:,} {done.kind} rows in {out / name}.jsonl")
    for reason, count in sorted(done.left_out.items()):
        print(f"left out: {count:,} ({reason})")
    if done.failures:
        print(f"left out: {done.failures:,} records whose verdict could not be read")
    print(f"Read them: datasets.load_dataset({str(out)!r})")
