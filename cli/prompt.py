"""`rmjudge prompt`: list, show, render and check the prompts a judge is given."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge.cli import options as o
from judge.cli.drawing import draw, say, show_json

if TYPE_CHECKING:
    from judge import Template

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The prompts a judge is given.")

Name = Annotated[str, typer.Argument(help="A shipped prompt, such as preference/default, or a .jinja file.")]
FACTS = ("name", "task", "description", "labels", "verdict", "variables", "defaults", "based_on", "max_tokens")


@app.command("list")
def list_prompts(
    task: Annotated[str, typer.Argument(help="Only the prompts of this task.")] = "", as_json: o.AsJson = False
) -> None:
    """The shipped prompts: what each asks, and how its verdict is read."""
    import judge

    templates = judge.list_templates(task)
    if as_json:
        show_json([_facts(template) for template in templates])
        return
    from rich.table import Table

    table = Table("prompt", "labels", "what it asks", box=None, pad_edge=False)
    for template in templates:
        table.add_row(template.name, " ".join(template.labels.values()) or "–", template.description)
    draw(table)


@app.command()
def show(name: Name, as_json: o.AsJson = False) -> None:
    """A prompt as it is written."""
    import judge

    template = judge.load_template("", name)
    text = Path(template.source).read_text(encoding="utf-8")
    if as_json:
        show_json({**_facts(template), "text": text})
    else:
        say(text, end="")


@app.command()
def render(
    name: Name,
    data: Annotated[str, typer.Option("--data", "-d", help="The file whose records fill the prompt.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="Only the first N records.")] = 1,
    format_name: Annotated[str | None, typer.Option("--format", help="Force a family of formats.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Pass over rows that cannot be read.")] = False,
    as_json: o.AsJson = False,
) -> None:
    """A prompt as the judge gets it, filled with the records of a file."""
    import judge

    for conversation in judge.render_prompt(name, data, limit=limit, format=format_name, skip_bad=skip_bad):
        say(json.dumps(conversation.to_row(), ensure_ascii=False) if as_json else conversation)


@app.command()
def lint(
    files: Annotated[list[str] | None, typer.Argument(help="Prompts by name or file; else all shipped ones.")] = None,
    as_json: o.AsJson = False,
) -> int:
    """Everything that is wrong with prompts, each with its line; exit 1 if anything is."""
    import judge
    from judge.cli.drawing import draw_findings

    result = judge.lint_prompt(*(files or ()))
    if as_json:
        show_json(result.to_row())
    else:
        draw_findings(result, "prompt")
    return 0 if result.passed else 1


def _facts(template: "Template") -> dict[str, Any]:
    return {name: getattr(template, name) for name in (*FACTS, "choice_prefix", "source", "hash")}
