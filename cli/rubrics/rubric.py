"""`rmjudge rubric`: write criteria, check them, and try them out on a judge."""

from pathlib import Path
from typing import Annotated

import typer

from judge.cli import drawing
from judge.cli import options as o
from judge.cli.rubrics.generate import generate

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The criteria that answers are judged by.")
app.command()(generate)

File = Annotated[str, typer.Argument(metavar="FILE", help="A rubric: .yaml, .json, or .jsonl with a criterion a line.")]
Data = Annotated[list[str] | None, typer.Option("--data", "-d", help="Files with answers; several: again.")]
Sample = Annotated[int, typer.Option("--limit", min=1, help="Only the first N distinct records.")]


@app.command()
def new(file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; it must not exist.")]) -> None:
    """Write a rubric to begin with, every key explained."""
    import judge

    drawing.say(f"Wrote {judge.new_rubric(file)}. Edit it, then: rmjudge rubric lint {file}")


@app.command()
def lint(
    files: Annotated[list[str], typer.Argument(help="Rubrics, or .jsonl data whose rows have rubrics.")],
    json: o.AsJson = False,
) -> int:
    """Everything that is wrong with rubrics, each with its line; exit 1 if anything is."""
    import judge

    result = judge.lint_rubric(*files)
    drawing.show_either(result.to_row(), lambda: drawing.draw_findings(result, "file"), as_json=json)
    return 0 if result.passed else 1


@app.command()
def show(
    file: File,
    rendered: Annotated[bool, typer.Option("--rendered", help="As the judge sees it: the prompt of each.")] = False,
    prompt: o.Prompt = None,
    json: o.AsJson = False,
) -> None:
    """A rubric as a person reads it, or with --rendered as the judge sees it."""
    import judge
    from judge.cli.rubrics import view

    if rendered:
        prompts = judge.render_rubric(file, prompt=prompt or "")
        drawing.show_either(prompts, lambda: view.draw_rendered(prompts), as_json=json)
    else:
        rubric = judge.load_rubric(file)
        drawing.show_either(rubric.to_row(), lambda: view.draw_rubric(rubric), as_json=json)


@app.command("try")
def try_out(
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A rubric; else those of the rows.")] = None,
    data: Data = None,
    question: Annotated[str, typer.Option("--question", help="The prompt of one answer.")] = "",
    answer: Annotated[str | None, typer.Option("--answer", help="One answer, instead of --data.")] = None,
    reference: Annotated[str, typer.Option("--reference", help="What is known to be right.")] = "",
    judge: o.Judge = None,
    limit: Sample = 100,
    prompt: o.Prompt = None,
    format: o.Format = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    seed: o.FixedSeed = 0,
    json: o.AsJson = False,
    quiet: o.NoProgress = False,
) -> None:
    """Judge one answer, or a sample of answers, and show what is decided of each criterion."""
    from judge import try_rubric
    from judge.cli.rubrics import view

    trial = try_rubric(
        file,
        data,
        judges=judge,
        question=question,
        answer=answer,
        reference=reference,
        limit=limit,
        prompt=prompt or "",
        format=format,
        skip_bad=skip_bad,
        settings=set,
        seed=seed,
        progress=not quiet,
    )
    drawing.show_either(trial.to_row(), lambda: view.draw_trial(trial), as_json=json)


@app.command()
def ablate(
    file: File,
    data: Data = None,
    human: o.PeopleOrAnnotator = None,
    judge: o.Judge = None,
    limit: o.Limit = None,
    prompt: o.Prompt = None,
    format: o.Format = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    seed: o.FixedSeed = 0,
    resamples: o.AlwaysResamples = 2000,
    json: o.AsJson = False,
    quiet: o.NoProgress = False,
) -> None:
    """Agreement with people with each criterion left out and each alone, the most useful first."""
    from judge import ablate_rubric
    from judge.cli.rubrics import view

    ablation = ablate_rubric(
        file,
        data or (),
        judges=judge,
        human=human,
        limit=limit,
        prompt=prompt or "",
        format=format,
        skip_bad=skip_bad,
        settings=set,
        seed=seed,
        resamples=resamples,
        progress=not quiet,
    )
    drawing.show_either(ablation.to_row(), lambda: view.draw_ablation(ablation), as_json=json)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A rubric.")],
    after: Annotated[str, typer.Argument(help="Another one, or a later version.")],
    data: Data = None,
    judge: o.Judge = None,
    limit: Sample = 100,
    prompt: o.Prompt = None,
    format: o.Format = None,
    skip_bad: o.SkipBad = False,
    set: o.Set = None,
    seed: o.FixedSeed = 0,
    json: o.AsJson = False,
    quiet: o.NoProgress = False,
) -> None:
    """What changed in words, and, with --data and --judge, which scores changed."""
    from judge import diff_rubrics
    from judge.cli.rubrics import view

    difference = diff_rubrics(
        before,
        after,
        data=data,
        judges=judge,
        limit=limit,
        prompt=prompt or "",
        format=format,
        skip_bad=skip_bad,
        settings=set,
        seed=seed,
        progress=not quiet,
    )
    drawing.show_either(difference.to_row(), lambda: view.draw_difference(difference), as_json=json)


@app.command("test")
def examples(
    file: File,
    judge: o.Judge = None,
    prompt: o.Prompt = None,
    set: o.Set = None,
    seed: o.FixedSeed = 0,
    json: o.AsJson = False,
    quiet: o.NoProgress = False,
) -> int:
    """Judge the criteria's own examples; exit 1 if one of them does not come out as it says."""
    from judge import test_rubric
    from judge.cli.rubrics import view

    results = test_rubric(file, judges=judge, prompt=prompt or "", settings=set, seed=seed, progress=not quiet)
    drawing.show_either(results.to_row(), lambda: view.draw_examples(results), as_json=json)
    return 0 if results.passed else 1
