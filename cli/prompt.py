"""`rmjudge prompt`: list, show, render and check the prompts a judge is given."""

import json
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge.errors import TemplateError

if TYPE_CHECKING:
    from judge.prompting.template import Template

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The prompts a judge is given.")

Name = Annotated[str, typer.Argument(help="A shipped prompt, such as preference/default, or a .jinja file.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


@app.command("list")
def list_prompts(
    task: Annotated[str, typer.Argument(help="Only the prompts of this task.")] = "", as_json: Json = False
) -> None:
    """The shipped prompts: what each asks, and how its verdict is read."""
    from judge.errors import unknown
    from judge.prompting.front_matter import prompt_tasks
    from judge.prompting.template import list_templates

    if task and task not in prompt_tasks():
        raise unknown("task", task, prompt_tasks())
    templates = list_templates(task)
    if as_json:
        _write_json([_facts(template) for template in templates])
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("prompt", "labels", "what it asks", box=None, pad_edge=False)
    for template in templates:
        table.add_row(template.name, " ".join(template.labels.values()) or "–", template.description)
    Console().print(table)


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """A prompt as it is written."""
    from judge.prompting.template import load_template

    template = load_template("", name)
    text = Path(template.source).read_text(encoding="utf-8")
    if not as_json:
        print(text, end="")
        return
    _write_json({**_facts(template), "text": text})


@app.command()
def render(
    name: Name,
    data: Annotated[str, typer.Option("--data", "-d", help="The file whose records fill the prompt.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="Only the first N records.")] = 1,
    format_name: Annotated[str | None, typer.Option("--format", help="Force a family of formats.")] = None,
    as_json: Json = False,
) -> None:
    """A prompt as the judge gets it, filled with the records of a file."""
    from judge.formats import read_records
    from judge.prompting.template import load_template, render_record

    template = load_template("", name)
    for place, record in islice(read_records(data, format=format_name), limit):
        try:
            conversations = list(render_record(template, record))
        except TemplateError as error:
            raise TemplateError(f"{place}: {record.kind} does not fit {template.name}: {error}") from None
        for number, turns in enumerate(conversations, start=1):
            if as_json:
                messages = [{"role": turn.role, "content": turn.content} for turn in turns]
                print(json.dumps({"place": place, "id": record.id, "messages": messages}, ensure_ascii=False))
                continue
            count = f" · {number} of {len(conversations)}" if len(conversations) > 1 else ""
            print(f"──── {place}{count}")
            for turn in turns:
                print(f"[{turn.role}]\n{turn.content}\n")


@app.command()
def lint(
    files: Annotated[list[str] | None, typer.Argument(help="Prompts by name or file; else all shipped ones.")] = None,
    as_json: Json = False,
) -> int:
    """Everything that is wrong with prompts, each with its line; exit 1 if anything is."""
    from judge.prompting.template import lint as findings_in
    from judge.prompting.template import locate, shipped

    paths = [locate("", name) for name in files] if files else list(shipped().values())
    findings = [finding for path in paths for finding in findings_in(path)]
    if as_json:
        keys = ("path", "line", "fatal", "message")
        _write_json([{key: getattr(finding, key) for key in keys} for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.place}: {finding.message}")
        said = f"{len(findings)} finding{'s' * (len(findings) != 1)}" if findings else "nothing found"
        print(f"{len(paths)} prompt{'s' * (len(paths) != 1)}: {said}", file=sys.stderr)
    return 1 if findings else 0


def _facts(template: "Template") -> dict[str, Any]:
    names = ("name", "task", "description", "labels", "verdict", "variables", "defaults", "based_on", "max_tokens")
    return {name: getattr(template, name) for name in (*names, "choice_prefix", "source", "hash")}


def _write_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
