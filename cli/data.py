"""`rmjudge data`: what a data file holds, and the formats that can be read."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from judge.formats.survey import Survey

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show what a data file holds.")
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
SHOWN_PROBLEMS = 20
SHOWN_ANNOTATORS = 6
SHOWN_CHARACTERS = 300


@app.command()
def show(
    file: Annotated[str, typer.Argument(help="A data file, a run directory or a hub name hf://NAME:SPLIT.")],
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
    from judge.formats.survey import as_json as plain
    from judge.formats.survey import survey

    found = survey(file, format=format, first=limit)
    if as_json:
        print(json.dumps(plain(found), indent=2))
    else:
        from rich.console import Console

        _draw(found, Console(soft_wrap=True, highlight=False, markup=False))
    return 1 if found.problems else 0


@app.command()
def formats(as_json: Json = False) -> None:
    """The families of data sets that can be read."""
    from judge.formats import FORMATS

    if as_json:
        rows = [{"name": f.name, "about": f.about, "fields": f.fields} for f in FORMATS.values()]
        print(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("format", "what it is", box=None, pad_edge=False)
    for family in FORMATS.values():
        table.add_row(family.name, family.about)
    Console(markup=False).print(table)


def _draw(found: "Survey", console: "Console") -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _facts(found):
        table.add_row(name, value)
    console.print(f"{found.path}: {found.format}" + (" (forced)" if found.forced else ""))
    console.print(table, soft_wrap=False)
    for row in found.first:
        console.print(f"\n{row['kind']} {row['id']}")
        for name, value in row.items():
            if name not in ("id", "kind") and value:
                console.print(f"  {name}: {_short(value)}")
    if found.problems:
        console.print("\nwrong rows:")
    for problem in found.problems[:SHOWN_PROBLEMS]:
        console.print(f"  {problem}")
    if len(found.problems) > SHOWN_PROBLEMS:
        console.print(f"  … and {len(found.problems) - SHOWN_PROBLEMS} more (--json lists them all)")


def _facts(found: "Survey") -> list[tuple[str, str]]:
    from judge.formats.survey import label_lines, spread

    kinds = ", ".join(f"{count:,} {kind}{'s' if count != 1 else ''}" for kind, count in found.kinds.items())
    facts = [("rows", f"{found.rows:,}"), ("records", kinds)]
    counts = {
        "rows without a record": found.barren,
        "duplicates": found.duplicates,
        "empty texts": found.empty,
        "two equal responses": found.alike,
        "labels without texts": found.without_texts,
        "wrong rows": len(found.problems),
    }
    facts += [(name, f"{count:,}") for name, count in counts.items() if count]
    for part, sizes in found.lengths.items():
        low, middle, high = spread(sizes)
        facts.append((f"{part} characters", f"{low:,} to {high:,}, median {middle:,}"))
    if found.labelled:
        names = [f"{name} {count:,}" for name, count in found.annotators.most_common(SHOWN_ANNOTATORS)]
        more = len(found.annotators) - len(names)
        facts.append(("human labels", f"on {found.labelled:,}: {', '.join(names)}{f', {more} more' if more else ''}"))
    facts += [(f"  {name}", line) for name, line in label_lines(found)]
    for task, said in found.judged.items():
        facts.append((f"judged: {task}", ", ".join(f"{verdict} {count:,}" for verdict, count in sorted(said.items()))))
    return facts


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
