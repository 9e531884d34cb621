"""`rmjudge distill`: train a reward model on labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import judge
from judge.cli import drawing
from judge.cli import options as o
from judge.cli.drawing import say, show_json

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
    skip_bad: o.SkipBad = False,
    validation_data: Annotated[
        str | None, typer.Option("--validation-data", help="Validate on this file instead of a part of the data.")
    ] = None,
    eval: Annotated[
        list[str] | None,
        typer.Option(
            "--eval",
            metavar="[NAME=]FILE",
            help="Evaluate on it too while training: a benchmark by its protocol, or labelled data. Several times.",
        ),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            metavar="NAME=VALUE,VALUE",
            help="Train every combination under --out, and compare them by validation. Several times.",
        ),
    ] = None,
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
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "--batch", help="Examples a step.", rich_help_panel=_TRAINING)
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", "--rate", help="The highest rate.", rich_help_panel=_TRAINING),
    ] = None,
    early_stopping_patience: Annotated[
        int | None,
        typer.Option(
            "--early-stopping-patience",
            "--patience",
            help="Worse validations before it stops.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(
            "--validation-fraction", "--validation", help="Share of prompts held out.", rich_help_panel=_TRAINING
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Every draw follows.", rich_help_panel=_TRAINING)] = None,
    trackers: Annotated[
        list[str] | None,
        typer.Option("--report-to", "--tracker", help="tensorboard, wandb.", rich_help_panel=_TRAINING),
    ] = None,
    set: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Counts, tokens, steps and an estimate of memory; nothing is trained.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Train a reward model on labels.

    rmjudge distill runs/pairs --kind scalar --backbone Qwen/Qwen3-0.6B --out models/pairs
    """
    o.need("distill", kind=kind or preset or set, backbone=backbone or set, out=out or dry_run)
    given: dict[str, Any] = {
        "kind": kind,
        "backbone": backbone,
        "preset": preset,
        "loss": loss,
        "encoder": encoder,
        "members": members,
        "lora_rank": lora_rank,
        "max_length": max_length,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "early_stopping_patience": early_stopping_patience,
        "validation_fraction": validation_fraction,
        "seed": seed,
        "report_to": trackers or None,
    }
    given |= {"labels": labels, "format": format, "skip_bad": skip_bad, "settings": set, "progress": not quiet}
    given |= {"validation_data": validation_data, "eval": eval}
    if sweep:
        if dry_run:
            raise judge.ConfigError("a dry run is of one training: leave out --sweep or --dry-run")
        _show_sweep(judge.sweep(sources, sweep=sweep, out=out, **given), as_json=json)
        return 0
    made = judge.distill(sources, out=out, dry_run=dry_run, **given)
    if isinstance(made, judge.TrainingPlan):
        _show("dry run: nothing was trained and nothing written", made.counts, as_json=json)
    elif made.training is not None:  # else another process of `accelerate launch`
        _show(f"{made.kind}: {made.path}", {"model": str(made.path), **made.training}, as_json=json)
        if not json:
            for flag in made.flags:
                say(f"red flag: {flag}")
            say(f"Score with it: rmjudge score {made.path} DATA --out RUN")
    return 0


def _show(title: str, figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Counts and figures of a training, or of one that was only planned."""
    if as_json:
        show_json(figures)
        return
    rows = [(name, value) for name, value in figures.items() if not isinstance(value, Mapping | list | None)]
    rows += [(f"dropped: {entry['reason']}", entry["count"]) for entry in figures["dropped"]]
    rows += [(f"validation {name}", value) for name, value in figures.get("validation", {}).items()]
    rows += [(f"eval {name}", value) for name, value in figures.get("evaluations", {}).items() if "/" not in name]
    if isinstance(memory := figures.get("memory_gib"), Mapping):
        rows += [(f"memory GiB, {part}", value) for part, value in memory.items()]
    drawing.show_table(title, [(name.replace("_", " "), _shown(value)) for name, value in rows])


def _show_sweep(swept: "judge.Sweep", *, as_json: bool) -> None:
    """A row a cell, the best one named."""
    if as_json:
        show_json(swept.to_dict())
        return
    say(f"sweep: {swept.out}, {len(swept.cells)} trainings, {swept.prompts:,} prompts held out")
    drawing.show_grid(swept.table())
    say(f"best by validation {swept.figure}: {swept.best.path}")
    if swept.tied:
        say(f"not told apart from it: {', '.join(cell.path.name for cell in swept.tied)}")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
