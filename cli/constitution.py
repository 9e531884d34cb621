"""`rmjudge constitution`: write principles, check them, and try them out on a judge."""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli import options as o
from judge.cli.drawing import say, show_either

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The principles that a judge is held to.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A shipped constitution's name, or a .yaml file.")]
Data = Annotated[list[str] | None, typer.Option("--data", "-d", help="Files with pairs of responses; several: again.")]
OneOrder = Annotated[bool, typer.Option("--one-order", help="Ask a pair only as it stands.")]


@app.command()
def new(file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; it must not exist.")]) -> None:
    """Write a constitution to begin with, every key explained."""
    import judge

    say(f"Wrote {judge.new_constitution(file)}. Edit it, then: rmjudge constitution lint {file}")


@app.command("list")
def list_all(json: o.AsJson = False) -> None:
    """The shipped constitutions."""
    import judge
    from judge.cli.constitution_view import draw_list

    shipped = judge.list_constitutions()
    counted = [{**one.to_row(), "principles": len(one.principles)} for one in shipped]
    show_either(counted, lambda: draw_list(shipped), as_json=json)


@app.command()
def show(
    name: Name,
    rendered: Annotated[bool, typer.Option("--rendered", help="As the judge sees it: the prompt of each.")] = False,
    prompt: o.Prompt = None,
    json: o.AsJson = False,
) -> None:
    """A constitution as a person reads it, or with --rendered as the judge sees it."""
    import judge
    from judge.cli.constitution_view import draw_constitution, draw_rendered

    if rendered:
        prompts = judge.render_constitution(name, prompt=prompt or "")
        show_either(prompts, lambda: draw_rendered(prompts), as_json=json)
    else:
        constitution = judge.load_constitution(name)
        show_either(constitution.to_row(), lambda: draw_constitution(constitution), as_json=json)


@app.command()
def lint(
    files: Annotated[list[str] | None, typer.Argument(help="Names or files; else all shipped ones.")] = None,
    json: o.AsJson = False,
) -> int:
    """Everything that is wrong with constitutions, each with its line; exit 1 if anything is."""
    import judge
    from judge.cli.drawing import draw_findings

    result = judge.lint_constitution(*(files or ()))
    show_either(result.to_row(), lambda: draw_findings(result, "constitution"), as_json=json)
    return 0 if result.passed else 1


@app.command("try")
def try_out(
    name: Name,
    data: Data = None,
    judge: o.Judge = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Only the first N distinct pairs.")] = 100,
    prompt: o.Prompt = None,
    format: o.Format = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    seed: o.FixedSeed = 0,
    one_order: OneOrder = False,
    shown: Annotated[int, typer.Option("--show", min=0, help="How many pairs to show where principles differ.")] = 5,
    json: o.AsJson = False,
    quiet: o.NoProgress = False,
) -> None:
    """Judge a sample under each principle alone and all together, and show where they disagree."""
    from judge import try_constitution
    from judge.cli.constitution_view import draw_trial

    trial = try_constitution(
        name,
        data or (),
        judges=judge or (),
        limit=limit,
        prompt=prompt or "",
        format=format,
        skip_bad=skip_bad,
        settings=set,
        seed=seed,
        one_order=one_order,
        progress=not quiet,
    )
    show_either(trial.to_row(), lambda: draw_trial(trial, shown), as_json=json)


@app.command()
def ablate(
    name: Name,
    data: Data = None,
    human: o.PeopleOrAnnotator = None,
    judge: o.Judge = None,
    limit: o.Limit = None,
    prompt: o.Prompt = None,
    format: o.Format = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    seed: o.FixedSeed = 0,
    one_order: OneOrder = False,
    resamples: o.AlwaysResamples = 2000,
    json: o.AsJson = False,
    quiet: o.NoProgress = False,
) -> None:
    """Agreement with people with each principle left out and each alone, the most useful first."""
    from judge import ablate_constitution
    from judge.cli.constitution_view import draw_ablation

    ablation = ablate_constitution(
        name,
        data or (),
        judges=judge or (),
        human=human,
        limit=limit,
        prompt=prompt or "",
        format=format,
        skip_bad=skip_bad,
        settings=set,
        seed=seed,
        one_order=one_order,
        resamples=resamples,
        progress=not quiet,
    )
    show_either(ablation.to_row(), lambda: draw_ablation(ablation), as_json=json)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A shipped constitution's name, or a .yaml file.")],
    after: Annotated[str, typer.Argument(help="Another one, or a later version.")],
    data: Data = None,
    judge: o.Judge = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Only the first N distinct pairs.")] = 100,
    prompt: o.Prompt = None,
    format: o.Format = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    seed: o.FixedSeed = 0,
    one_order: OneOrder = False,
    json: o.AsJson = False,
    quiet: o.NoProgress = False,
) -> None:
    """What changed in words, and, with --data and --judge, which verdicts changed."""
    from judge import diff_constitutions
    from judge.cli.constitution_view import draw_difference

    difference = diff_constitutions(
        before,
        after,
        data=data,
        judges=judge or (),
        limit=limit,
        prompt=prompt or "",
        format=format,
        skip_bad=skip_bad,
        settings=set,
        seed=seed,
        one_order=one_order,
        progress=not quiet,
    )
    show_either(difference.to_row(), lambda: draw_difference(difference), as_json=json)


@app.command("test")
def examples(
    name: Name,
    judge: o.Judge = None,
    prompt: o.Prompt = None,
    set: o.Set = None,
    seed: o.FixedSeed = 0,
    one_order: OneOrder = False,
    json: o.AsJson = False,
    quiet: o.NoProgress = False,
) -> int:
    """Judge the principles' own examples; exit 1 if one of them does not come out as it says."""
    from judge import test_constitution
    from judge.cli.constitution_view import draw_examples

    results = test_constitution(
        name,
        judges=judge or (),
        prompt=prompt or "",
        settings=set,
        seed=seed,
        one_order=one_order,
        progress=not quiet,
    )
    show_either(results.to_row(), lambda: draw_examples(results), as_json=json)
    return 0 if results.passed else 1
