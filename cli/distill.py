"""`rmjudge distill`: train a reward model on labels."""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli import options as o

app = typer.Typer(add_completion=False)
_MODEL, _TRAINING = "The model", "The training"


@app.command()
def distill(
    sources: Annotated[list[str], typer.Argument(help="Run directories of `rmjudge label`, or labelled data files.")],
    kind: Annotated[
        str | None, typer.Option("--kind", "-k", help="scalar, multi, outcome, process, ensemble or hierarchical.")
    ] = None,
    backbone: Annotated[str | None, typer.Option("--backbone", "-b", help="A directory, a hub name, or tiny.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The model directory.")] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="judge: the verdicts of a run; human: people's labels.")
    ] = None,
    format: o.Format = None,
    preset: Annotated[str | None, typer.Option("--preset", help="enhanced, llama-2.", rich_help_panel=_MODEL)] = None,
    loss: Annotated[str | None, typer.Option("--loss", help="See docs/rewards.md.", rich_help_panel=_MODEL)] = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="joint, fusion, cross.", rich_help_panel=_MODEL)
    ] = None,
    members: Annotated[int | None, typer.Option("--members", help="Of an ensemble.", rich_help_panel=_MODEL)] = None,
    lora_rank: Annotated[
        int | None, typer.Option("--lora-rank", help="0 trains every weight.", rich_help_panel=_MODEL)
    ] = None,
    max_length: Annotated[
        int | None, typer.Option("--max-length", help="Tokens of prompt and response.", rich_help_panel=_MODEL)
    ] = None,
    epochs: Annotated[
        float | None, typer.Option("--epochs", help="One unless told.", rich_help_panel=_TRAINING)
    ] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Examples a step.", rich_help_panel=_TRAINING)] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="The highest rate.", rich_help_panel=_TRAINING)] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Worse validations before it stops.", rich_help_panel=_TRAINING)
    ] = None,
    validation: Annotated[
        float | None, typer.Option("--validation", help="Share of prompts held out.", rich_help_panel=_TRAINING)
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Every draw follows.", rich_help_panel=_TRAINING)] = None,
    trackers: Annotated[
        list[str] | None, typer.Option("--tracker", help="tensorboard, wandb.", rich_help_panel=_TRAINING)
    ] = None,
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Counts, tokens and steps; nothing is trained.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Train a reward model on labels.

    rmjudge distill runs/pairs --kind scalar --backbone Qwen/Qwen3-0.6B --out models/pairs
    """
    from judge.cli.distilling import run

    names = (
        "kind backbone preset loss encoder members lora_rank max_length epochs batch rate patience validation "
        "seed trackers"
    ).split()
    here = locals()
    return run(
        sources,
        {name: here[name] for name in names},
        set or (),
        labels=labels,
        format=format,
        out=out,
        dry_run=dry_run,
        as_json=json,
        quiet=quiet,
    )
