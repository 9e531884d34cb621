"""`rmjudge export`: turn a run into training data, or check a reward model and push it to the hub."""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli import options as o
from judge.cli.drawing import say, show_json

app = typer.Typer(add_completion=False)
_FILTERS = "What is left out"
_MODEL = "Of a reward model"


@app.command()
def export(
    run: Annotated[
        Path, typer.Argument(help="A run directory of `rmjudge label` or `rmjudge revise`, or a reward model.")
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="trl, openrlhf, nemo, openai, sharegpt, ultrafeedback, healthbench, rubrics-as-rewards or rmjudge.",
        ),
    ] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The directory to write.")] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--kind", "-k", help="preference, unpaired, stepwise, sft or rubric; else the usual one of the task."
        ),
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
    licence: Annotated[
        str, typer.Option("--licence", "--license", help="What the card says; of a model: if no card does.")
    ] = "unknown",
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
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype",
            help="Round the weights for the check: float32 (no), bfloat16 or float16.",
            rich_help_panel=_MODEL,
        ),
    ] = "float32",
    push: Annotated[
        str,
        typer.Option("--push", help="Send it to the hub, hf://OWNER/NAME, by HF_TOKEN.", rich_help_panel=_MODEL),
    ] = "",
    private: Annotated[
        bool, typer.Option("--private", help="A new model on the hub is private.", rich_help_panel=_MODEL)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Send nothing; list files, licence and target.", rich_help_panel=_MODEL),
    ] = False,
    as_json: o.Json = False,
) -> int:
    """Turn a run into training data, with a card beside it; check, merge or push a reward model.

    rmjudge export runs/pairs --to trl --out data/pairs
    rmjudge export models/reward --check
    rmjudge export models/reward --push hf://OWNER/NAME --dry-run
    """
    import judge

    result = judge.export(
        run,
        to=to,
        out=out,
        kind=kind,
        min_margin=margin,
        agree=agree,
        ties=not no_ties,
        validation=validation,
        seed=seed,
        licence=licence,
        force=force,
        check=check,
        data=data or None,
        vllm=vllm,
        dtype=dtype,
        push=push,
        private=private,
        dry_run=dry_run,
    )
    if as_json:
        show_json(result.to_row())
    else:
        say(result)
    return 0 if result.passed else 1
