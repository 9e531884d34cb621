"""`rmjudge data`: what a data file holds, and the formats that can be read."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from judge.cli.drawing import draw, show_json

if TYPE_CHECKING:
    from rich.console import Console

    from judge import Survey

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show what a data file holds.")
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
SHOWN_PROBLEMS = 20
SHOWN_CHARACTERS = 300


@app.command()
def show(
    file: Annotated[str, typer.Argument(help="A data file, a run directory, a hub name or a URL.")],
    format: Annotated[
        str | None,
        typer.Option("--format", help="Force a family; NAME:field=column,… where its columns have other names."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many records to show.")] = 3,
    as_json: Json = False,
) -> int:
    """What was recognised, how much there is, the first records, and every row that is wrong.

    Exits with 1 when rows are wrong, with 2 when nothing can be read.
    """
    import judge

    survey = judge.survey(file, format=format, first=limit)
    if as_json:
        show_json(survey.to_row())
    else:
        _draw(survey, judge.console(soft_wrap=True))
    return 1 if survey.problems else 0


@app.command()
def formats(as_json: Json = False) -> None:
    """The families of data sets that can be read."""
    from judge import FORMATS

    if as_json:
        rows = [{"name": f.name, "about": f.about, "fields": f.fields} for f in FORMATS.values()]
        show_json(rows)
        return
    from rich.table import Table

    table = Table("format", "what it is", box=None, pad_edge=False)
    for family in FORMATS.values():
        table.add_row(family.name, family.about)
    draw(table)


def _draw(survey: "Survey", console: "Console") -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in survey.facts:
        table.add_row(name, value)
    console.print(f"{survey.path}: {survey.format}" + (" (forced)" if survey.forced else ""))
    console.print(table, soft_wrap=False)
    for row in survey.first:
        console.print(f"\n{row['kind']} {row['id']}")
        for name, value in row.items():
            if name not in ("id", "kind") and value:
                console.print(f"  {name}: {_short(value)}")
    if survey.problems:
        console.print("\nwrong rows:")
    for problem in survey.problems[:SHOWN_PROBLEMS]:
        console.print(f"  {problem}")
    if len(survey.problems) > SHOWN_PROBLEMS:
        console.print(f"  … and {len(survey.problems) - SHOWN_PROBLEMS} more (--json lists them all)")


def _short(value: object) -> str:
    """A value on one line, cut: one turn as its text alone."""
    if (
        isinstance(value, list)
        and len(value) == 1
        and isinstance(value[0], dict)
        and {"role", "content"} == set(value[0])
    ):
        value = value[0]["content"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
