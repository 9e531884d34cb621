"""`rmjudge tiny`: problems with known truth for the embedded judge, and what it is made of."""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli.drawing import draw, say, show_json

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Problems with known truth, and facts about the embedded judge."
)


@app.command()
def generate(
    kind: Annotated[str, typer.Argument(help="pairs, solutions or responses.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many rows.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, one JSON row a line.")],
    seed: Annotated[int, typer.Option("--seed", help="Every draw follows from it.")] = 0,
    wide: Annotated[
        bool, typer.Option("--wide", help="Larger numbers and longer sums than the card promises.")
    ] = False,
    neat: Annotated[bool, typer.Option("--neat", help="Solutions that write out every operation.")] = False,
    various: Annotated[bool, typer.Option("--various", help="Solutions in writing styles that differ widely.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write arithmetic problems with solutions whose truth is known; the embedded judge has seen none of them.

    rmjudge tiny generate pairs --count 100 --seed 1 --out pairs.jsonl
    """
    import judge

    rows = judge.generate_problems(kind, count, seed=seed, out=out, wide=wide, neat=neat, various=various, force=force)
    say(f"{len(rows):,} {kind} in {out}")


@app.command()
def card(
    as_json: Annotated[bool, typer.Option("--json", help="The facts alone, as JSON.")] = False,
) -> None:
    """What the embedded judge is, what it is for, and how well it does."""
    import judge

    facts = judge.tiny_card()
    if as_json:
        show_json(facts)
        return
    from rich.markdown import Markdown
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else value)
    draw(Markdown(facts.text))
    say("\nRead off the files\n")
    draw(table)
