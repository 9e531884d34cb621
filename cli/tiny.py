"""`rmjudge tiny`: problems with known truth for the embedded judge, and what it is made of."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from judge.records import Record

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
    from judge.errors import ConfigError, unknown
    from judge.files import write_rows
    from judge.formats import to_row
    from judge.tiny.samples import SAMPLES

    if kind not in SAMPLES:
        raise unknown("kind", kind, SAMPLES)
    draw = cast("Callable[..., Iterator[Record]]", SAMPLES[kind])
    if out.exists() and not force:
        raise ConfigError(f"{out}: is there already; name another --out, or replace it with --force")
    if neat and various:
        raise ConfigError("--neat is one way of writing, --various are many (accepted: one of them)")
    records = draw(count, seed=seed, wide=wide, neat=neat, various=various)
    written = write_rows(out, (to_row(record) for record in records))
    print(f"{written:,} {kind} in {out}")


@app.command()
def card(
    as_json: Annotated[bool, typer.Option("--json", help="The facts alone, as JSON.")] = False,
) -> None:
    """What the embedded judge is, what it is for, and how well it does."""
    from judge.tiny import CARD, facts

    found = facts()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in found.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else value)
    console = Console()
    console.print(Markdown(CARD.read_text(encoding="utf-8")))
    console.print("\n[bold]Read off the files[/bold]\n")
    console.print(table)
